//! INVARIANT B: every attempt to log in is counted, durably, before its password is verified, and its row in the log is
//! written, whatever the caller does. All of these guess, and all of them are counted.

use std::thread;
use std::time::Duration;

use crate::login::{ANN, BOB, RIGHT, log_in, refused, world};
use crate::support::{World, attempt, one};
use postgres::Client;

fn number(w: &mut World, sql: &str) -> i64 {
    one(&mut w.admin, sql).parse().unwrap()
}

fn failures(w: &mut World) -> i64 {
    number(w, "SELECT coalesce(sum(failures), 0)::int FROM docperm.login_throttle")
}

fn logged(w: &mut World) -> i64 {
    number(w, "SELECT count(*) FROM docperm.activity_log WHERE operation = 'Login'")
}

/// Attempts whose password was verified and wrong.
fn verified(w: &mut World) -> i64 {
    number(w, "SELECT count(*) FROM docperm.activity_log WHERE detail = 'wrong password'")
}

const GUESS: &str = "SELECT docperm.login('bob@erp.test', 'guess')";

#[test]
fn what_the_caller_does_with_his_transaction_changes_nothing() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET allow_consecutive_login_attempts = 0");
    let ways: [&[&str]; 9] = [
        &[GUESS],
        &["SELECT 1 / (docperm.login('bob@erp.test', 'guess') IS NULL)::int"],
        &["BEGIN", GUESS, "ROLLBACK"],
        &["BEGIN", "SAVEPOINT s", GUESS, "ROLLBACK TO s", "ROLLBACK"],
        &[
            "DO $$ BEGIN PERFORM docperm.login('bob@erp.test', 'guess'); EXCEPTION WHEN OTHERS THEN NULL; END $$",
        ],
        &["BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", GUESS, "ROLLBACK"],
        &["SET default_transaction_read_only = on", GUESS, "RESET default_transaction_read_only"],
        &[
            "PREPARE guess AS SELECT docperm.login('bob@erp.test', $1)",
            "EXECUTE guess ('guess')",
            "DEALLOCATE guess",
        ],
        &["SELECT 1 WHERE coalesce(docperm.login('bob@erp.test', 'guess'), '') = 'x'"],
    ];
    let mut c = w.app();
    for (made, way) in (1..).zip(ways) {
        for sql in way {
            let _ = attempt(&mut c, sql);
        }
        assert_eq!((failures(&mut w), logged(&mut w), verified(&mut w)), (made, made, made), "{way:?}");
    }
}

#[test]
fn a_success_that_is_rolled_back_is_written_down_too() {
    let mut w = world();
    let mut c = w.app();
    for way in [
        ["BEGIN".to_owned(), format!("SELECT docperm.login('{BOB}', '{RIGHT}')"), "ROLLBACK".to_owned()],
        [
            "SELECT 1".to_owned(),
            format!("SELECT 1 / (docperm.login('{BOB}', '{RIGHT}') IS NULL)::int"),
            "SELECT 1".to_owned(),
        ],
    ] {
        for sql in &way {
            let _ = attempt(&mut c, sql);
        }
        assert_eq!(one(&mut c, "SELECT docperm.whoami()"), "Guest", "{way:?}");
    }
    assert_eq!(
        number(
            &mut w,
            "SELECT count(*) FROM docperm.activity_log WHERE operation = 'Login' AND status = 'Success'"
        ),
        2
    );
}

#[test]
fn many_guesses_in_one_statement_are_many_attempts() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET allow_consecutive_login_attempts = 3");
    let block = "DO $$
        DECLARE states text := '';
        BEGIN
            FOR i IN 1..6 LOOP
                BEGIN
                    PERFORM docperm.login('bob@erp.test', 'guess' || i);
                EXCEPTION WHEN OTHERS THEN
                    states := states || SQLSTATE || ' ';
                END;
            END LOOP;
            RAISE EXCEPTION '%', states;
        END $$";
    let error = attempt(&mut w.app(), block).unwrap_err();
    assert_eq!(error.message.trim(), "28P01 28P01 28P01 53400 53400 53400");
    assert_eq!((verified(&mut w), logged(&mut w)), (3, 6));
}

#[test]
fn a_timeout_or_a_cancel_does_not_stop_what_has_begun() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET allow_consecutive_login_attempts = 0, argon2_memory_kib = 65536, argon2_iterations = 5");
    w.sql(&format!("SELECT docperm.set_password('{BOB}', '{RIGHT}', false)"));
    let mut c = w.app();
    // Long enough for the worker to begin, too short for it to end.
    c.batch_execute("SET statement_timeout = 60").unwrap();
    let error = attempt(&mut c, GUESS).unwrap_err();
    assert!(["57014", "28P01"].contains(&error.sqlstate.as_str()), "{error:?}");
    settled(&mut w, 1);

    let mut c = w.app();
    let token = c.cancel_token();
    let guessing = thread::spawn(move || attempt(&mut c, GUESS).unwrap_err().sqlstate);
    begun(&mut w, 2);
    let _ = token.cancel_query(postgres::NoTls);
    let sqlstate = guessing.join().unwrap();
    assert!(["57014", "28P01"].contains(&sqlstate.as_str()), "{sqlstate}");
    settled(&mut w, 2);
    assert_eq!(failures(&mut w), 2);
}

#[test]
fn a_killed_connection_does_not_take_its_attempt_along() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET argon2_memory_kib = 65536, argon2_iterations = 5");
    w.sql(&format!("SELECT docperm.set_password('{BOB}', '{RIGHT}', false)"));
    let mut c = w.app();
    let pid = one(&mut c, "SELECT pg_backend_pid()");
    let guessing = thread::spawn(move || c.batch_execute(GUESS).is_err());
    begun(&mut w, 1);
    one(&mut w.admin, &format!("SELECT pg_terminate_backend({pid})"));
    assert!(guessing.join().unwrap());
    settled(&mut w, 1);
    assert_eq!((failures(&mut w), verified(&mut w)), (1, 1));
}

/// Waits until so many attempts are in the log.
#[track_caller]
pub fn begun(w: &mut World, attempts: i64) {
    wait_until(
        w,
        &format!("SELECT count(*) >= {attempts} FROM docperm.activity_log WHERE operation = 'Login'"),
    );
}

/// Waits until so many attempts have ended.
#[track_caller]
fn settled(w: &mut World, attempts: i64) {
    wait_until(
        w,
        &format!(
            "SELECT count(*) = {attempts} FROM docperm.activity_log WHERE operation = 'Login' AND detail <> 'not finished'"
        ),
    );
}

#[track_caller]
pub fn wait_until(w: &mut World, condition: &str) {
    for _ in 0..600 {
        if one(&mut w.admin, condition) == "t" {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("never came true: {condition}");
}

#[test]
fn thirty_two_connections_get_no_more_guesses_than_one() {
    let mut w = world();
    w.sql(
        "UPDATE docperm.settings SET allow_consecutive_login_attempts = 5, allow_login_after_fail = '1 hour'",
    );
    let clients: Vec<Client> = (0..32).map(|_| w.app()).collect();
    let guessing: Vec<_> = clients
        .into_iter()
        .map(|mut c| thread::spawn(move || refused(log_in(&mut c, BOB, "guess")).sqlstate))
        .collect();
    let answers: Vec<String> = guessing.into_iter().map(|guess| guess.join().unwrap()).collect();
    let count = |sqlstate: &str| answers.iter().filter(|answer| *answer == sqlstate).count();
    assert_eq!((count("28P01"), count("53400")), (5, 27), "{answers:?}");
    assert_eq!((verified(&mut w), logged(&mut w)), (5, 32));
}

#[test]
fn connections_with_the_right_password_do_not_lock_each_other_out() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET allow_consecutive_login_attempts = 2");
    let clients: Vec<Client> = (0..12).map(|_| w.app()).collect();
    let logins: Vec<_> =
        clients.into_iter().map(|mut c| thread::spawn(move || log_in(&mut c, BOB, RIGHT).is_ok())).collect();
    assert!(logins.into_iter().all(|login| login.join().unwrap()));
    assert_eq!(failures(&mut w), 0);
}

#[test]
fn advisory_locks_of_strangers_are_in_nobodys_way() {
    let w = world();
    let mut stranger = w.app();
    // Every lock that SQL can take on the numbers that docperm takes for Bob's attempts, his sessions and the four hashes at a
    // time: as one number, and as two.
    stranger
        .batch_execute(
            "SET statement_timeout = '60s';
             SELECT pg_advisory_lock(l.high << 32 | l.low), pg_advisory_lock(l.high::bit(32)::int, l.low::bit(32)::int)
               FROM (SELECT ('x' || encode(substr(sha256(k::bytea), 1, 4), 'hex'))::bit(32)::bigint,
                            ('x' || encode(substr(sha256(k::bytea), 5, 4), 'hex'))::bit(32)::bigint
                       FROM unnest('{user bob@erp.test,sessions of bob@erp.test}'::text[]) AS k
                     UNION ALL
                     SELECT place, 4294967295 FROM generate_series(0, 3) AS place) AS l (high, low)",
        )
        .unwrap();
    let mut c = w.app();
    c.batch_execute("SET statement_timeout = '20s'").unwrap();
    log_in(&mut c, BOB, RIGHT).unwrap();
}

#[test]
fn nobody_can_undo_the_count_or_read_it() {
    let w = world();
    let mut c = w.app();
    refused(log_in(&mut c, BOB, "guess"));
    for sql in [
        "DELETE FROM docperm.login_throttle",
        "SELECT * FROM docperm.login_throttle",
        "SELECT * FROM docperm.locked_users",
        "TRUNCATE docperm.activity_log",
        "SELECT * FROM docperm.activity_log",
        "SELECT * FROM docperm.sessions",
        "SELECT * FROM docperm.passwords",
        "SELECT * FROM docperm.api_keys",
        "DO $$ BEGIN LOCK TABLE docperm.login_throttle; END $$",
        "DO $$ BEGIN LOCK TABLE docperm.users; END $$",
        "SELECT docperm._settle_attempt(1, '{user bob@erp.test}', 'right', true, NULL)",
        "SELECT docperm._begin_attempt('Login', 'x', '{user x}', NULL)",
        "SELECT docperm._attempt_keys('x', NULL, false)",
        "SELECT docperm._open_session('bob@erp.test', repeat('0', 64), NULL, NULL, NULL)",
        "SELECT docperm._log_activity('Login', 'bob@erp.test', true, NULL, NULL)",
        "SELECT docperm._touch_session(1, '1 s')",
        "SELECT docperm._end_sessions_of('ann@erp.test', false)",
        "SELECT docperm._wait_for_turn('user bob@erp.test')",
        "SELECT docperm._end_impersonation()",
        "SELECT docperm._random_token()",
        "SELECT docperm.clear_activity_log('0 s')",
        "SELECT docperm.unlock('bob@erp.test')",
        "SELECT docperm.impersonate('ann@erp.test', 'I want to')",
        "SELECT docperm.logout_all('ann@erp.test')",
    ] {
        assert_eq!(attempt(&mut c, sql).unwrap_err().sqlstate, "42501", "{sql}");
    }
    log_in(&mut c, ANN, RIGHT).unwrap();
}

#[test]
fn settings_of_the_database_do_not_decide_how_attempts_are_counted() {
    let mut w = world();
    let db = w.db.name().to_owned();
    w.sql(&format!(
        "ALTER DATABASE {db} SET default_transaction_read_only = on;
         ALTER DATABASE {db} SET default_transaction_isolation = 'serializable';
         ALTER DATABASE {db} SET search_path = 'nowhere';
         ALTER DATABASE {db} SET statement_timeout = '10 min';
         ALTER DATABASE {db} SET role = '{app}'",
        app = w.app_role
    ));
    let mut c = w.app();
    refused(log_in(&mut c, BOB, "guess"));
    log_in(&mut c, BOB, RIGHT).unwrap();
    assert_eq!(logged(&mut w), 2);
}

/// docperm's own locks: `auth::turn`.
const TURNS: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 25712
                        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// A login worker of this database that waits for a lock.
const WAITING: &str = "SELECT count(*) > 0 FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'docperm login' AND wait_event_type = 'Lock'";

#[test]
fn a_login_that_waits_to_be_noted_keeps_the_next_one_from_nothing() {
    let mut w = world();
    let mut holder = w.db.admin();
    holder.batch_execute("BEGIN; SELECT FROM docperm.users FOR NO KEY UPDATE").unwrap();
    let mut c = w.app();
    log_in(&mut c, BOB, RIGHT).unwrap();
    // Its worker is still there to write down the last login; who comes next takes his turn meanwhile.
    wait_until(&mut w, WAITING);
    assert_eq!(one(&mut w.admin, TURNS), "0");
    log_in(&mut c, BOB, RIGHT).unwrap();
    holder.batch_execute("ROLLBACK").unwrap();
    assert_eq!((failures(&mut w), logged(&mut w)), (0, 2));
}

#[test]
fn an_unknown_user_takes_the_work_of_a_known_one() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET argon2_memory_kib = 262144, allow_consecutive_login_attempts = 0");
    w.sql(&format!("SELECT docperm.set_password('{BOB}', '{RIGHT}', false)"));
    for user in [BOB, "nobody@erp.test", "' OR true --", ANN] {
        if user == ANN {
            w.sql(&format!("DELETE FROM docperm.passwords WHERE user_name = '{ANN}'"));
        }
        w.sql("DELETE FROM docperm.activity_log");
        // The worker is held after it has counted and before it verifies, and again when it writes down what came of it.
        let (mut before, mut after) = (w.db.admin(), w.db.admin());
        before.batch_execute("BEGIN; LOCK TABLE docperm.passwords").unwrap();
        let (mut c, user) = (w.app(), user.to_owned());
        let guessing = thread::spawn(move || refused(log_in(&mut c, &user, "guess")).sqlstate);
        begun(&mut w, 1);
        after.batch_execute("BEGIN; SELECT FROM docperm.activity_log FOR UPDATE").unwrap();
        before.batch_execute("COMMIT").unwrap();
        wait_until(&mut w, &WAITING.replace("= 'Lock'", "= 'Lock' AND wait_event = 'transactionid'"));
        let worker = one(
            &mut w.admin,
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'docperm login'",
        );
        let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
        after.batch_execute("COMMIT").unwrap();
        assert_eq!(guessing.join().unwrap(), "28P01");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u32 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak > 262_144, "the memory that hashing takes was used: {peak} KiB");
    }
}

#[test]
fn a_password_does_not_stay_in_shared_memory() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET allow_consecutive_login_attempts = 0");
    let mut holder = w.db.admin();
    holder.batch_execute("BEGIN; LOCK TABLE docperm.passwords").unwrap();
    let secret = format!("left in the mailbox {}", std::process::id());
    let (mut c, typed) = (w.app(), secret.clone());
    let guessing = thread::spawn(move || refused(log_in(&mut c, BOB, &typed)).sqlstate);
    begun(&mut w, 1);
    let mut looked_at = 0;
    for file in std::fs::read_dir("/dev/shm").unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("PostgreSQL.") {
            let Ok(content) = std::fs::read(file.path()) else { continue };
            looked_at += 1;
            assert!(!content.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{file:?}");
        }
    }
    assert!(looked_at > 0, "shared memory is where it is looked for");
    holder.batch_execute("COMMIT").unwrap();
    assert_eq!(guessing.join().unwrap(), "28P01");
}

#[test]
fn a_prepared_transaction_takes_no_attempt_along() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET allow_consecutive_login_attempts = 0");
    let id = format!("guess {}", w.db.name());
    let mut c = w.app();
    c.batch_execute("BEGIN").unwrap();
    log_in(&mut c, BOB, RIGHT).unwrap();
    c.batch_execute(&format!("PREPARE TRANSACTION '{id}'")).unwrap();
    c.batch_execute(&format!("ROLLBACK PREPARED '{id}'")).unwrap();
    assert_eq!(logged(&mut w), 1);
    for end in ["COMMIT", "ROLLBACK"] {
        c.batch_execute("BEGIN; SAVEPOINT s").unwrap();
        refused(log_in(&mut c, BOB, "guess"));
        c.batch_execute("ROLLBACK TO s").unwrap();
        c.batch_execute(&format!("PREPARE TRANSACTION '{id}'")).unwrap();
        c.batch_execute(&format!("{end} PREPARED '{id}'")).unwrap();
    }
    assert_eq!((failures(&mut w), logged(&mut w)), (2, 3));
}

#[test]
fn what_is_too_long_is_refused_before_it_is_copied() {
    let mut w = world();
    let mut c = w.app();
    let long = "repeat(chr(1), 10000000)";
    for sql in [
        format!("SELECT docperm.login({long}, 'x')"),
        format!("SELECT docperm.login('{BOB}', {long})"),
        format!("SELECT docperm.login('{BOB}', 'x', otp => {long})"),
        format!("SELECT docperm.login_with_id_token({long}, 'x')"),
        format!("SELECT docperm.login_with_id_token('x', {long})"),
        format!("SELECT docperm.login_with_id_token('x', 'x', {long})"),
    ] {
        assert_eq!(attempt(&mut c, &sql).unwrap_err().sqlstate, "22023", "{sql}");
    }
    let long = format!("SELECT docperm.impersonate('{BOB}', repeat('x', 5000))");
    assert_eq!(attempt(&mut w.acting("Administrator"), &long).unwrap_err().sqlstate, "22023");
    assert_eq!(logged(&mut w), 0);
}

#[test]
fn hostile_names_are_nobody() {
    let mut w = world();
    let mut c = w.app();
    let names = [
        "\"",
        "{\"Login\":1}",
        "a\nb",
        "\u{feff}bob@erp.test",
        "ｂob@erp.test",
        "%",
        "bob@erp.test\t",
        "\u{202e}bob",
    ];
    for name in names {
        let error = c.query_one("SELECT docperm.login($1, $2)", &[&name, &RIGHT]).unwrap_err();
        assert_eq!(docperm_testkit::db_error(&error).sqlstate, "28P01", "{name:?}");
    }
    assert_eq!(
        number(&mut w, "SELECT count(*) FROM docperm.activity_log WHERE detail = 'unknown user'"),
        names.len() as i64
    );
}

#[test]
fn whoever_goes_before_his_worker_comes_takes_nobody_along() {
    let w = world();
    let mut witness = w.app();
    for milliseconds in 1..=20 {
        let mut c = w.app();
        c.batch_execute(&format!("SELECT docperm.whoami(); SET statement_timeout = {milliseconds}")).unwrap();
        let sqlstate =
            attempt(&mut c, "SELECT docperm.login('nobody@erp.test', 'guess')").unwrap_err().sqlstate;
        assert!(["57014", "28P01", "53400"].contains(&sqlstate.as_str()), "{sqlstate}");
    }
    // A process that crashes would have broken all connections.
    assert_eq!(one(&mut witness, "SELECT docperm.whoami()"), "Guest");
    log_in(&mut w.app(), BOB, RIGHT).unwrap();
}

#[test]
fn more_who_come_at_once_than_are_hashed_at_a_time_wait() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET argon2_memory_kib = 65536");
    let mut holder = w.db.admin();
    holder.batch_execute("BEGIN; LOCK TABLE docperm.passwords").unwrap();
    let guessing: Vec<_> = (0..8)
        .map(|n| {
            let mut c = w.app();
            thread::spawn(move || refused(log_in(&mut c, &format!("nobody{n}@erp.test"), "guess")).sqlstate)
        })
        .collect();
    begun(&mut w, 8);
    holder.batch_execute("COMMIT").unwrap();
    // docperm's own kind of advisory lock; the last number is that of hashing.
    let turns =
        "SELECT count(*) FILTER (WHERE granted) || ' ' || count(*) FILTER (WHERE NOT granted) FROM pg_locks
                  WHERE locktype = 'advisory' AND objsubid = 25712 AND objid::bigint = 4294967295
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let (mut at_most, mut waited) = (0, false);
    while !guessing.iter().all(|guess| guess.is_finished()) {
        let seen = one(&mut w.admin, turns);
        let (hashing, waiting) = seen.split_once(' ').unwrap();
        at_most = at_most.max(hashing.parse::<u32>().unwrap());
        waited |= waiting != "0";
    }
    assert!((1..=4).contains(&at_most) && waited, "{at_most} at a time, {waited}");
    for guess in guessing {
        assert_eq!(guess.join().unwrap(), "28P01");
    }
    let log = std::fs::read(docperm_testkit::server().socket_dir().join("server.log")).unwrap();
    assert!(
        !String::from_utf8_lossy(&log).contains("you don't own a lock"),
        "nobody gives back what he has not"
    );
}
