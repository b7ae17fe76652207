//! Logging in: what is asked, in which order, what is answered and what is written down. What no rollback undoes is in
//! `attempts.rs`, what becomes of a token in `sessions.rs`.

use crate::support::{World, attempt, literal, one, table};
use docperm_testkit::ServerError;
use postgres::Client;

pub const BOB: &str = "bob@erp.test";
pub const ANN: &str = "ann@erp.test";
/// Bob's password. Its hash is cheap, so that tests spend their time elsewhere.
pub const RIGHT: &str = "correct horse battery";

/// Users with passwords, cheap to verify; an application that may say from where its clients come.
pub fn world() -> World {
    let mut w = World::new(
        "UPDATE docperm.settings SET argon2_memory_kib = 8192, argon2_iterations = 1;
         CREATE TABLE memo (name text PRIMARY KEY, body text);
         INSERT INTO memo VALUES ('m1', 'hello');
         SELECT docperm.protect('memo', 'Memo');",
    );
    for user in [BOB, ANN] {
        w.user(user, &["Reader"]);
        w.sql(&format!("SELECT docperm.set_password({}, {}, false)", literal(user), literal(RIGHT)));
    }
    w.rule("Memo", "Reader", "{read}");
    let app = w.app_role.clone();
    w.sql(&format!("GRANT EXECUTE ON FUNCTION docperm.states_client_address() TO {app}"));
    w
}

/// Logs in; the token.
pub fn log_in(c: &mut Client, user: &str, password: &str) -> Result<String, ServerError> {
    let sql = format!("SELECT docperm.login({}, {})", literal(user), literal(password));
    c.query_one(&sql, &[]).map(|row| row.get(0)).map_err(|error| docperm_testkit::db_error(&error))
}

#[track_caller]
pub fn refused(result: Result<String, ServerError>) -> ServerError {
    match result {
        Err(error) => error,
        Ok(_) => panic!("the login must be refused"),
    }
}

/// The log, oldest first: operation, user, status, detail.
pub fn log(w: &mut World) -> Vec<Vec<String>> {
    table(
        &mut w.admin,
        "SELECT operation, user_name, status, detail FROM docperm.activity_log WHERE operation <> 'Set Password' ORDER BY id",
    )
}

fn count(w: &mut World, sql: &str) -> i64 {
    one(&mut w.admin, sql).parse().unwrap()
}

#[test]
fn a_right_password_opens_a_session_and_acts_in_it() {
    let mut w = world();
    let mut c = w.app();
    let token = log_in(&mut c, BOB, RIGHT).unwrap();
    assert_eq!(token.len(), 43);
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), BOB);
    assert_eq!(one(&mut c, "SELECT body FROM memo"), "hello");
    assert_eq!(log(&mut w), [["Login", BOB, "Success", "NULL"]]);
    let stored = one(&mut w.admin, "SELECT s::text FROM docperm.sessions s");
    assert!(!stored.contains(&token), "only the token's hash is stored: {stored}");
    assert_eq!(count(&mut w, "SELECT count(*) FROM docperm.users WHERE last_login IS NOT NULL"), 1);
}

#[test]
fn names_are_trimmed_and_written_in_any_case() {
    let w = world();
    log_in(&mut w.app(), "  Bob@ERP.test ", RIGHT).unwrap();
}

#[test]
fn every_wrong_credential_gets_the_same_answer() {
    let mut w = world();
    w.user("off@erp.test", &["Reader"]);
    w.sql(&format!("SELECT docperm.set_password('off@erp.test', '{RIGHT}', false)"));
    w.sql("UPDATE docperm.users SET enabled = false WHERE name = 'off@erp.test'");
    w.user("bare@erp.test", &["Reader"]);
    let mut c = w.app();
    let answers: Vec<ServerError> = [
        (BOB, "wrong"),
        (BOB, ""),
        ("nobody@erp.test", RIGHT),
        ("off@erp.test", RIGHT),
        ("bare@erp.test", RIGHT),
        ("Guest", RIGHT),
        ("", RIGHT),
        ("' OR true --", RIGHT),
    ]
    .map(|(user, password)| refused(log_in(&mut c, user, password)))
    .into();
    assert_eq!(answers[0].sqlstate, "28P01");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    let details: Vec<String> = log(&mut w).into_iter().map(|row| format!("{} {}", row[1], row[3])).collect();
    assert_eq!(details[0], format!("{BOB} wrong password"));
    assert_eq!(details[2], "NULL unknown user");
    assert_eq!(details[3], "off@erp.test the user is disabled");
    assert_eq!(details.len(), 8);
}

#[test]
fn mobile_numbers_and_short_names_open_where_settings_allow_it() {
    let mut w = world();
    w.sql(&format!(
        "UPDATE docperm.users SET mobile_no = '+49 170 1', username = 'bobby' WHERE name = '{BOB}'"
    ));
    let mut c = w.app();
    for id in ["+49 170 1", "bobby"] {
        assert_eq!(refused(log_in(&mut c, id, RIGHT)).sqlstate, "28P01", "{id}");
    }
    w.sql("UPDATE docperm.settings SET allow_login_using_mobile_number = true");
    log_in(&mut c, " +49 170 1", RIGHT).unwrap();
    assert_eq!(refused(log_in(&mut c, "bobby", RIGHT)).sqlstate, "28P01");
    w.sql("UPDATE docperm.settings SET allow_login_using_user_name = true");
    log_in(&mut c, "bobby", RIGHT).unwrap();
}

#[test]
fn a_name_goes_before_somebody_elses_short_name() {
    let mut w = world();
    w.sql(&format!(
        "UPDATE docperm.settings SET allow_login_using_user_name = true, allow_login_using_mobile_number = true;
         UPDATE docperm.users SET username = '{BOB}', mobile_no = '{BOB}' WHERE name = '{ANN}'"
    ));
    let mut c = w.app();
    log_in(&mut c, BOB, RIGHT).unwrap();
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), BOB);
}

#[test]
fn addresses_are_believed_only_from_roles_that_were_granted_it() {
    let mut w = world();
    w.sql(&format!(
        "UPDATE docperm.users SET restrict_ip = '{{10.1.0.0/16,2001:db8::/32}}' WHERE name = '{BOB}'"
    ));
    let from = |c: &mut Client, address: &str| {
        attempt(c, &format!("SELECT docperm.login('{BOB}', '{RIGHT}', client_address => {address})"))
    };
    let mut c = w.app();
    from(&mut c, "'10.1.2.3'").unwrap();
    from(&mut c, "'2001:db8::7'").unwrap();
    for address in ["'10.2.2.3'", "NULL"] {
        let error = from(&mut c, address).unwrap_err();
        assert_eq!(error.sqlstate, "28000", "{address}");
        assert!(error.message.contains("address"), "{error:?}");
    }
    let stranger = w.db.login_role("stranger");
    let error = from(&mut w.db.connect_as(&stranger), "'10.1.2.3'").unwrap_err();
    assert_eq!(error.sqlstate, "28000", "a stranger's word counts for nothing");
    let logged = log(&mut w);
    assert_eq!(logged.last().unwrap()[3], "not from this address");
}

#[test]
fn hours_are_those_of_the_server() {
    let mut w = world();
    let hour =
        count(&mut w, "SELECT extract(hour FROM now() AT TIME ZONE current_setting('log_timezone'))::int");
    // Never the present hour, whichever it is and whichever comes next.
    let never = format!(
        "UPDATE docperm.users SET login_after = 24, login_before = {} WHERE name = '{BOB}'",
        hour.max(1)
    );
    w.sql(&never);
    let mut c = w.app();
    c.batch_execute("SET timezone = 'Pacific/Kiritimati'").unwrap();
    let error = refused(log_in(&mut c, BOB, RIGHT));
    assert_eq!((error.sqlstate.as_str(), error.message.contains("hour")), ("28000", true), "{error:?}");
    w.sql("UPDATE docperm.users SET login_after = 0, login_before = 24");
    log_in(&mut c, BOB, RIGHT).unwrap();
}

#[test]
fn the_account_locks_after_so_many_failures_and_a_success_sets_the_count_to_nothing() {
    let mut w = world();
    w.sql(
        "UPDATE docperm.settings SET allow_consecutive_login_attempts = 3, allow_login_after_fail = '1 hour'",
    );
    let mut c = w.app();
    for _ in 0..2 {
        refused(log_in(&mut c, BOB, "wrong"));
    }
    log_in(&mut c, BOB, RIGHT).unwrap();
    for _ in 0..3 {
        assert_eq!(refused(log_in(&mut c, BOB, "wrong")).sqlstate, "28P01");
    }
    for password in [RIGHT, "wrong"] {
        let error = refused(log_in(&mut c, BOB, password));
        assert_eq!(error.sqlstate, "53400");
        assert!(error.detail.unwrap().contains(" s."), "DETAIL says how long");
    }
    log_in(&mut c, ANN, RIGHT).expect("others are not locked");
    assert_eq!(one(&mut w.admin, "SELECT user_name FROM docperm.locked_users"), BOB);
    assert_eq!(one(&mut w.admin, &format!("SELECT docperm.unlock('{BOB}')")), "t");
    log_in(&mut c, BOB, RIGHT).unwrap();
    assert_eq!(count(&mut w, "SELECT count(*) FROM docperm.activity_log WHERE detail = 'locked'"), 2);
}

#[test]
fn a_lock_ends_by_itself_and_refused_attempts_do_not_extend_it() {
    let mut w = world();
    w.sql(
        "UPDATE docperm.settings SET allow_consecutive_login_attempts = 2, allow_login_after_fail = '1 hour'",
    );
    let mut c = w.app();
    for _ in 0..2 {
        refused(log_in(&mut c, BOB, "wrong"));
    }
    let end = "SELECT locked_until FROM docperm.login_throttle";
    let first = one(&mut w.admin, end);
    assert_eq!(refused(log_in(&mut c, BOB, "wrong")).sqlstate, "53400");
    assert_eq!(one(&mut w.admin, end), first);
    w.sql("UPDATE docperm.login_throttle SET locked_until = clock_timestamp() - interval '1 s'");
    // Failures are counted from nothing again.
    assert_eq!(refused(log_in(&mut c, BOB, "wrong")).sqlstate, "28P01");
    log_in(&mut c, BOB, RIGHT).unwrap();
}

#[test]
fn unknown_accounts_lock_like_known_ones() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET allow_consecutive_login_attempts = 2");
    let mut c = w.app();
    for user in [BOB, "nobody@erp.test"] {
        let answers: Vec<String> = (0..3).map(|_| refused(log_in(&mut c, user, "wrong")).sqlstate).collect();
        assert_eq!(answers, ["28P01", "28P01", "53400"], "{user}");
    }
    assert_eq!(
        one(&mut w.admin, "SELECT count(*) FROM docperm.login_throttle WHERE key LIKE '%nobody@%'"),
        "0"
    );
}

#[test]
fn failures_count_by_stated_address_too() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET allow_consecutive_login_attempts = 3");
    let mut c = w.app();
    let from = |c: &mut Client, user: &str, password: &str, address: &str| {
        let sql = format!("SELECT docperm.login('{user}', '{password}', client_address => '{address}')");
        attempt(c, &sql).err().map(|error| error.sqlstate)
    };
    for user in ["a@x.test", "b@x.test", BOB] {
        assert_eq!(from(&mut c, user, "wrong", "10.0.0.9").unwrap(), "28P01");
    }
    assert_eq!(from(&mut c, ANN, RIGHT, "10.0.0.9").unwrap(), "53400", "the address is locked");
    assert_eq!(from(&mut c, ANN, RIGHT, "10.0.0.8"), None);
}

#[test]
fn no_number_of_failures_locks_where_the_setting_is_zero() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET allow_consecutive_login_attempts = 0");
    let mut c = w.app();
    for _ in 0..12 {
        assert_eq!(refused(log_in(&mut c, BOB, "wrong")).sqlstate, "28P01");
    }
    log_in(&mut c, BOB, RIGHT).unwrap();
}

#[test]
fn unlock_is_for_administrators() {
    let mut w = world();
    w.user("boss@erp.test", &["System Manager"]);
    assert_eq!(w.denied(BOB, &format!("SELECT docperm.unlock('{BOB}')")), "42501");
    assert_eq!(w.denied("boss@erp.test", "SELECT docperm.unlock('Administrator')"), "42501");
    assert_eq!(w.denied("boss@erp.test", "SELECT docperm.unlock('nobody@erp.test')"), "42704");
    w.try_as("boss@erp.test", &format!("SELECT docperm.unlock('{BOB}')")).unwrap();
}

#[test]
fn hashes_of_another_cost_are_made_anew_at_login() {
    let mut w = world();
    // passlib's, as Frappe stores it: frappe_semantics, section 8.7.
    w.sql(&format!(
        "UPDATE docperm.passwords SET password_hash =
             '$pbkdf2-sha256$29000$AAECAwQFBgcICQoLDA0ODw$ZvLORN3Wu1.2s6Mb0kBKZ43bylSsC/t0Vz5rE9nJPNg'
         WHERE user_name = '{BOB}'"
    ));
    let mut c = w.app();
    let stored = format!("SELECT password_hash FROM docperm.passwords WHERE user_name = '{BOB}'");
    refused(log_in(&mut c, BOB, RIGHT));
    assert!(one(&mut w.admin, &stored).starts_with("$pbkdf2"), "a wrong password changes nothing");
    log_in(&mut c, BOB, "correct horse").unwrap();
    let upgraded = one(&mut w.admin, &stored);
    assert!(upgraded.starts_with("$argon2id$v=19$m=8192,t=1,p=1$"), "{upgraded}");
    log_in(&mut c, BOB, "correct horse").unwrap();
    assert_eq!(one(&mut w.admin, &stored), upgraded);
    w.sql("UPDATE docperm.settings SET argon2_iterations = 2");
    log_in(&mut c, BOB, "correct horse").unwrap();
    assert!(one(&mut w.admin, &stored).starts_with("$argon2id$v=19$m=8192,t=2,p=1$"));
}

#[test]
fn change_password_asks_for_the_old_one_and_counts_it() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET allow_consecutive_login_attempts = 2");
    let mut c = w.app();
    log_in(&mut c, BOB, RIGHT).unwrap();
    let mut other = w.app();
    log_in(&mut other, BOB, RIGHT).unwrap();
    let change = |c: &mut Client, old: &str, new: &str| {
        attempt(c, &format!("SELECT docperm.change_password('{old}', '{new}')")).err().map(|e| e.sqlstate)
    };
    assert_eq!(change(&mut c, RIGHT, "123"), Some("22023".to_owned()), "too weak");
    assert_eq!(change(&mut c, "wrong", "a much better phrase"), Some("28P01".to_owned()));
    assert_eq!(change(&mut c, RIGHT, "a much better phrase"), None);
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), BOB, "the own session stays");
    assert_eq!(attempt(&mut other, "SELECT docperm.whoami()").unwrap_err().sqlstate, "28000");
    for _ in 0..2 {
        assert_eq!(change(&mut c, "wrong", "quite another phrase"), Some("28P01".to_owned()));
    }
    assert_eq!(change(&mut c, "a much better phrase", "quite another phrase"), Some("53400".to_owned()));
    assert_eq!(w.denied("Guest", "SELECT docperm.change_password('a', 'a much better phrase')"), "42501");
}

#[test]
fn nothing_may_be_left_out() {
    let w = world();
    let mut c = w.app();
    for sql in [
        "SELECT docperm.login(NULL, 'x')",
        "SELECT docperm.login('x', NULL)",
        "SELECT docperm.resume(NULL)",
        "SELECT docperm.change_password(NULL, NULL)",
    ] {
        let sqlstate = attempt(&mut c, sql).unwrap_err().sqlstate;
        assert!(["22023", "42501"].contains(&sqlstate.as_str()), "{sql}: {sqlstate}");
    }
}
