//! What writing costs, as ratios to writes on tables without docperm whose policies and triggers were written by hand for the
//! same purpose. All forms take turns on one server; each figure is the median of its turns.

mod tables;

use std::time::Instant;

use docperm_testkit::{run, server};
use postgres::Client;

use tables::{FORMS, Form, SETUP};

/// Turns of each cell.
const TURNS: usize = 9;
/// Single statements in a turn, all in one transaction.
const SINGLE: usize = 2_000;
/// Rows of a statement for many.
const BULK: usize = 100_000;

/// A kind of write, and how it is timed.
struct Kind {
    name: &'static str,
    time: fn(&mut Client, &Form) -> f64,
}

const KINDS: [Kind; 5] = [
    Kind { name: "INSERT of a row", time: insert },
    Kind { name: "UPDATE of a row", time: update },
    Kind { name: "DELETE of a row", time: delete },
    Kind { name: "INSERT of 100,000 rows", time: insert_many },
    Kind { name: "UPDATE of 100,000 rows", time: update_many },
];

fn main() {
    let database = server().database();
    let mut admin = database.admin();
    let role = database.login_role("app");
    run(&mut admin, SETUP);
    run(
        &mut admin,
        &format!(
            "UPDATE docperm.users SET db_role = '{role}' WHERE name = 'ann@erp.test';
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role};
             ANALYZE"
        ),
    );
    let mut client = database.connect_as(&role);
    run(&mut client, "SET app.acting_user = 'ann@erp.test'; SET synchronous_commit = off; SET jit = off");
    for form in &FORMS {
        prepare(&mut client, form);
    }
    println!("{:<24} {:<38} {:>12} {:>7} {:>7}", "write", "form", "per row", "ratio", "target");
    for kind in &KINDS {
        let mut times = vec![vec![]; FORMS.len()];
        for _ in 0..TURNS {
            for (form, times) in FORMS.iter().zip(&mut times) {
                times.push((kind.time)(&mut client, form));
            }
            run(&mut admin, "VACUUM");
        }
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        for (form, seconds) in FORMS.iter().zip(&medians) {
            let baseline = FORMS.iter().position(|other| other.table == form.baseline).expect("a form");
            let is_bulk = kind.name.contains("100,000");
            let target = form.target.map_or(String::new(), |target| {
                format!(
                    "{:.1}",
                    if is_bulk && kind.name.starts_with("INSERT") { target.max(1.2) } else { target }
                )
            });
            println!(
                "{:<24} {:<38} {:>9.2} us {:>7.2} {:>7}",
                kind.name,
                form.name,
                seconds * 1e6,
                seconds / medians[baseline],
                target
            );
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn prepare(client: &mut Client, form: &Form) {
    let table = form.table;
    run(
        client,
        &format!(
            "PREPARE insert_{table} (int) AS INSERT INTO {table} ({columns}) VALUES ({values});
             PREPARE update_{table} (int) AS UPDATE {table} SET body = 'changed' WHERE id = $1;
             PREPARE delete_{table} (int) AS DELETE FROM {table} WHERE id = $1;",
            columns = form.columns(),
            values = form.values("$1"),
        ),
    );
}

/// Seconds per statement of a transaction that is rolled back.
fn each(client: &mut Client, statement: impl Fn(usize) -> String) -> f64 {
    let statements: Vec<String> = (0..SINGLE).map(statement).collect();
    client.batch_execute("BEGIN").expect("a transaction");
    let began = Instant::now();
    for statement in &statements {
        client.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
    let seconds = began.elapsed().as_secs_f64();
    client.batch_execute("ROLLBACK").expect("the end of it");
    seconds / SINGLE as f64
}

/// Seconds per row of a statement that is rolled back.
fn all(client: &mut Client, statement: &str) -> f64 {
    client.batch_execute("BEGIN").expect("a transaction");
    let began = Instant::now();
    client.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let seconds = began.elapsed().as_secs_f64();
    client.batch_execute("ROLLBACK").expect("the end of it");
    seconds / BULK as f64
}

fn insert(client: &mut Client, form: &Form) -> f64 {
    each(client, |i| format!("EXECUTE insert_{} ({})", form.table, 1_000_000 + i))
}

fn update(client: &mut Client, form: &Form) -> f64 {
    each(client, |i| format!("EXECUTE update_{} ({})", form.table, 1 + i))
}

fn delete(client: &mut Client, form: &Form) -> f64 {
    each(client, |i| format!("EXECUTE delete_{} ({})", form.table, 1 + i))
}

fn insert_many(client: &mut Client, form: &Form) -> f64 {
    let (table, columns, values) = (form.table, form.columns(), form.values("i"));
    let series = format!("generate_series(1000000, {}) AS i", 1_000_000 + BULK - 1);
    all(client, &format!("INSERT INTO {table} ({columns}) SELECT {values} FROM {series}"))
}

fn update_many(client: &mut Client, form: &Form) -> f64 {
    all(client, &format!("UPDATE {} SET body = 'changed'", form.table))
}
