//! Taking access away. Whoever loses it can neither delay that nor live on in another guise.

use std::thread;
use std::time::Duration;

use crate::attempts::wait_until;
use crate::login::{ANN, BOB, RIGHT, log_in, world};
use crate::support::{World, attempt, one, table};
use docperm_testkit::{Server, ServerError, run};
use postgres::Client;

const BOSS: &str = "boss@erp.test";

fn resume(c: &mut Client, token: &str) -> Result<(), ServerError> {
    attempt(c, &format!("SELECT docperm.resume('{token}')")).map(|_| ())
}

#[track_caller]
fn ended(c: &mut Client, token: &str) {
    assert_eq!(resume(c, token).unwrap_err().sqlstate, "28000");
}

/// An administrator who does not wait.
fn impatient(w: &World) -> Client {
    let mut c = w.db.admin();
    c.batch_execute("SET lock_timeout = '5s'").unwrap();
    c
}

const DISABLE: &str = "UPDATE docperm.users SET enabled = false WHERE name = 'bob@erp.test'";
const ENABLE: &str = "UPDATE docperm.users SET enabled = true WHERE name = 'bob@erp.test'";

#[test]
fn a_session_in_use_is_in_nobodys_way() {
    let mut w = world();
    let bob = log_in(&mut w.app(), BOB, RIGHT).unwrap();
    w.sql("UPDATE docperm.sessions SET last_active = now() - interval '10 min'");
    let mut c = w.app();
    c.batch_execute("BEGIN").unwrap();
    resume(&mut c, &bob).unwrap();
    wait_until(&mut w, "SELECT last_active > now() - interval '1 min' FROM docperm.sessions");
    // The transaction stays open.
    let mut admin = impatient(&w);
    admin.batch_execute("INSERT INTO docperm.user_roles VALUES ('bob@erp.test', 'System Manager')").unwrap();
    admin.batch_execute("SELECT docperm.logout_all('bob@erp.test')").unwrap();
    assert_eq!(attempt(&mut c, "SELECT body FROM memo").unwrap_err().sqlstate, "28000");
}

#[test]
fn nobody_delays_being_disabled() {
    for hold in ["SELECT docperm.logout()", "SELECT docperm.end_session(id) FROM docperm.my_sessions()"] {
        let w = world();
        let bob = log_in(&mut w.app(), BOB, RIGHT).unwrap();
        let mut c = w.app();
        resume(&mut c, &bob).unwrap();
        c.batch_execute("BEGIN").unwrap();
        c.batch_execute(hold).unwrap();
        let mut admin = impatient(&w);
        admin.batch_execute(DISABLE).unwrap();
        ended(&mut w.app(), &bob);
        c.batch_execute("ROLLBACK").unwrap();
        ended(&mut w.app(), &bob);
        assert_eq!(attempt(&mut c, "SELECT body FROM memo").unwrap_err().sqlstate, "28000", "{hold}");
        // What could not be ended then is ended now.
        admin.batch_execute(ENABLE).unwrap();
        ended(&mut w.app(), &bob);
    }
}

#[test]
fn nor_by_a_prepared_transaction_which_no_crash_ends() {
    let w = world();
    let bob = log_in(&mut w.app(), BOB, RIGHT).unwrap();
    let id = format!("held {}", w.db.name());
    let mut c = w.app();
    resume(&mut c, &bob).unwrap();
    let mut other = w.app();
    resume(&mut other, &bob).unwrap();
    c.batch_execute(&format!("BEGIN; SELECT docperm.logout(); PREPARE TRANSACTION '{id}'")).unwrap();
    one(&mut other, "SELECT body FROM memo");
    impatient(&w).batch_execute(DISABLE).unwrap();
    assert_eq!(attempt(&mut other, "SELECT body FROM memo").unwrap_err().sqlstate, "28000");
    c.batch_execute(&format!("ROLLBACK PREPARED '{id}'")).unwrap();
    impatient(&w).batch_execute(ENABLE).unwrap();
    ended(&mut other, &bob);
}

#[test]
fn a_session_ended_in_a_prepared_transaction_ends_when_it_is_committed() {
    let w = world();
    let bob = log_in(&mut w.app(), BOB, RIGHT).unwrap();
    let id = format!("ended {}", w.db.name());
    let (mut c, mut other) = (w.app(), w.app());
    for client in [&mut c, &mut other] {
        resume(client, &bob).unwrap();
    }
    one(&mut other, "SELECT body FROM memo");
    c.batch_execute(&format!("BEGIN; SELECT docperm.logout(); PREPARE TRANSACTION '{id}'")).unwrap();
    one(&mut other, "SELECT body FROM memo");
    c.batch_execute(&format!("COMMIT PREPARED '{id}'")).unwrap();
    assert_eq!(attempt(&mut other, "SELECT body FROM memo").unwrap_err().sqlstate, "28000");
}

#[test]
fn a_token_that_is_local_ends_with_the_prepared_transaction() {
    let w = world();
    let bob = log_in(&mut w.app(), BOB, RIGHT).unwrap();
    let id = format!("local {}", w.db.name());
    let mut c = w.app();
    c.batch_execute(&format!("BEGIN; SELECT docperm.resume('{bob}', true); PREPARE TRANSACTION '{id}'"))
        .unwrap();
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), "Guest");
    c.batch_execute(&format!("COMMIT PREPARED '{id}'")).unwrap();
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), "Guest");
}

#[test]
fn a_restored_session_replica_or_not_is_noticed() {
    // As a logical replication worker writes.
    let mut w = world();
    let bob = log_in(&mut w.app(), BOB, RIGHT).unwrap();
    let mut c = w.app();
    resume(&mut c, &bob).unwrap();
    one(&mut c, "SELECT body FROM memo");
    w.sql("SET session_replication_role = replica; DELETE FROM docperm.sessions; RESET session_replication_role");
    assert_eq!(attempt(&mut c, "SELECT body FROM memo").unwrap_err().sqlstate, "28000");
}

/// A world in which Boss has the right to act as others, and does so: his own token, and the one with which he is Bob.
fn impersonated() -> (World, String, String) {
    let mut w = world();
    w.user(BOSS, &["Reader", "Support"]);
    w.sql(&format!("INSERT INTO docperm.rights (name) VALUES ('impersonate'); SELECT docperm.set_password('{BOSS}', '{RIGHT}', false)"));
    w.rule("User", "Support", "{read,impersonate}");
    let mut c = w.app();
    let own = log_in(&mut c, BOSS, RIGHT).unwrap();
    let as_bob = one(&mut c, &format!("SELECT docperm.impersonate('{BOB}', 'to look')"));
    (w, own, as_bob)
}

#[test]
fn whoever_loses_his_access_is_nobody_else_either() {
    for end in [
        "UPDATE docperm.users SET enabled = false WHERE name = 'boss@erp.test'",
        "DELETE FROM docperm.users WHERE name = 'boss@erp.test'",
        "UPDATE docperm.users SET name = 'chief@erp.test' WHERE name = 'boss@erp.test'",
        "SELECT docperm.logout_all('boss@erp.test')",
        "SELECT docperm.set_password('boss@erp.test', 'a much better phrase')",
        "DELETE FROM docperm.sessions WHERE user_name = 'boss@erp.test'",
        "UPDATE docperm.sessions SET expires_at = now() WHERE user_name = 'boss@erp.test'",
        "SET session_replication_role = replica; UPDATE docperm.users SET enabled = false WHERE name = 'boss@erp.test'; RESET session_replication_role",
    ] {
        let (mut w, _own, as_bob) = impersonated();
        let mut c = w.app();
        resume(&mut c, &as_bob).unwrap();
        assert_eq!(
            one(&mut c, "SELECT user_name || ' ' || actor FROM docperm.session_info()"),
            format!("{BOB} {BOSS}")
        );
        one(&mut c, "SELECT body FROM memo");
        w.sql(end);
        assert_eq!(attempt(&mut c, "SELECT body FROM memo").unwrap_err().sqlstate, "28000", "{end}");
        ended(&mut w.app(), &as_bob);
    }
}

#[test]
fn a_disabled_impersonator_cannot_hold_on_to_it() {
    let (w, own, as_bob) = impersonated();
    let mut c = w.app();
    resume(&mut c, &as_bob).unwrap();
    c.batch_execute("BEGIN; SELECT docperm.end_impersonation()").unwrap();
    let mut admin = impatient(&w);
    admin.batch_execute(&DISABLE.replace(BOB, BOSS)).unwrap();
    c.batch_execute("ROLLBACK").unwrap();
    ended(&mut w.app(), &as_bob);
    admin.batch_execute(&ENABLE.replace(BOB, BOSS)).unwrap();
    for token in [own, as_bob] {
        ended(&mut w.app(), &token);
    }
}

#[test]
fn what_changes_who_may_log_in_is_written_down() {
    let mut w = world();
    let hash =
        one(&mut w.admin, &format!("SELECT password_hash FROM docperm.passwords WHERE user_name = '{BOB}'"));
    w.user(BOSS, &["System Manager"]);
    w.sql("DELETE FROM docperm.activity_log");
    one(&mut w.acting(BOSS), &format!("SELECT docperm.import_password_hash('{ANN}', '{hash}')"));
    let logged = table(&mut w.admin, "SELECT operation, user_name, status, detail FROM docperm.activity_log");
    assert_eq!(logged, [["Set Password", ANN, "Success", &format!("hash imported by {BOSS}")]]);
}

#[test]
fn strangers_do_not_keep_anybody_from_a_reset_token() {
    let mut w = world();
    let mut stranger = w.app();
    stranger
        .batch_execute(
            "SELECT pg_advisory_lock('docperm.password_resets'::regclass::oid::integer, hashtext('bob@erp.test')),
                    pg_advisory_lock(hashtext('docperm'), hashtext('restore'))",
        )
        .unwrap();
    w.sql("SET lock_timeout = '5s'");
    let token = one(&mut w.admin, "SELECT docperm.request_password_reset('bob@erp.test')");
    assert_eq!(one(&mut w.admin, &format!("SELECT docperm.password_reset_recipient('{token}')")), BOB);
    // Nor from a restore.
    w.sql("SET row_security = off; SET check_function_bodies = off");
    w.sql("INSERT INTO docperm.user_roles VALUES ('late@erp.test', 'System Manager')");
}

/// Nothing happens at that moment that anybody could tell the connections of: they have to look at the clock.
#[test]
fn an_hour_that_ends_ends_the_session() {
    let server = Server::private(&[]);
    let mut admin = server.connect("postgres", "postgres", None);
    run(
        &mut admin,
        "CREATE EXTENSION docperm;
         UPDATE docperm.settings SET argon2_memory_kib = 8192, argon2_iterations = 1;
         INSERT INTO docperm.users (name) VALUES ('bob@erp.test');
         SELECT docperm.set_password('bob@erp.test', 'correct horse battery', false);
         CREATE TABLE memo (name text PRIMARY KEY);
         INSERT INTO memo VALUES ('m1');
         SELECT docperm.protect('memo', 'Memo');
         INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Memo', 'All', '{read}');
         CREATE ROLE app LOGIN;
         GRANT SELECT ON memo TO app",
    );
    // The log's time zone tells the hour. One in which it ends with the present minute, which is not over at once.
    while one(&mut admin, "SELECT extract(second FROM clock_timestamp()) > 45") == "t" {
        thread::sleep(Duration::from_millis(200));
    }
    let minutes = "59 - extract(minute FROM clock_timestamp() AT TIME ZONE 'UTC')::int";
    let zone = one(&mut admin, &format!("SELECT '<T>-00:' || to_char({minutes}, 'FM00')"));
    run(&mut admin, &format!("ALTER SYSTEM SET log_timezone = '{zone}'"));
    run(&mut admin, "SELECT pg_reload_conf()");
    while one(&mut server.connect("postgres", "postgres", None), "SHOW log_timezone") != zone {
        thread::sleep(Duration::from_millis(20));
    }
    let mut c = server.connect("app", "postgres", None);
    run(
        &mut server.connect("postgres", "postgres", None),
        "UPDATE docperm.users SET login_after = h.hour, login_before = h.hour + 1
           FROM (SELECT extract(hour FROM clock_timestamp() AT TIME ZONE current_setting('log_timezone'))::int) AS h (hour)
          WHERE name = 'bob@erp.test'",
    );
    let token = one(&mut c, "SELECT docperm.login('bob@erp.test', 'correct horse battery')");
    run(&mut c, "SET plan_cache_mode = force_generic_plan; PREPARE memos AS SELECT name FROM memo");
    let mut unprepared = server.connect("app", "postgres", None);
    one(&mut unprepared, &format!("SELECT docperm.resume('{token}')"));
    assert_eq!(one(&mut unprepared, "SELECT docperm.whoami()"), "bob@erp.test");
    assert_eq!(one(&mut c, "EXECUTE memos"), "m1");
    let ended = (0..1500).find_map(|_| {
        thread::sleep(Duration::from_millis(50));
        attempt(&mut c, "EXECUTE memos").err()
    });
    let ended = ended.expect("the hour is over");
    assert_eq!((ended.sqlstate.as_str(), ended.message.as_str()), ("28000", "the session is not valid now"));
    assert_eq!(attempt(&mut unprepared, "SELECT docperm.whoami()").unwrap_err().sqlstate, "28000");
    assert_eq!(
        attempt(&mut unprepared, &format!("SELECT docperm.resume('{token}')")).unwrap_err().sqlstate,
        "28000"
    );
}
