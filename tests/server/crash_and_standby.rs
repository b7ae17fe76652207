//! What a crash of the server and a hot standby mean for logins and sessions.

use std::thread;
use std::time::Duration;

use crate::support::{attempt, one};
use docperm_testkit::{Server, run};
use postgres::Client;

const SETUP: &str = "
    CREATE EXTENSION docperm;
    UPDATE docperm.settings SET argon2_memory_kib = 8192, argon2_iterations = 1, allow_consecutive_login_attempts = 3,
                                allow_login_after_fail = '1 hour';
    CREATE TABLE memo (name text PRIMARY KEY, owner text);
    INSERT INTO memo VALUES ('m1', 'bob@erp.test'), ('m2', 'ann@erp.test');
    SELECT docperm.protect('memo', 'Memo', owner_column => 'owner');
    INSERT INTO docperm.users (name) VALUES ('bob@erp.test'), ('ann@erp.test');
    INSERT INTO docperm.roles (name) VALUES ('Reader');
    INSERT INTO docperm.user_roles SELECT name, 'Reader' FROM docperm.users WHERE name LIKE '%@%';
    INSERT INTO docperm.role_permissions (doctype, role, if_owner, rights) VALUES ('Memo', 'Reader', true, '{read}');
    SELECT docperm.set_password('bob@erp.test', 'correct horse battery', false);
    SELECT docperm.set_password('ann@erp.test', 'correct horse battery', false);
    CREATE ROLE app LOGIN;
    GRANT SELECT ON memo TO app;";

fn admin(server: &Server) -> Client {
    server.connect("postgres", "postgres", None)
}

fn app(server: &Server) -> Client {
    server.connect("app", "postgres", None)
}

const LOGIN: &str = "SELECT docperm.login('bob@erp.test', 'correct horse battery')";
const GUESS: &str = "SELECT docperm.login('bob@erp.test', 'guess')";

#[test]
fn what_was_counted_is_counted_after_a_crash() {
    // Other transactions of this server are lost in a crash; attempts are not.
    let server = Server::private(&["synchronous_commit = off", "wal_writer_delay = 10s"]);
    run(&mut admin(&server), SETUP);
    run(&mut admin(&server), "CHECKPOINT");
    for _ in 0..3 {
        assert_eq!(attempt(&mut app(&server), GUESS).unwrap_err().sqlstate, "28P01");
    }
    server.crash();
    assert_eq!(attempt(&mut app(&server), LOGIN).unwrap_err().sqlstate, "53400", "locked, as before");
    assert_eq!(
        one(&mut admin(&server), "SELECT count(*) FROM docperm.activity_log WHERE operation = 'Login'"),
        "4"
    );
    assert_eq!(one(&mut admin(&server), "SELECT user_name FROM docperm.locked_users"), "bob@erp.test");
}

#[test]
fn an_attempt_that_a_crash_interrupts_was_made() {
    let server = Server::private(&[]);
    run(&mut admin(&server), SETUP);
    // Hashing takes long enough to be killed in.
    run(
        &mut admin(&server),
        "UPDATE docperm.settings SET argon2_memory_kib = 262144, argon2_iterations = 4, allow_consecutive_login_attempts = 1;
         SELECT docperm.set_password('bob@erp.test', 'correct horse battery', false)",
    );
    let mut c = app(&server);
    let guessing = thread::spawn(move || c.batch_execute(GUESS).is_err());
    let mut watcher = admin(&server);
    while one(&mut watcher, "SELECT count(*) FROM docperm.activity_log WHERE detail = 'not finished'") == "0"
    {
        thread::sleep(Duration::from_millis(5));
    }
    server.crash();
    assert!(guessing.join().unwrap());
    assert_eq!(attempt(&mut app(&server), LOGIN).unwrap_err().sqlstate, "53400");
    let logged = one(
        &mut admin(&server),
        "SELECT status || ' ' || detail FROM docperm.activity_log ORDER BY id DESC OFFSET 1 LIMIT 1",
    );
    assert_eq!(logged, "Failed not finished");
}

#[test]
fn without_a_free_worker_nothing_is_verified() {
    let server = Server::private(&["max_worker_processes = 1"]);
    run(&mut admin(&server), SETUP);
    // The one slot belongs to logical replication's launcher.
    let error = attempt(&mut app(&server), LOGIN).unwrap_err();
    assert_eq!(error.sqlstate, "53400");
    assert!(error.hint.unwrap().contains("max_worker_processes"));
    assert_eq!(
        one(&mut admin(&server), "SELECT count(*) FROM docperm.activity_log WHERE operation = 'Login'"),
        "0"
    );
}

#[test]
fn a_standby_filters_and_takes_up_sessions_and_logs_nobody_in() {
    let primary = Server::private(&[]);
    run(&mut admin(&primary), SETUP);
    let token = one(&mut app(&primary), LOGIN);
    let key = one(
        &mut admin(&primary),
        "SELECT api_key || ':' || api_secret FROM docperm.create_api_key('ann@erp.test')",
    );
    let standby = primary.standby();
    let caught_up = |c: &mut Client| {
        let written = one(&mut admin(&primary), "SELECT pg_current_wal_insert_lsn()");
        while one(c, &format!("SELECT pg_last_wal_replay_lsn() >= '{written}'")) != "t" {
            thread::sleep(Duration::from_millis(10));
        }
    };
    let mut watcher = admin(&standby);
    caught_up(&mut watcher);

    let mut c = app(&standby);
    let error = attempt(&mut c, LOGIN).unwrap_err();
    assert_eq!((error.sqlstate.as_str(), error.hint.is_some()), ("25006", true));
    assert_eq!(one(&mut c, "SELECT count(*) FROM memo"), "0", "Guest");
    assert_eq!(one(&mut c, &format!("SELECT docperm.resume('{token}')")), "bob@erp.test");
    assert_eq!(one(&mut c, "SELECT name FROM memo"), "m1");
    c.batch_execute("SET plan_cache_mode = force_generic_plan; PREPARE memos AS SELECT name FROM memo")
        .unwrap();
    assert_eq!(one(&mut c, "EXECUTE memos"), "m1");
    let mut d = app(&standby);
    assert_eq!(one(&mut d, &format!("SELECT docperm.resume('{key}')")), "ann@erp.test");
    assert_eq!(one(&mut d, "SELECT name FROM memo"), "m2");

    // A login on the primary opens here, and what ends there ends here.
    let second = one(&mut app(&primary), LOGIN);
    caught_up(&mut watcher);
    assert_eq!(one(&mut app(&standby), &format!("SELECT docperm.resume('{second}')")), "bob@erp.test");
    run(&mut admin(&primary), "SELECT docperm.logout_all('bob@erp.test')");
    caught_up(&mut watcher);
    assert_eq!(attempt(&mut c, "EXECUTE memos").unwrap_err().sqlstate, "28000");
    run(&mut admin(&primary), "UPDATE memo SET owner = 'nobody@erp.test'; DELETE FROM docperm.user_roles");
    caught_up(&mut watcher);
    assert_eq!(one(&mut d, "SELECT count(*) FROM memo"), "0");
}
