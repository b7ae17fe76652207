//! What writing costs, as ratios to writes on tables without docperm whose policies and triggers were written by hand for the
//! same purpose. All forms take turns on one server; each figure is the median of its turns.
//!
//! Single statements are measured in two ways. As a client meets them, each with its way to the server and back: the forms take
//! turns after each statement, because how fast a message wakes the other side differs from one moment to the next by more than
//! what is looked for here. And without that way, many in one message.

mod tables;

use std::time::Instant;

use docperm_testkit::{run, server};
use postgres::Client;

use tables::{FORMS, Form, SETUP};

/// Turns of each cell.
const TURNS: usize = 15;
/// Single statements in a turn, all in one transaction.
const SINGLE: usize = 1_000;
/// Statements in a message, where they come many at once.
const MESSAGE: usize = 100;
/// Rows of a statement for many.
const BULK: usize = 100_000;
/// Turns of statements for many.
const BULK_TURNS: usize = 7;

/// A kind of write.
#[derive(Clone, Copy)]
enum Write {
    Insert,
    Update,
    Delete,
}

/// How it is sent.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// One row a statement, one statement a message.
    Single,
    /// One row a statement, [`MESSAGE`] statements a message.
    Together,
    /// [`BULK`] rows a statement.
    Bulk,
}

const KINDS: [(&str, Write, Way); 8] = [
    ("INSERT of a row", Write::Insert, Way::Single),
    ("UPDATE of a row", Write::Update, Way::Single),
    ("DELETE of a row", Write::Delete, Way::Single),
    ("INSERT without the way", Write::Insert, Way::Together),
    ("UPDATE without the way", Write::Update, Way::Together),
    ("DELETE without the way", Write::Delete, Way::Together),
    ("INSERT of 100,000 rows", Write::Insert, Way::Bulk),
    ("UPDATE of 100,000 rows", Write::Update, Way::Bulk),
];

fn main() {
    // Cargo passes options of its own.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_default();
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
    println!("| write | form | per row | ratio | target |");
    println!("|---|---|---|---|---|");
    for (name, write, way) in KINDS.into_iter().filter(|kind| kind.0.contains(&only)) {
        let mut times = vec![vec![]; FORMS.len()];
        let turns = if way == Way::Bulk { BULK_TURNS } else { TURNS };
        for turn in 0..turns {
            // Nobody is always the first.
            let order = (0..FORMS.len()).map(|place| (place + turn) % FORMS.len());
            match way {
                Way::Single => {
                    for (times, time) in times.iter_mut().zip(alternating(&mut client, write, turn)) {
                        times.push(time);
                    }
                }
                Way::Together => order.for_each(|form| {
                    times[form].push(together(&mut client, write, &FORMS[form]));
                }),
                Way::Bulk => order.for_each(|form| {
                    times[form].push(bulk(&mut client, write, &FORMS[form]));
                    run(&mut admin, &format!("VACUUM {}", FORMS[form].table));
                }),
            }
            run(&mut admin, "VACUUM");
        }
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        for (form, seconds) in FORMS.iter().zip(&medians) {
            let baseline = FORMS.iter().position(|other| other.table == form.baseline).expect("a form");
            let target = match (form.target, write, way) {
                (None, ..) => String::new(),
                (Some(target), Write::Insert, Way::Bulk) => format!("{:.1}", target.max(1.2)),
                (Some(target), ..) => format!("{target:.1}"),
            };
            let (each, ratio) = (seconds * 1e6, seconds / medians[baseline]);
            println!("| {name} | {} | {each:.2} us | {ratio:.2} | {target} |", form.name);
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

/// The statement that writes a row of its own.
fn statement(write: Write, form: &Form, number: usize) -> String {
    let table = form.table;
    match write {
        Write::Insert => format!("EXECUTE insert_{table} ({})", 1_000_000 + number),
        Write::Update => format!("EXECUTE update_{table} ({})", 1 + number),
        Write::Delete => format!("EXECUTE delete_{table} ({})", 1 + number),
    }
}

/// Seconds that a message takes there and back.
fn time(client: &mut Client, message: &str) -> f64 {
    let began = Instant::now();
    client.batch_execute(message).unwrap_or_else(|error| panic!("{message}: {error:?}"));
    began.elapsed().as_secs_f64()
}

/// Seconds per statement of each form, by turns, in a transaction that is rolled back.
fn alternating(client: &mut Client, write: Write, turn: usize) -> Vec<f64> {
    run(client, "BEGIN");
    let mut sums = vec![0.0; FORMS.len()];
    for number in 0..SINGLE {
        for place in 0..FORMS.len() {
            let form = (place + turn + number) % FORMS.len();
            sums[form] += time(client, &statement(write, &FORMS[form], number));
        }
    }
    run(client, "ROLLBACK");
    sums.into_iter().map(|sum| sum / SINGLE as f64).collect()
}

/// Seconds per statement of one form, many in a message, in a transaction that is rolled back.
fn together(client: &mut Client, write: Write, form: &Form) -> f64 {
    let statements: Vec<String> = (0..SINGLE).map(|number| statement(write, form, number)).collect();
    let messages: Vec<String> = statements.chunks(MESSAGE).map(|some| some.join("; ")).collect();
    run(client, "BEGIN");
    let seconds: f64 = messages.iter().map(|message| time(client, message)).sum();
    run(client, "ROLLBACK");
    seconds / SINGLE as f64
}

/// Seconds per row of one statement, in a transaction that is rolled back.
fn bulk(client: &mut Client, write: Write, form: &Form) -> f64 {
    let (table, columns, values) = (form.table, form.columns(), form.values("i"));
    let statement = match write {
        Write::Insert => {
            let series = format!("generate_series(1000000, {}) AS i", 1_000_000 + BULK - 1);
            format!("INSERT INTO {table} ({columns}) SELECT {values} FROM {series}")
        }
        Write::Update => format!("UPDATE {table} SET body = 'changed'"),
        Write::Delete => format!("DELETE FROM {table}"),
    };
    run(client, "BEGIN");
    let seconds = time(client, &statement);
    run(client, "ROLLBACK");
    seconds / BULK as f64
}
