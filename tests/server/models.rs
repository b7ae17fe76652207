//! Permission models by chance, each held against a naive evaluator in every way in which docperm can be asked.
//!
//! The evaluator is written from the closed form of the rule and shares nothing with the library. SELECT, generic
//! prepared plans that are kept over all models, parallel plans, `permits` called as a function, `has_permission`,
//! `permitted_documents`, `explain_access` and `who_can` must all say what it says, and writes must end as it says.
//!
//! Every run prints its seed, which is the number of its first model; `DOCPERM_SEED` repeats it. `DOCPERM_MODELS` says
//! how many models there are, so that both together repeat a single one.

mod ask;
mod evaluate;
mod generate;
mod model;
mod schema;
mod write;

use ask::{Count, Seats};
use model::Model;
use schema::FLAVOURS;

/// A number from the environment.
fn given(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable}: a number")))
}

/// Checks those of the models that are of one flavour, in a database of their own.
fn check(flavour: u64, numbers: impl Iterator<Item = u64>) -> Option<Count> {
    let kinds = FLAVOURS.len() as u64;
    let mut numbers = numbers.filter(|number| number % kinds == flavour).peekable();
    numbers.peek()?;
    let mut seats = Seats::new(&FLAVOURS[usize::try_from(flavour).unwrap()]);
    for number in numbers {
        let model = Model::generate(number);
        seats.check(&model);
        seats.try_writes(&model);
    }
    Some(seats.count)
}

#[test]
fn generated_models_are_answered_alike_everywhere() {
    let first = given("DOCPERM_SEED")
        .unwrap_or_else(|| u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()) * 10_000);
    let amount = given("DOCPERM_MODELS").unwrap_or(2_000);
    println!("DOCPERM_SEED={first}");
    let numbers = first..first + amount;
    let counts: Vec<Count> = std::thread::scope(|scope| {
        let threads = [&[0, 1][..], &[2, 3, 4]].map(|flavours| {
            let numbers = numbers.clone();
            scope.spawn(move || {
                let counts = flavours.iter().map(|flavour| check(*flavour, numbers.clone()));
                counts.collect::<Vec<_>>()
            })
        });
        let joined = threads.into_iter().flat_map(|thread| match thread.join() {
            Ok(counts) => counts,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    });

    let sum = |count: fn(&Count) -> usize| counts.iter().map(count).sum::<usize>();
    assert_eq!(sum(|count| count.models) as u64, amount);
    let kinds = [
        ("rows shown", sum(|count| count.rows_shown)),
        ("rows hidden", sum(|count| count.rows_hidden)),
        ("parallel plans", sum(|count| count.parallel)),
        ("parallel plans that look at lines or documents", sum(|count| count.parallel_and_further)),
        ("rights held", sum(|count| count.held)),
        ("rights not held", sum(|count| count.not_held)),
        ("rows written", sum(|count| count.written)),
        ("rows passed over", sum(|count| count.passed_over)),
        ("writes refused", sum(|count| count.refused)),
    ];
    println!("{kinds:?}");
    // Of a few models, some of this may be missing.
    if amount >= 1_000 {
        for (what, found) in kinds {
            assert!(found > 0, "no {what} in {amount} models");
        }
    }
}
