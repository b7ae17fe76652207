//! What others can read of a statement that holds a secret: in the server's log, and in pg_stat_activity, whose texts
//! PostgreSQL also logs of those in a deadlock and of a process that crashed. All of it with the settings of a new server,
//! where statements are logged when they fail.

use std::path::Path;
use std::process::Command;
use std::thread;

use crate::attempts::wait_until;
use crate::login::{BOB, RIGHT, log_in, world};
use crate::support::{attempt, one};
use docperm_testkit::{Server, run, server};

fn log_of(socket_dir: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(socket_dir.join("server.log")).unwrap()).into_owned()
}

#[track_caller]
fn keeps(text: &str, secret: &str) {
    if let Some(at) = text.find(secret) {
        let from = (0..=at.saturating_sub(200)).rev().find(|from| text.is_char_boundary(*from)).unwrap_or(0);
        panic!("{secret} can be read: {}", &text[from..at + secret.len()]);
    }
}

#[test]
fn no_secret_is_in_the_log_whatever_goes_wrong() {
    let mut w = world();
    let token = log_in(&mut w.app(), BOB, RIGHT).unwrap();
    let key = one(&mut w.acting(BOB), "SELECT api_key || ':' || api_secret FROM docperm.create_api_key()");
    let mut c = w.app();
    one(&mut c, "SELECT docperm.whoami()");
    let s = format!("s3cret-{}", std::process::id());
    for sql in [
        // docperm is not called at all.
        format!("SELECT docperm.login('{BOB}', '{s}'"),
        format!("SELECT docperm.login('{BOB}', '{s}', wrong_argument => 1)"),
        format!("SELECT docperm.login('{BOB}', '{s}'), 1 / 0"),
        format!("SELECT docperm.login('{BOB}', '{s}', client_address => 'nowhere')"),
        format!("SELECT docperm.resume('{token}', 'maybe')"),
        format!("SELECT docperm.change_password('{s}', '{s}', 1, 2)"),
        format!("DO $$ BEGIN EXECUTE 'SELECT docperm.login(''x'', ''{s}'''; END $$"),
        format!("SET docperm.session = '{token}', '{token}'"),
        // docperm is called, and then or before something fails.
        format!("SELECT docperm.login('{BOB}', '{s}')"),
        format!("SELECT 1 / (docperm.login('{BOB}', '{RIGHT}') IS NULL)::int"),
        format!("SELECT docperm.login_with_id_token('none', '{s}')"),
        format!("SELECT docperm.login_with_id_token('{s}', '{s}')"),
        format!("SELECT docperm.resume('{s}')"),
        format!("SELECT 1 / (docperm.resume('{token}', true) IS NULL)::int"),
        format!("SELECT 1 / (docperm.resume('{key}', true) IS NULL)::int"),
        format!("SET docperm.session = '{s}'; SELECT docperm.whoami()"),
        format!("SELECT set_config('docperm.session', '{token}', true), 1 / (random() * 0)::int"),
        format!(
            "SET statement_timeout = 1; SELECT docperm.login('{BOB}', '{s}') FROM generate_series(1, 100)"
        ),
        format!("SELECT docperm.confirm_two_factor('{s}')"),
        format!("SELECT docperm.end_impersonation(own_token => '{s}')"),
    ] {
        assert!(attempt(&mut c, &sql).is_err(), "{sql}");
        c.batch_execute("RESET ALL").unwrap();
    }
    // In a transaction that is over.
    for sql in [
        format!("SELECT docperm.login('{BOB}', '{s}')"),
        format!("SELECT docperm.resume('{token}', true)"),
        format!("SELECT docperm.resume('{key}', true)"),
        format!("SET LOCAL docperm.session = '{token}'"),
    ] {
        c.batch_execute("BEGIN").unwrap();
        assert!(attempt(&mut c, "SELECT 1 / 0").is_err());
        assert_eq!(attempt(&mut c, &sql).unwrap_err().sqlstate, "25P02");
        c.batch_execute("ROLLBACK").unwrap();
    }
    assert!(attempt(&mut c, "SELECT 1 / 0 AS plain_statement_of_log_secrecy").is_err());

    let log = log_of(server().socket_dir());
    assert!(log.contains("plain_statement_of_log_secrecy"), "the log is read, and statements are in it");
    for secret in [&s, &token, key.split_once(':').unwrap().1, RIGHT] {
        keeps(&log, secret);
    }
    let activity = one(&mut w.admin, "SELECT string_agg(l::text, ' ') FROM docperm.activity_log AS l");
    for secret in [&s, &token, &key] {
        keeps(&activity, secret);
    }
}

#[test]
fn whoever_shares_the_database_role_reads_no_secret() {
    let w = world();
    let token = log_in(&mut w.app(), BOB, RIGHT).unwrap();
    let mut neighbour = w.app();
    let mut c = w.app();
    for sql in [
        format!("SELECT docperm.login('{BOB}', '{RIGHT}')"),
        format!("SELECT docperm.resume('{token}')"),
        format!("SET docperm.session = '{token}'"),
        format!("SELECT set_config('docperm.session', '{token}', false)"),
        format!("BEGIN; SELECT docperm.resume('{token}', true)"),
        "COMMIT".to_owned(),
        format!("SELECT docperm.change_password('{RIGHT}', '{RIGHT}')"),
        format!("SELECT docperm.confirm_two_factor('{RIGHT}')"),
        // Those that fail before docperm is called.
        format!("SELECT docperm.login('{BOB}', '{RIGHT}'"),
        format!("SELECT docperm.login('{BOB}', '{RIGHT}', wrong_argument => 1)"),
        format!("SELECT set_password('{BOB}', '{RIGHT}')"),
        format!("BEGIN; SELECT 1 / 0; SELECT docperm.resume('{token}')"),
        format!("SELECT docperm.resume('{token}', true)"),
        "ROLLBACK".to_owned(),
    ] {
        let _ = attempt(&mut c, &sql);
        let seen = one(
            &mut neighbour,
            "SELECT string_agg(query, ' ') FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
        );
        keeps(&seen, &token);
        keeps(&seen, RIGHT);
    }
    // Statements without a secret are shown as ever.
    one(&mut c, "SELECT 'plain statement'");
    let seen = one(
        &mut neighbour,
        "SELECT string_agg(query, ' ') FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    );
    assert!(seen.contains("plain statement"));
}

/// What a site has logged on purpose is its own affair, and docs/logging-in.md says what becomes of it. If PostgreSQL or docperm
/// does otherwise one day, the document has to be written anew.
#[test]
fn what_is_logged_on_purpose_holds_texts_and_unless_it_is_told_not_to_parameters() {
    let logged = |settings: &[&str]| {
        let server = Server::private(settings);
        let mut c = server.connect("postgres", "postgres", None);
        run(&mut c, "CREATE EXTENSION docperm");
        for call in ["docperm.login('bob', {})", "docperm.password_strength({})"] {
            let _ = c.batch_execute(&format!("SELECT {}", call.replace("{}", "'within-the-text'")));
            let _ = c.query(&format!("SELECT FROM {}", call.replace("{}", "$1")), &[&"a-parameter"]);
        }
        let log = log_of(server.socket_dir());
        (log.contains("within-the-text"), log.contains("a-parameter"))
    };
    assert_eq!(logged(&[]), (false, false));
    assert_eq!(logged(&["log_parameter_max_length_on_error = -1"]), (false, false));
    assert_eq!(logged(&["log_statement = all"]), (true, true));
    assert_eq!(logged(&["log_min_duration_statement = 0"]), (true, true));
    assert_eq!(logged(&["log_statement = all", "log_parameter_max_length = 0"]), (true, false));
    assert_eq!(logged(&["log_min_duration_statement = 0", "log_parameter_max_length = 0"]), (true, false));
}

/// Nobody looks at messages before the library is loaded.
#[test]
fn a_first_statement_that_fails_is_logged_unless_the_library_is_there_before() {
    let is_logged = |settings: &[&str]| {
        let server = Server::private(settings);
        run(&mut server.connect("postgres", "postgres", None), "CREATE EXTENSION docperm");
        let mut c = server.connect("postgres", "postgres", None);
        c.batch_execute("SELECT docperm.login('bob', 'first-of-all'").unwrap_err();
        log_of(server.socket_dir()).contains("first-of-all")
    };
    assert!(is_logged(&[]));
    assert!(!is_logged(&["session_preload_libraries = docperm"]));
}

#[test]
fn a_deadlock_tells_no_secret_of_the_other() {
    let mut w = world();
    w.sql("CREATE TABLE place (n int PRIMARY KEY, v int); INSERT INTO place VALUES (1, 0), (2, 0)");
    w.grant_tables();
    let token = log_in(&mut w.app(), BOB, RIGHT).unwrap();
    let (mut c, mut d) = (w.app(), w.app());
    c.batch_execute("BEGIN; UPDATE place SET v = 1 WHERE n = 1").unwrap();
    d.batch_execute("BEGIN; UPDATE place SET v = 1 WHERE n = 2").unwrap();
    let block = format!(
        "DO $$ BEGIN PERFORM docperm.resume('{token}', true); UPDATE place SET v = 2 WHERE n = 2; END $$"
    );
    let waiting = thread::spawn(move || attempt(&mut c, &block).is_err());
    wait_until(
        &mut w,
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
    let other = attempt(&mut d, "UPDATE place SET v = 2 WHERE n = 1").is_err();
    assert!(waiting.join().unwrap() || other, "one of them has lost");
    let log = log_of(server().socket_dir());
    assert!(log.contains("deadlock detected"));
    keeps(&log, &token);
}

#[test]
fn a_crash_tells_no_secret_of_who_crashed() {
    let server = Server::private(&[]);
    let mut admin = server.connect("postgres", "postgres", None);
    run(
        &mut admin,
        "CREATE EXTENSION docperm;
         UPDATE docperm.settings SET argon2_memory_kib = 8192, argon2_iterations = 1;
         INSERT INTO docperm.users (name) VALUES ('bob@erp.test');
         SELECT docperm.set_password('bob@erp.test', 'correct horse battery', false)",
    );
    let token = one(&mut admin, "SELECT docperm.login('bob@erp.test', 'correct horse battery')");
    let mut c = server.connect("postgres", "postgres", None);
    let pid = one(&mut c, "SELECT pg_backend_pid()");
    let running = thread::spawn(move || {
        c.batch_execute(&format!("SELECT docperm.resume('{token}'), pg_sleep(60)")).unwrap_err();
        token
    });
    admin.batch_execute("RESET docperm.session").unwrap();
    let sleeps =
        format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'PgSleep'");
    while one(&mut admin, &sleeps) == "0" {
        thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    let token = running.join().unwrap();
    let log = loop {
        let log = log_of(server.socket_dir());
        if log.contains("Failed process was running") {
            break log;
        }
        thread::sleep(std::time::Duration::from_millis(20));
    };
    keeps(&log, &token);
}
