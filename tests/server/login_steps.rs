//! Logging in, from end to end, by more than a password: one-time codes, passwords that are due, ID tokens. And how long it
//! is remembered.

use std::thread;

use crate::attempts::wait_until;
use crate::login::{ANN, BOB, RIGHT, log, log_in, refused, world};
use crate::login_providers::{NONCE, claims, register_providers, token, with};
use crate::support::{World, attempt, literal, one, table};
use crate::two_factor::{KeyFile, code};
use docperm_testkit::ServerError;
use postgres::Client;
use serde_json::json;

/// A world in which readers need a one-time code.
pub fn with_codes() -> (World, KeyFile) {
    let mut w = world();
    let file = KeyFile::of_database(&mut w);
    w.sql(
        "UPDATE docperm.settings SET enable_two_factor_auth = true, allow_consecutive_login_attempts = 3,
                                     allow_login_after_fail = '1 hour';
         UPDATE docperm.roles SET two_factor_auth = true WHERE name = 'Reader'",
    );
    (w, file)
}

fn log_in_with(c: &mut Client, password: &str, otp: &str) -> Result<String, ServerError> {
    let sql = format!("SELECT docperm.login('{BOB}', {}, {})", literal(password), literal(otp));
    attempt(c, &sql).map(|rows| crate::support::rows_of(&rows)[0][0].clone())
}

fn failures(w: &mut World) -> String {
    one(&mut w.admin, "SELECT coalesce(sum(failures), 0) FROM docperm.login_throttle")
}

#[test]
fn a_code_is_asked_for_and_good_once() {
    let (mut w, _file) = with_codes();
    let mut c = w.app();
    for otp in [None, Some("123456")] {
        let error = match otp {
            None => refused(log_in(&mut c, BOB, RIGHT)),
            Some(otp) => log_in_with(&mut c, RIGHT, otp).unwrap_err(),
        };
        assert_eq!(
            (error.sqlstate.as_str(), error.message.contains("not enrolled")),
            ("28000", true),
            "{error:?}"
        );
    }
    let uri = one(&mut w.admin, &format!("SELECT docperm.start_enrollment('{BOB}')"));
    let error = refused(log_in(&mut c, BOB, RIGHT));
    assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("28000", "a one-time code is wanted"));
    assert_eq!(failures(&mut w), "0", "nothing was wrong so far");
    // Who does not know the password is told nothing of it.
    assert_eq!(refused(log_in(&mut c, BOB, "guess")).sqlstate, "28P01");
    assert_eq!(log_in_with(&mut c, "guess", &code(&uri, 0)).unwrap_err().sqlstate, "28P01");
    assert_eq!(failures(&mut w), "2");

    let now = code(&uri, 0);
    let opened = log_in_with(&mut c, RIGHT, &now).unwrap();
    assert_eq!(one(&mut w.app(), &format!("SELECT docperm.resume('{opened}')")), BOB);
    assert_eq!(failures(&mut w), "0");
    let replayed = log_in_with(&mut c, RIGHT, &now).unwrap_err();
    assert_eq!(replayed, log_in_with(&mut c, RIGHT, "000000x").unwrap_err(), "no different from a wrong one");
    assert_eq!(replayed.sqlstate, "28P01");
    assert_eq!(failures(&mut w), "2");
    log_in_with(&mut c, RIGHT, &code(&uri, 1)).unwrap();
    let details: Vec<String> = log(&mut w).into_iter().map(|row| row[3].clone()).collect();
    for detail in [
        "not enrolled for one-time codes",
        "one-time code missing",
        "one-time code used before",
        "wrong one-time code",
    ] {
        assert!(details.iter().any(|written| written == detail), "{detail}: {details:?}");
    }
    log_in(&mut c, ANN, RIGHT).unwrap_err();
    w.sql("UPDATE docperm.settings SET enable_two_factor_auth = false");
    log_in(&mut c, ANN, RIGHT).unwrap();
}

#[test]
fn a_right_password_between_two_codes_makes_no_more_guesses() {
    let (mut w, _file) = with_codes();
    let uri = one(&mut w.admin, &format!("SELECT docperm.start_enrollment('{BOB}')"));
    let mut c = w.app();
    log_in_with(&mut c, RIGHT, &code(&uri, -1)).unwrap();
    let mut guesser = w.app();
    let new = "a much better phrase";
    assert_eq!(log_in_with(&mut guesser, RIGHT, "000000x").unwrap_err().sqlstate, "28P01");
    assert_eq!(refused(log_in(&mut guesser, BOB, RIGHT)).sqlstate, "28000");
    assert_eq!(failures(&mut w), "1");
    // Nor does it prove more where it is changed.
    one(&mut c, &format!("SELECT docperm.change_password('{RIGHT}', '{new}')"));
    assert_eq!(failures(&mut w), "1");
    for made in [2, 3] {
        assert_eq!(log_in_with(&mut guesser, new, "000000x").unwrap_err().sqlstate, "28P01");
        assert_eq!(failures(&mut w), made.to_string());
        let missing = refused(log_in(&mut guesser, BOB, new)).sqlstate;
        assert_eq!(missing, if made < 3 { "28000" } else { "53400" });
    }
    assert_eq!(log_in_with(&mut guesser, new, &code(&uri, 0)).unwrap_err().sqlstate, "53400", "locked");
}

#[test]
fn without_the_key_nobody_is_let_in_and_nobody_is_blamed() {
    let (mut w, file) = with_codes();
    let uri = one(&mut w.admin, &format!("SELECT docperm.start_enrollment('{BOB}')"));
    let mut c = w.app();
    assert_eq!(refused(log_in(&mut c, BOB, "guess")).sqlstate, "28P01");
    drop(file);
    for _ in 0..5 {
        let error = log_in_with(&mut c, RIGHT, &code(&uri, 0)).unwrap_err();
        assert_eq!((error.sqlstate.as_str(), error.hint.is_some()), ("F0000", true), "{error:?}");
    }
    assert_eq!(failures(&mut w), "1");
    assert!(log(&mut w).last().unwrap()[3].starts_with("one-time code not verified: "));
    let _file = KeyFile::of_database(&mut w);
    log_in_with(&mut w.app(), RIGHT, &code(&uri, 0)).unwrap();
}

#[test]
fn what_becomes_of_a_second_factor_is_written_down() {
    let (mut w, _file) = with_codes();
    w.user("boss@erp.test", &["System Manager"]);
    w.sql("DELETE FROM docperm.activity_log");
    let mut c = w.acting(BOB);
    let uri = one(&mut c, "SELECT docperm.enroll_two_factor()");
    one(&mut c, &format!("SELECT docperm.confirm_two_factor('{}')", code(&uri, 0)));
    one(&mut w.acting("boss@erp.test"), &format!("SELECT docperm.reset_two_factor('{BOB}')"));
    let seen = table(&mut c, "SELECT operation, detail FROM docperm.my_activity() ORDER BY at");
    let by = |what: &str, whom: &str| ["Two Factor".to_owned(), format!("{what} by {whom}")];
    assert_eq!(seen, [by("begun", BOB), by("confirmed", BOB), by("taken away", "boss@erp.test")]);
}

#[test]
fn a_password_that_is_due_opens_nothing_until_it_is_changed() {
    let mut w = world();
    let mut c = w.app();
    w.sql(&format!("SELECT docperm.set_password('{BOB}', '{RIGHT}', must_change => true)"));
    let due = |c: &mut Client| {
        let error = refused(log_in(c, BOB, RIGHT));
        assert_eq!(
            (error.sqlstate.as_str(), error.message.as_str()),
            ("28000", "the password has to be changed")
        );
    };
    due(&mut c);
    assert_eq!(refused(log_in(&mut c, BOB, "guess")).sqlstate, "28P01", "only who knows it is told");
    due(&mut c);
    assert_eq!(failures(&mut w), "1");
    let reset = one(&mut w.admin, &format!("SELECT docperm.request_password_reset('{BOB}')"));
    one(&mut c, &format!("SELECT docperm.reset_password('{reset}', '{RIGHT}')"));
    log_in(&mut c, BOB, RIGHT).unwrap();

    w.sql(
        "UPDATE docperm.settings SET force_user_to_reset_password = 30;
         UPDATE docperm.passwords SET changed_at = now() - interval '29 days'",
    );
    log_in(&mut c, BOB, RIGHT).unwrap();
    w.sql("UPDATE docperm.passwords SET changed_at = now() - interval '31 days'");
    due(&mut c);
    w.sql(&format!(
        "SELECT docperm.set_password('Administrator', '{RIGHT}', false);
         UPDATE docperm.passwords SET changed_at = now() - interval '31 days'"
    ));
    log_in(&mut c, "Administrator", RIGHT).expect("it would lock out who could help");
}

#[test]
fn an_id_token_opens_a_session() {
    let mut w = world();
    register_providers(&mut w);
    let mut c = w.app();
    let by = |c: &mut Client, provider: &str, claims: &serde_json::Value, nonce: &str| {
        let token = token(claims);
        attempt(c, &format!("SELECT docperm.login_with_id_token('{provider}', '{token}', '{nonce}')"))
            .map(|rows| crate::support::rows_of(&rows)[0][0].clone())
    };
    let opened = by(&mut c, "Example", &claims("s1", BOB), NONCE).unwrap();
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), BOB);
    assert_eq!(one(&mut w.app(), &format!("SELECT docperm.resume('{opened}')")), BOB);
    assert_eq!(log(&mut w), [["Login", BOB, "Success", "by Example"]]);

    let answers: Vec<ServerError> = [
        by(&mut c, "Example", &claims("s1", BOB), "another nonce"),
        by(&mut c, "Example", &with(claims("s1", BOB), "aud", json!("others")), NONCE),
        by(&mut c, "Example", &with(claims("s1", BOB), "exp", json!(1)), NONCE),
        by(&mut c, "Other", &claims("s1", BOB), NONCE),
        by(&mut c, "no such provider", &claims("s1", BOB), NONCE),
        by(&mut c, "Example", &claims("s2", "nobody@erp.test"), NONCE),
        by(&mut c, "Example", &claims("s3", BOB), NONCE),
    ]
    .map(|answer| answer.unwrap_err())
    .into();
    assert_eq!(answers[0].sqlstate, "28P01");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!(log(&mut w).len(), 8);
    let written = one(
        &mut w.admin,
        "SELECT string_agg(detail, '; ' ORDER BY id) FROM docperm.activity_log WHERE operation = 'Login'",
    );
    assert!(written.contains("by Other: ") && !written.contains("no such provider"), "{written}");

    w.sql(&format!("UPDATE docperm.users SET restrict_ip = '{{10.0.0.1}}' WHERE name = '{BOB}'"));
    assert_eq!(by(&mut c, "Example", &claims("s1", BOB), NONCE).unwrap_err().sqlstate, "28000");
    w.sql(&format!("UPDATE docperm.users SET restrict_ip = NULL, enabled = false WHERE name = '{BOB}'"));
    assert_eq!(by(&mut c, "Example", &claims("s1", BOB), NONCE).unwrap_err(), answers[0]);
    w.sql("UPDATE docperm.login_providers SET allow_signup = true");
    by(&mut c, "Example", &claims("s9", "new@erp.test"), NONCE).unwrap();
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), "new@erp.test");
    assert_eq!(one(&mut c, "SELECT count(*) FROM memo"), "0", "without a role");
}

/// ID tokens cannot be guessed, so nobody waits for his turn to try one; their sessions are counted one after another all the same.
#[test]
fn many_logins_by_a_provider_at_once_leave_as_many_sessions_as_are_allowed() {
    let mut w = world();
    register_providers(&mut w);
    w.sql(&format!("UPDATE docperm.users SET simultaneous_sessions = 1 WHERE name = '{BOB}'"));
    let mut holder = w.db.admin();
    holder.batch_execute("BEGIN; LOCK TABLE docperm.sessions IN EXCLUSIVE MODE").unwrap();
    let login =
        format!("SELECT docperm.login_with_id_token('Example', '{}', '{NONCE}')", token(&claims("s1", BOB)));
    let logins: Vec<_> = (0..8)
        .map(|_| (w.app(), login.clone()))
        .map(|(mut c, login)| thread::spawn(move || attempt(&mut c, &login).is_ok()))
        .collect();
    wait_until(
        &mut w,
        "SELECT count(*) = 8 FROM pg_stat_activity
          WHERE datname = current_database() AND backend_type = 'docperm login' AND wait_event_type = 'Lock'",
    );
    holder.batch_execute("COMMIT").unwrap();
    assert!(logins.into_iter().all(|login| login.join().unwrap()));
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.sessions"), "1");
}

#[test]
fn the_log_is_kept_for_as_long_as_the_settings_say() {
    let mut w = world();
    w.user("boss@erp.test", &["System Manager"]);
    let mut c = w.app();
    let age = "UPDATE docperm.activity_log SET at = now() - interval '100 days' WHERE id IN (SELECT min(id) FROM docperm.activity_log)";
    let old = "SELECT count(*) FROM docperm.activity_log WHERE at < now() - interval '90 days'";
    w.sql(age);
    log_in(&mut c, BOB, RIGHT).unwrap();
    assert_eq!(one(&mut w.admin, old), "1", "a year by default");
    w.sql("UPDATE docperm.settings SET activity_log_retention = '90 days'");
    log_in(&mut c, BOB, RIGHT).unwrap();
    assert_eq!(one(&mut w.admin, old), "0", "an attempt takes along what is too old");
    w.sql("UPDATE docperm.settings SET activity_log_retention = NULL");
    w.sql(age);
    log_in(&mut c, BOB, RIGHT).unwrap();
    assert_eq!(one(&mut w.admin, old), "1", "for ever");

    assert_eq!(w.denied(BOB, "SELECT docperm.clear_activity_log('1 day')"), "42501");
    let mut boss = w.acting("boss@erp.test");
    assert_eq!(attempt(&mut boss, "SELECT docperm.clear_activity_log()").unwrap_err().sqlstate, "22023");
    assert_eq!(one(&mut boss, "SELECT docperm.clear_activity_log('90 days')"), "1");
    assert_eq!(
        one(
            &mut w.admin,
            "SELECT user_name FROM docperm.activity_log WHERE operation = 'Clear Activity Log'"
        ),
        "boss@erp.test"
    );
}
