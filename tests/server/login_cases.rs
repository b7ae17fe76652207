//! Frappe's acceptance cases on logging in (section 8 of its behaviour), by their numbers. Where docperm's other tests show the
//! same, tests/acceptance.md names those.

use crate::login::{ANN, BOB, RIGHT, log_in, refused, world};
use crate::login_steps::with_codes;
use crate::support::{attempt, one, refused_with, table};
use crate::two_factor::code;

/// 85 to 88: by address alone, with the mobile number, with the short name, with both.
#[test]
fn case_85_to_88_what_opens_under_which_settings() {
    let mut w = world();
    w.sql(&format!(
        "UPDATE docperm.users SET mobile_no = '+911234567890', username = 'bobby' WHERE name = '{BOB}'"
    ));
    let mut c = w.app();
    for (mobile, short, opens) in [
        (true, false, [true, true, false]),
        (false, false, [true, false, false]),
        (false, true, [true, false, true]),
        (true, true, [true, true, true]),
    ] {
        w.sql(&format!(
            "UPDATE docperm.settings SET allow_login_using_mobile_number = {mobile}, allow_login_using_user_name = {short}"
        ));
        let opened = [BOB, "+911234567890", "bobby"].map(|id| log_in(&mut c, id, RIGHT).is_ok());
        assert_eq!(opened, opens, "mobile number {mobile}, short name {short}");
    }
}

/// 92: what the application sets as its cookie's end is the session's.
#[test]
fn case_92_the_end_that_is_told_is_the_sessions() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET session_absolute_timeout = '8 hours'");
    let mut c = w.app();
    log_in(&mut c, BOB, RIGHT).unwrap();
    let told = one(&mut c, "SELECT expires_at FROM docperm.session_info()");
    assert_eq!(told, one(&mut w.admin, "SELECT expires_at FROM docperm.sessions"));
    assert_eq!(
        one(
            &mut c,
            "SELECT expires_at - created_at BETWEEN '7:59:59' AND '8:00:01' FROM docperm.session_info()"
        ),
        "t"
    );
}

/// 96: valid until 99 % of the interval, gone at 101 %.
#[test]
fn case_96_a_session_ends_when_it_rests_too_long() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET session_idle_timeout = '10000 s'");
    let token = log_in(&mut w.app(), BOB, RIGHT).unwrap();
    // Not taken up with resume(), which would begin the interval anew.
    let is_open = |w: &mut crate::support::World, rested: u32| {
        w.sql(&format!("UPDATE docperm.sessions SET last_active = now() - interval '{rested} s'"));
        let mut c = w.app();
        c.batch_execute(&format!("SET docperm.session = '{token}'")).unwrap();
        attempt(&mut c, "SELECT name FROM memo").is_ok()
    };
    for percent in [0, 20, 40, 60, 80, 99] {
        assert!(is_open(&mut w, percent * 100), "{percent} %");
    }
    assert!(!is_open(&mut w, 10100));
}

/// 99 and 100: wrong codes count; the lock refuses a right one; after a reset the right code passes.
#[test]
fn case_99_and_100_wrong_codes_lock_and_a_reset_lets_the_right_one_pass() {
    let (mut w, _file) = with_codes();
    w.sql("UPDATE docperm.settings SET allow_consecutive_login_attempts = 2");
    let uri = one(&mut w.admin, &format!("SELECT docperm.start_enrollment('{BOB}')"));
    let mut c = w.app();
    let mut with = |otp: &str| {
        let sql = format!("SELECT docperm.login('{BOB}', '{RIGHT}', '{otp}')");
        attempt(&mut c, &sql).map(|_| ()).map_err(|error| error.sqlstate)
    };
    let (wrong, locked) = (Err("28P01".to_owned()), Err("53400".to_owned()));
    assert_eq!([with("wrong"), with("wrong"), with("wrong")], [wrong.clone(), wrong, locked.clone()]);
    let right = code(&uri, 0);
    assert_eq!(with(&right), locked);
    w.sql(&format!("SELECT docperm.unlock('{BOB}')"));
    assert_eq!(with(&right), Ok(()));
}

/// 102: what is stored is not the password; it verifies; after a change the old one opens nothing.
#[test]
fn case_102_what_is_stored_verifies_and_is_not_the_password() {
    let mut w = world();
    let stored =
        one(&mut w.admin, &format!("SELECT password_hash FROM docperm.passwords WHERE user_name = '{BOB}'"));
    assert!(stored.starts_with("$argon2id$") && !stored.contains(RIGHT));
    let mut c = w.app();
    log_in(&mut c, BOB, RIGHT).unwrap();
    w.sql(&format!("SELECT docperm.set_password('{BOB}', 'another good phrase')"));
    assert_eq!(refused(log_in(&mut w.app(), BOB, RIGHT)).sqlstate, "28P01");
    log_in(&mut w.app(), BOB, "another good phrase").unwrap();
}

/// 104: without a policy anything goes; with the least score of 1 `zxcvbn` fails, the other two pass.
#[test]
fn case_104_the_policy_decides_which_passwords_are_strong_enough() {
    let mut w = world();
    let set = |password: &str| format!("SELECT docperm.set_password('{ANN}', '{password}')");
    w.sql("UPDATE docperm.settings SET minimum_password_score = 1, minimum_password_length = 0");
    assert_eq!(refused_with(&mut w.admin, &set("zxcvbn")), "22023");
    w.sql(&set("bee2ve"));
    w.sql(&set("Eastern_43A1W"));
    w.sql("UPDATE docperm.settings SET enable_password_policy = false");
    w.sql(&set("password"));
    // With the policy of a new installation, not one of the most common is good enough, however it is written.
    w.sql("UPDATE docperm.settings SET enable_password_policy = true, minimum_password_score = 2, minimum_password_length = 8");
    for common in COMMON {
        assert_eq!(refused_with(&mut w.admin, &set(common)), "22023", "{common}");
    }
}

/// Of the three thousand most common passwords, some that are long enough.
const COMMON: [&str; 40] = [
    "12345678",
    "123456789",
    "1234567890",
    "password",
    "password1",
    "iloveyou",
    "princess",
    "sunshine",
    "football",
    "baseball",
    "superman",
    "trustno1",
    "jennifer",
    "michelle",
    "qwertyuiop",
    "1q2w3e4r",
    "1qaz2wsx",
    "starwars",
    "computer",
    "whatever",
    "11111111",
    "00000000",
    "87654321",
    "asdfghjkl",
    "charlie1",
    "elephant",
    "victoria",
    "samantha",
    "corvette",
    "bigdaddy",
    "butthead",
    "mercedes",
    "steelers",
    "swordfish",
    "mountain",
    "maverick",
    "Password",
    "PASSWORD1",
    "p@ssw0rd",
    "ILoveYou",
];

/// 105: a long password takes no longer than it should (there: 600 characters in 10 s), and all of it counts.
#[test]
fn case_105_a_password_of_600_characters() {
    let mut w = world();
    let long = "correct horse ".repeat(43);
    w.sql(&format!("SET statement_timeout = '10s'; SELECT docperm.set_password('{BOB}', '{long}'); RESET statement_timeout"));
    log_in(&mut w.app(), BOB, &long).unwrap();
    assert_eq!(refused(log_in(&mut w.app(), BOB, &long[..long.len() - 2])).sqlstate, "28P01");
}

/// 111: a login, a wrong password and a logout leave a row each, without the password.
#[test]
fn case_111_what_is_in_the_activity_log() {
    let mut w = world();
    let mut c = w.app();
    refused(log_in(&mut c, BOB, "a wrong password"));
    log_in(&mut c, BOB, RIGHT).unwrap();
    one(&mut c, "SELECT docperm.logout()");
    let rows = table(
        &mut w.admin,
        &format!(
            "SELECT operation, status FROM docperm.activity_log
              WHERE user_name = '{BOB}' AND operation IN ('Login', 'Logout') ORDER BY id"
        ),
    );
    assert_eq!(rows, [["Login", "Failed"], ["Login", "Success"], ["Logout", "Success"]]);
    let all = one(&mut w.admin, "SELECT string_agg(l::text, ' ') FROM docperm.activity_log AS l");
    assert!(!all.contains("a wrong password") && !all.contains(RIGHT));
}
