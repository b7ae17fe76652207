//! What logging in and taking up sessions cost, on a throwaway server, as medians of turns that are taken one after another:
//! how equal an unknown user and a wrong password look, how fast a locked account answers, and what `resume` adds to a
//! transaction.

use std::time::Instant;

use docperm_testkit::{Database, run, server};
use postgres::Client;

const PASSWORD: &str = "correct horse battery";
/// Turns of each kind of login, of which each takes a few dozen milliseconds.
const LOGINS: usize = 60;
/// Turns of each statement.
const STATEMENTS: usize = 2000;

fn main() {
    let database = server().database();
    let mut admin = database.admin();
    run(
        &mut admin,
        &format!(
            "UPDATE docperm.settings SET allow_consecutive_login_attempts = 0;
             INSERT INTO docperm.users (name) SELECT 'user' || i || '@erp.test' FROM generate_series(1, 500) i;
             INSERT INTO docperm.users (name) VALUES ('bob@erp.test'), ('locked@erp.test');
             SELECT docperm.set_password('bob@erp.test', '{PASSWORD}', false);
             INSERT INTO docperm.login_throttle (key, failures, locked_until)
             VALUES ('user locked@erp.test', 10, 'infinity')"
        ),
    );
    logins(&database, &mut admin);
    sessions(&database, &mut admin);
}

/// Seconds that a statement takes, whatever comes of it.
fn time(client: &mut Client, sql: &str) -> f64 {
    let began = Instant::now();
    let _ = client.simple_query(sql);
    began.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(what: &str, seconds: f64, baseline: f64) {
    println!("{what:<58} {:>9.3} ms   {:>5.2}", seconds * 1e3, seconds / baseline);
}

fn logins(database: &Database, admin: &mut Client) {
    let role = database.login_role("app");
    let mut client = database.connect_as(&role);
    let login = |user: &str, password: &str| format!("SELECT docperm.login('{user}', '{password}')");
    let kinds = [
        ("wrong password", login("bob@erp.test", "wrong")),
        ("unknown user", login("nobody@erp.test", "wrong")),
        ("user without a password", login("user1@erp.test", "wrong")),
        ("right password", login("bob@erp.test", PASSWORD)),
        ("locked account", login("locked@erp.test", PASSWORD)),
    ];
    let mut taken = vec![vec![]; kinds.len()];
    for round in 0..LOGINS {
        for turn in 0..kinds.len() {
            let kind = (turn + round) % kinds.len();
            // The count is off but for this account.
            let is_locked = kinds[kind].0 == "locked account";
            run(
                admin,
                &format!(
                    "UPDATE docperm.settings SET allow_consecutive_login_attempts = {}",
                    i32::from(is_locked) * 1000
                ),
            );
            taken[kind].push(time(&mut client, &kinds[kind].1));
        }
    }
    println!("logins, median of {LOGINS}; ratio to a wrong password");
    let medians: Vec<f64> = taken.into_iter().map(median).collect();
    for ((what, _), taken) in kinds.iter().zip(&medians) {
        print(what, *taken, medians[0]);
    }
}

fn sessions(database: &Database, admin: &mut Client) {
    let tokens: Vec<String> = (0..STATEMENTS)
        .map(|number| format!("{:032x}{:011}", number as u128 * 0x9E37_79B9_7F4A_7C15_u128, number))
        .collect();
    // Sessions as a login opens them, without the login's time.
    for (number, token) in tokens.iter().enumerate() {
        run(
            admin,
            &format!(
                "INSERT INTO docperm.sessions (user_name, token_hash)
                 VALUES ('user{}@erp.test', encode(sha256('{token}'), 'hex'))",
                number % 500 + 1
            ),
        );
    }
    let key = admin
        .query_one("SELECT api_key || ':' || api_secret FROM docperm.create_api_key('user1@erp.test')", &[])
        .map(|row| row.get::<_, String>(0))
        .unwrap_or_default();
    let role = database.login_role("app");
    let mut client = database.connect_as(&role);
    let resume = |token: &str| format!("SELECT docperm.resume('{token}', true)");
    let known = &tokens[0];
    let _ = client.simple_query(&resume(known));
    let (mut nothing, mut first, mut again, mut by_key, mut transaction, mut acting) =
        (vec![], vec![], vec![], vec![], vec![], vec![]);
    for token in &tokens[1..] {
        nothing.push(time(&mut client, "SELECT pg_backend_pid()"));
        first.push(time(&mut client, &resume(token)));
        let _ = client.simple_query(&resume(known));
        again.push(time(&mut client, &resume(known)));
        by_key.push(time(&mut client, &resume(&key)));
        transaction.push(time(&mut client, "BEGIN; SELECT pg_backend_pid(); COMMIT"));
        acting.push(time(&mut client, &format!("BEGIN; {}; SELECT pg_backend_pid(); COMMIT", resume(known))));
    }
    println!("\nround trips, median of {}; ratio to a statement that does nothing", tokens.len() - 1);
    let base = median(nothing);
    print("a statement that does nothing", base, base);
    print("resume, a session that the connection does not know", median(first), base);
    print("resume, a session that it knows", median(again), base);
    print("resume, an API key that it knows", median(by_key), base);
    let (without, with) = (median(transaction), median(acting));
    print("a transaction of one statement", without, base);
    print("the same with resume of a known session", with, base);
}
