//! What becomes of a token: taken up on any connection, ended everywhere at once, never good for anybody else.

use crate::attempts::wait_until;
use crate::login::{ANN, BOB, RIGHT, log_in, world};
use crate::support::{World, attempt, names, one, table};
use postgres::Client;

fn token(w: &World, user: &str) -> String {
    log_in(&mut w.app(), user, RIGHT).unwrap()
}

#[track_caller]
fn resume(c: &mut Client, token: &str, is_local: bool) {
    one(c, &format!("SELECT docperm.resume('{token}', {is_local})"));
}

fn whoami(c: &mut Client) -> Result<String, String> {
    let answer = c.query_one("SELECT docperm.whoami()", &[]).map(|row| row.get(0));
    answer.map_err(|error| docperm_testkit::db_error(&error).sqlstate)
}

#[test]
fn a_token_is_good_on_any_connection() {
    let w = world();
    let bob = token(&w, BOB);
    let mut c = w.app();
    assert_eq!(one(&mut c, &format!("SELECT docperm.resume('{bob}')")), BOB);
    assert_eq!(whoami(&mut c).unwrap(), BOB);
    let mut d = w.app();
    d.batch_execute(&format!("SET docperm.session = '{bob}'")).unwrap();
    assert_eq!(whoami(&mut d).unwrap(), BOB);
    assert_eq!(one(&mut d, "SELECT body FROM memo"), "hello");
}

#[test]
fn a_local_token_ends_with_its_transaction() {
    let w = world();
    let (bob, ann) = (token(&w, BOB), token(&w, ANN));
    let mut c = w.app();
    for end in ["COMMIT", "ROLLBACK"] {
        c.batch_execute("BEGIN").unwrap();
        resume(&mut c, &bob, true);
        assert_eq!(whoami(&mut c).unwrap(), BOB);
        c.batch_execute("SAVEPOINT s").unwrap();
        resume(&mut c, &ann, true);
        assert_eq!(whoami(&mut c).unwrap(), ANN);
        c.batch_execute("ROLLBACK TO s").unwrap();
        assert_eq!(whoami(&mut c).unwrap(), BOB);
        c.batch_execute(end).unwrap();
        assert_eq!(whoami(&mut c).unwrap(), "Guest", "{end}");
        assert_eq!(names(&mut c, "SELECT name FROM memo"), [""; 0]);
    }
}

#[test]
fn a_token_that_opens_nothing_is_an_error_and_never_guest() {
    let w = world();
    let mut c = w.app();
    for bad in ["x", "x:y", ":", "Administrator", &"a".repeat(43), &"é".repeat(100)] {
        assert_eq!(
            attempt(&mut c, &format!("SELECT docperm.resume('{bad}')")).unwrap_err().sqlstate,
            "28000"
        );
        c.batch_execute(&format!("SET docperm.session = '{bad}'")).unwrap();
        for sql in ["SELECT * FROM memo", "SELECT docperm.whoami()", "SELECT docperm.has_permission('Memo')"]
        {
            assert_eq!(attempt(&mut c, sql).unwrap_err().sqlstate, "28000", "{bad}: {sql}");
        }
        c.batch_execute("RESET docperm.session").unwrap();
    }
    assert_eq!(whoami(&mut c).unwrap(), "Guest");
}

/// A way to end a session, and what tells it afterwards.
const ENDS: [(&str, &str); 8] = [
    ("by deletion", "DELETE FROM docperm.sessions"),
    ("by logout of all", "SELECT docperm.logout_all('bob@erp.test')"),
    ("by being disabled", "UPDATE docperm.users SET enabled = false WHERE name = 'bob@erp.test'"),
    ("by a new password", "SELECT docperm.set_password('bob@erp.test', 'a much better phrase')"),
    ("by age", "UPDATE docperm.sessions SET expires_at = now() - interval '1 s'"),
    ("by the hour", "UPDATE docperm.users SET login_after = 24 WHERE name = 'bob@erp.test'"),
    ("by the address", "UPDATE docperm.users SET restrict_ip = '{10.0.0.1}' WHERE name = 'bob@erp.test'"),
    ("with the user", "DELETE FROM docperm.users WHERE name = 'bob@erp.test'"),
];

#[test]
fn the_next_statement_of_an_open_connection_notices_the_end_prepared_or_not() {
    for (how, sql) in ENDS {
        let mut w = world();
        let bob = token(&w, BOB);
        let mut clients: Vec<Client> = (0..3).map(|_| w.app()).collect();
        for c in &mut clients {
            resume(c, &bob, false);
        }
        clients[1]
            .batch_execute("SET plan_cache_mode = force_generic_plan; PREPARE memos AS SELECT name FROM memo; EXECUTE memos")
            .unwrap();
        let prepared = clients[2].prepare("SELECT name FROM memo").unwrap();
        for _ in 0..7 {
            assert_eq!(clients[2].query(&prepared, &[]).unwrap().len(), 1);
        }
        w.sql(sql);
        assert_eq!(attempt(&mut clients[0], "SELECT name FROM memo").unwrap_err().sqlstate, "28000", "{how}");
        assert_eq!(attempt(&mut clients[1], "EXECUTE memos").unwrap_err().sqlstate, "28000", "{how}");
        let error = clients[2].query(&prepared, &[]).unwrap_err();
        assert_eq!(docperm_testkit::db_error(&error).sqlstate, "28000", "{how}");
        assert_eq!(whoami(&mut clients[0]), Err("28000".to_owned()), "{how}");
    }
}

#[test]
fn an_end_that_is_rolled_back_is_none() {
    let mut w = world();
    let bob = token(&w, BOB);
    let mut c = w.app();
    resume(&mut c, &bob, false);
    w.sql("BEGIN; DELETE FROM docperm.sessions; ROLLBACK");
    assert_eq!(whoami(&mut c).unwrap(), BOB);
    c.batch_execute("BEGIN; SELECT docperm.logout(); ROLLBACK").unwrap();
    assert_eq!(whoami(&mut c).unwrap(), BOB);
}

#[test]
fn an_open_transaction_notices_too() {
    let mut w = world();
    let bob = token(&w, BOB);
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let mut c = w.app();
        c.batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}")).unwrap();
        resume(&mut c, &bob, true);
        one(&mut c, "SELECT body FROM memo");
        w.sql("UPDATE docperm.users SET login_after = 24");
        assert_eq!(attempt(&mut c, "SELECT body FROM memo").unwrap_err().sqlstate, "28000", "{isolation}");
        w.sql("UPDATE docperm.users SET login_after = 0");
    }
}

#[test]
fn being_enabled_again_brings_no_session_back() {
    let mut w = world();
    let bob = token(&w, BOB);
    w.sql("UPDATE docperm.users SET enabled = false WHERE name = 'bob@erp.test'");
    w.sql("UPDATE docperm.users SET enabled = true WHERE name = 'bob@erp.test'");
    let error = attempt(&mut w.app(), &format!("SELECT docperm.resume('{bob}')")).unwrap_err();
    assert_eq!(error.sqlstate, "28000");
}

#[test]
fn an_idle_session_expires_and_one_in_use_does_not() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET session_idle_timeout = '1 hour'");
    let bob = token(&w, BOB);
    let mut c = w.app();
    resume(&mut c, &bob, false);
    let age = |w: &mut World, minutes: u32| {
        w.sql(&format!("UPDATE docperm.sessions SET last_active = now() - interval '{minutes} min'"));
    };
    // Taken up after 50 minutes on another connection, it is written down, and good for another hour.
    age(&mut w, 50);
    resume(&mut w.app(), &bob, true);
    noted(&mut w);
    assert_eq!(
        one(
            &mut w.admin,
            &format!("SELECT now() - last_active < interval '1 min' FROM docperm.users WHERE name = '{BOB}'")
        ),
        "t"
    );
    age(&mut w, 61);
    let error = attempt(&mut w.app(), &format!("SELECT docperm.resume('{bob}')")).unwrap_err();
    assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("28000", "the session has expired"));
}

/// Waits until it is written down that the only session is in use.
#[track_caller]
fn noted(w: &mut World) {
    wait_until(w, "SELECT now() - last_active < interval '1 min' FROM docperm.sessions");
}

#[test]
fn activity_is_noted_whatever_becomes_of_the_transaction() {
    let mut w = world();
    let bob = token(&w, BOB);
    for (begin, end) in [("BEGIN", "ROLLBACK"), ("BEGIN READ ONLY", "COMMIT")] {
        w.sql("UPDATE docperm.sessions SET last_active = now() - interval '10 min'");
        let mut c = w.app();
        c.batch_execute(begin).unwrap();
        resume(&mut c, &bob, true);
        c.batch_execute(end).unwrap();
        noted(&mut w);
    }
}

#[test]
fn activity_is_not_written_down_with_every_statement() {
    let mut w = world();
    let bob = token(&w, BOB);
    let mut c = w.app();
    let version = "SELECT xmin FROM docperm.sessions";
    let before = one(&mut w.admin, version);
    for _ in 0..20 {
        resume(&mut c, &bob, true);
        one(&mut c, "SELECT count(*) FROM memo");
    }
    assert_eq!(one(&mut w.admin, version), before);
}

#[test]
fn noting_activity_waits_for_nobody_and_fails_nobody() {
    let mut w = world();
    let bob = token(&w, BOB);
    w.sql("UPDATE docperm.sessions SET last_active = now() - interval '10 min'");
    let mut holder = w.db.admin();
    holder
        .batch_execute(
            "BEGIN; SELECT * FROM docperm.sessions FOR UPDATE; SELECT * FROM docperm.users FOR UPDATE",
        )
        .unwrap();
    for start in [
        "BEGIN",
        "BEGIN READ ONLY",
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
    ] {
        let mut c = w.app();
        c.batch_execute("SET lock_timeout = '5s'").unwrap();
        c.batch_execute(start).unwrap();
        resume(&mut c, &bob, true);
        assert_eq!(one(&mut c, "SELECT body FROM memo"), "hello", "{start}");
        c.batch_execute("COMMIT").unwrap();
    }
    // Somebody notes it after the snapshot was taken.
    holder.batch_execute("ROLLBACK").unwrap();
    let mut c = w.app();
    c.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class").unwrap();
    w.sql("UPDATE docperm.sessions SET last_active = now() - interval '9 min'");
    resume(&mut c, &bob, true);
    c.batch_execute("COMMIT").unwrap();
}

#[test]
fn only_so_many_sessions_are_open_at_once_and_the_least_recently_used_goes() {
    let mut w = world();
    w.sql(&format!("UPDATE docperm.users SET simultaneous_sessions = 2 WHERE name = '{BOB}'"));
    let (first, second) = (token(&w, BOB), token(&w, BOB));
    // The first is used after the second.
    w.sql("UPDATE docperm.sessions SET last_active = last_active - interval '1 hour'");
    w.sql(
        "UPDATE docperm.sessions SET last_active = now() WHERE id = (SELECT min(id) FROM docperm.sessions)",
    );
    let third = token(&w, BOB);
    let mut c = w.app();
    resume(&mut c, &first, true);
    resume(&mut c, &third, true);
    assert_eq!(attempt(&mut c, &format!("SELECT docperm.resume('{second}')")).unwrap_err().sqlstate, "28000");
    let ann = (token(&w, ANN), token(&w, ANN), token(&w, ANN));
    resume(&mut c, &ann.0, true);
}

#[test]
fn one_sees_and_ends_ones_own_sessions_only() {
    let mut w = world();
    let (bob, other, ann) = (token(&w, BOB), token(&w, BOB), token(&w, ANN));
    let mut c = w.app();
    resume(&mut c, &bob, false);
    let mine = table(&mut c, "SELECT id, is_current FROM docperm.my_sessions() ORDER BY id");
    assert_eq!(mine, [["1", "t"], ["2", "f"]]);
    let anns = one(&mut w.admin, &format!("SELECT id FROM docperm.sessions WHERE user_name = '{ANN}'"));
    for id in [anns.as_str(), "4711"] {
        let error = attempt(&mut c, &format!("SELECT docperm.end_session({id})")).unwrap_err();
        assert_eq!(error.sqlstate, "42704");
    }
    one(&mut c, "SELECT docperm.end_session(2)");
    let mut d = w.app();
    assert_eq!(attempt(&mut d, &format!("SELECT docperm.resume('{other}')")).unwrap_err().sqlstate, "28000");
    resume(&mut d, &ann, true);
    one(&mut c, "SELECT docperm.logout()");
    assert_eq!(whoami(&mut c).unwrap(), "Guest");
    assert_eq!(attempt(&mut d, &format!("SELECT docperm.resume('{bob}')")).unwrap_err().sqlstate, "28000");
}

#[test]
fn logout_all_ends_all_of_ones_own_and_an_administrator_ends_anybodys() {
    let mut w = world();
    w.user("boss@erp.test", &["System Manager"]);
    let tokens = [token(&w, BOB), token(&w, BOB)];
    let mut c = w.app();
    resume(&mut c, &tokens[0], false);
    assert_eq!(one(&mut c, "SELECT docperm.logout_all()"), "2");
    assert_eq!(whoami(&mut c).unwrap(), "Guest");
    let last = token(&w, BOB);
    let mut d = w.app();
    resume(&mut d, &last, false);
    one(&mut d, "SELECT docperm.end_session(id) FROM docperm.my_sessions() WHERE is_current");
    assert_eq!(whoami(&mut d), Err("28000".to_owned()));
    token(&w, BOB);
    assert_eq!(one(&mut w.acting("boss@erp.test"), &format!("SELECT docperm.logout_all('{BOB}')")), "1");
    assert_eq!(w.denied("boss@erp.test", "SELECT docperm.logout_all('Administrator')"), "42501");
}

#[test]
fn the_token_is_not_shown() {
    let w = world();
    let bob = token(&w, BOB);
    let mut c = w.app();
    resume(&mut c, &bob, false);
    for sql in [
        "SHOW docperm.session",
        "SELECT current_setting('docperm.session')",
        "SELECT setting FROM pg_settings WHERE name = 'docperm.session'",
        "SHOW ALL",
        "SELECT string_agg(s::text, ' ') FROM docperm.session_info() s",
        "SELECT string_agg(s::text, ' ') FROM docperm.my_sessions() s",
    ] {
        let shown = table(&mut c, sql).concat().concat();
        assert!(!shown.contains(&bob), "{sql}");
    }
}

#[test]
fn the_application_that_names_its_user_goes_before_a_token() {
    let w = world();
    let bob = token(&w, BOB);
    let mut c = w.acting(ANN);
    c.batch_execute(&format!("SET docperm.session = '{bob}'")).unwrap();
    assert_eq!(whoami(&mut c).unwrap(), ANN);
    resume(&mut c, &bob, false);
    assert_eq!(whoami(&mut c).unwrap(), BOB, "resume gives the place to the session");
}

#[test]
fn a_plan_made_in_one_session_is_not_used_in_another() {
    let mut w = world();
    w.sql(
        "ALTER TABLE memo ADD owner text; INSERT INTO memo VALUES ('m2', 'of ann', 'ann@erp.test');
           UPDATE memo SET owner = 'bob@erp.test' WHERE name = 'm1';
           SELECT docperm.protect('memo', 'Memo', owner_column => 'owner');
           UPDATE docperm.role_permissions SET if_owner = true",
    );
    let (bob, ann) = (token(&w, BOB), token(&w, ANN));
    let mut c = w.app();
    c.batch_execute("SET plan_cache_mode = force_generic_plan; PREPARE memos AS SELECT name FROM memo")
        .unwrap();
    for _ in 0..3 {
        for (token, name) in [(&bob, "m1"), (&ann, "m2")] {
            c.batch_execute("BEGIN").unwrap();
            resume(&mut c, token, true);
            assert_eq!(names(&mut c, "EXECUTE memos"), [name]);
            c.batch_execute("COMMIT").unwrap();
            assert_eq!(names(&mut c, "EXECUTE memos"), [""; 0]);
            c.batch_execute(&format!("SET docperm.session = '{token}'")).unwrap();
            assert_eq!(names(&mut c, "EXECUTE memos"), [name]);
            c.batch_execute("DISCARD ALL").unwrap();
            c.batch_execute(
                "SET plan_cache_mode = force_generic_plan; PREPARE memos AS SELECT name FROM memo",
            )
            .unwrap();
        }
    }
}

#[test]
fn a_session_of_a_superusers_connection_has_no_more_rights_than_its_user() {
    let mut w = world();
    let bob = token(&w, BOB);
    let mut c = w.db.admin();
    resume(&mut c, &bob, false);
    assert_eq!(attempt(&mut c, "SELECT docperm.unlock('ann@erp.test')").unwrap_err().sqlstate, "42501");
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.sessions"), "1");
}

// API keys ----------------------------------------------------------------------------------------------------------

fn api_key(w: &World, user: &str) -> (String, String) {
    let made = table(&mut w.acting(user), "SELECT * FROM docperm.create_api_key()");
    (made[0][0].clone(), made[0][1].clone())
}

#[test]
fn a_key_and_its_secret_open_what_a_token_opens() {
    let mut w = world();
    let (key, secret) = api_key(&w, BOB);
    let mut c = w.app();
    resume(&mut c, &format!("{key}:{secret}"), false);
    assert_eq!(
        one(&mut c, "SELECT user_name || ' ' || source FROM docperm.session_info()"),
        format!("{BOB} API key")
    );
    assert_eq!(one(&mut c, "SELECT body FROM memo"), "hello");
    let stored = one(&mut w.admin, "SELECT k::text FROM docperm.api_keys k");
    assert!(!stored.contains(&secret), "{stored}");
    for bad in [
        format!("{key}:"),
        key.clone(),
        format!("{key}:{secret}x"),
        format!(":{secret}"),
        format!("{secret}:{key}"),
    ] {
        let error = attempt(&mut w.app(), &format!("SELECT docperm.resume('{bad}')")).unwrap_err();
        assert_eq!(error.sqlstate, "28000", "{bad}");
    }
}

#[test]
fn the_end_of_a_key_is_noticed_by_open_connections() {
    for end in [
        "DELETE FROM docperm.api_keys",
        "UPDATE docperm.api_keys SET expires_at = now()",
        "UPDATE docperm.users SET enabled = false WHERE name = 'bob@erp.test'",
        "UPDATE docperm.users SET restrict_ip = '{10.0.0.0/8}' WHERE name = 'bob@erp.test'",
        "UPDATE docperm.api_keys SET secret_hash = repeat('0', 64)",
    ] {
        let mut w = world();
        let (key, secret) = api_key(&w, BOB);
        let mut c = w.app();
        resume(&mut c, &format!("{key}:{secret}"), false);
        one(&mut c, "SELECT body FROM memo");
        w.sql(end);
        assert_eq!(attempt(&mut c, "SELECT body FROM memo").unwrap_err().sqlstate, "28000", "{end}");
    }
}

#[test]
fn a_key_can_end_itself() {
    let mut w = world();
    let (key, secret) = api_key(&w, BOB);
    let mut c = w.app();
    resume(&mut c, &format!("{key}:{secret}"), false);
    one(&mut c, &format!("SELECT docperm.revoke_api_key('{key}')"));
    assert_eq!(attempt(&mut c, "SELECT body FROM memo").unwrap_err().sqlstate, "28000");
    let detail =
        "SELECT detail FROM docperm.activity_log WHERE operation = 'API Key' ORDER BY id DESC LIMIT 1";
    assert_eq!(one(&mut w.admin, detail), format!("{key} revoked by {BOB}"));
}

#[test]
fn addresses_apply_to_keys() {
    let mut w = world();
    let (key, secret) = api_key(&w, BOB);
    w.sql(&format!("UPDATE docperm.users SET restrict_ip = '{{10.0.0.0/8}}' WHERE name = '{BOB}'"));
    let mut c = w.app();
    let from = |c: &mut Client, address: &str| {
        let sql = format!("SELECT docperm.resume('{key}:{secret}', true, client_address => '{address}')");
        attempt(c, &sql).map(|_| ()).map_err(|error| error.sqlstate)
    };
    assert_eq!(from(&mut c, "10.1.1.1"), Ok(()));
    assert_eq!(from(&mut c, "11.1.1.1"), Err("28000".to_owned()));
    let stranger = w.db.login_role("stranger");
    assert_eq!(from(&mut w.db.connect_as(&stranger), "10.1.1.1"), Err("28000".to_owned()), "not believed");
    c.batch_execute(&format!("SET docperm.session = '{key}:{secret}'")).unwrap();
    assert_eq!(
        attempt(&mut c, "SELECT body FROM memo").unwrap_err().sqlstate,
        "28000",
        "a Unix socket has no address"
    );
}

#[test]
fn keys_are_made_for_oneself_or_by_administrators_and_never_for_guest() {
    let mut w = world();
    w.user("boss@erp.test", &["System Manager"]);
    assert_eq!(w.denied(BOB, &format!("SELECT docperm.create_api_key('{ANN}')")), "42501");
    assert_eq!(w.denied("Guest", "SELECT docperm.create_api_key()"), "42501");
    assert_eq!(w.denied("boss@erp.test", "SELECT docperm.create_api_key('Administrator')"), "42501");
    w.try_as("boss@erp.test", &format!("SELECT docperm.create_api_key('{ANN}')")).unwrap();
    let (key, _) = api_key(&w, BOB);
    assert_eq!(w.denied(ANN, &format!("SELECT docperm.revoke_api_key('{key}')")), "42704");
    w.try_as(BOB, &format!("SELECT docperm.revoke_api_key('{key}')")).unwrap();
    assert_eq!(names(&mut w.acting(BOB), "SELECT api_key FROM docperm.my_api_keys()"), [key]);
}

#[test]
fn whoever_has_a_key_comes_by_nothing_that_outlasts_it() {
    let mut w = world();
    let (key, secret) = api_key(&w, BOB);
    let mut c = w.app();
    resume(&mut c, &format!("{key}:{secret}"), false);
    for sql in [
        "SELECT docperm.create_api_key()",
        "SELECT docperm.enroll_two_factor()",
        "SELECT docperm.confirm_two_factor('123456')",
        "SELECT docperm.reset_two_factor()",
        &format!("SELECT docperm.change_password('{RIGHT}', 'a much better phrase')"),
    ] {
        assert_eq!(attempt(&mut c, sql).unwrap_err().sqlstate, "42501", "{sql}");
    }
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.api_keys"), "1");
}

// Impersonation -----------------------------------------------------------------------------------------------------

#[test]
fn the_administrator_acts_as_somebody_else_and_it_is_written_down() {
    let mut w = world();
    let mut c = w.acting("Administrator");
    for reason in ["''", "'  '", "NULL"] {
        assert_eq!(
            attempt(&mut c, &format!("SELECT docperm.impersonate('{BOB}', {reason})")).unwrap_err().sqlstate,
            "22023"
        );
    }
    c.batch_execute("BEGIN").unwrap();
    let token = one(&mut c, &format!("SELECT docperm.impersonate('{BOB}', 'cannot print')"));
    let info = "SELECT user_name || ' ' || actor FROM docperm.session_info()";
    assert_eq!(one(&mut c, info), format!("{BOB} Administrator"));
    c.batch_execute("ROLLBACK").unwrap();
    // The log row stays, and so does the session.
    let mut bob = w.acting(BOB);
    let seen = table(
        &mut bob,
        "SELECT operation, detail FROM docperm.my_activity() WHERE operation <> 'Set Password'",
    );
    assert_eq!(seen, [["Impersonate", "by Administrator: cannot print"]]);
    assert_eq!(one(&mut bob, "SELECT impersonated_by FROM docperm.my_sessions()"), "Administrator");
    let mut d = w.app();
    resume(&mut d, &token, false);
    assert_eq!(one(&mut d, info), format!("{BOB} Administrator"));
    assert_eq!(one(&mut d, "SELECT body FROM memo"), "hello");
    // It is no login of Bob's.
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.users WHERE last_login IS NOT NULL"), "0");
    assert_eq!(one(&mut d, "SELECT docperm.end_impersonation()"), "NULL");
    assert_eq!(whoami(&mut d).unwrap(), "Guest");
    assert_eq!(attempt(&mut d, "SELECT docperm.end_impersonation()").unwrap_err().sqlstate, "22023");
}

#[test]
fn the_end_of_an_impersonation_returns_to_ones_own_session() {
    let mut w = world();
    w.sql(&format!("SELECT docperm.set_password('Administrator', '{RIGHT}', false)"));
    let own = token(&w, "Administrator");
    let mut c = w.app();
    resume(&mut c, &own, false);
    let as_bob = one(&mut c, &format!("SELECT docperm.impersonate('{BOB}', 'look')"));
    let error = attempt(&mut c, &format!("SELECT docperm.impersonate('{ANN}', 'look on')")).unwrap_err();
    assert_eq!(error.sqlstate, "42501", "not from one to the next");
    // Code of Bob's that runs in it, in a trigger or a view, does not come by the Administrator's rights: it has no token.
    let anns = token(&w, ANN);
    for stolen in [anns, as_bob.clone(), "x".to_owned()] {
        let error = attempt(&mut c, &format!("SELECT docperm.end_impersonation(own_token => '{stolen}')"))
            .unwrap_err();
        assert_eq!(error.sqlstate, "28000");
        assert_eq!(whoami(&mut c).unwrap(), BOB);
    }
    c.batch_execute("BEGIN").unwrap();
    assert_eq!(one(&mut c, "SELECT docperm.end_impersonation()"), "NULL");
    assert_eq!(whoami(&mut c).unwrap(), "Guest");
    c.batch_execute("ROLLBACK").unwrap();

    let back = format!("SELECT docperm.end_impersonation(own_token => '{own}')");
    assert_eq!(one(&mut c, &back), "Administrator");
    assert_eq!(whoami(&mut c).unwrap(), "Administrator");
    let ended = attempt(&mut w.app(), &format!("SELECT docperm.resume('{as_bob}')")).unwrap_err();
    assert_eq!(ended.sqlstate, "28000");
}

#[test]
fn nobody_impersonates_without_the_right_nor_up() {
    let mut w = world();
    w.user("boss@erp.test", &["System Manager"]);
    assert_eq!(w.denied(BOB, &format!("SELECT docperm.impersonate('{ANN}', 'why not')")), "42501");
    assert_eq!(
        w.denied("boss@erp.test", &format!("SELECT docperm.impersonate('{ANN}', 'why not')")),
        "42501"
    );
    assert_eq!(w.denied(BOB, "SELECT docperm.impersonate('nobody@erp.test', 'why not')"), "42501");
    assert_eq!(
        w.denied("Administrator", "SELECT docperm.impersonate('nobody@erp.test', 'why not')"),
        "42704"
    );
    assert_eq!(w.denied("Administrator", "SELECT docperm.impersonate('Guest', 'why not')"), "42501");
    w.sql(&format!("UPDATE docperm.users SET enabled = false WHERE name = '{ANN}'"));
    assert_eq!(
        w.denied("Administrator", &format!("SELECT docperm.impersonate('{ANN}', 'why not')")),
        "28000"
    );
    let detail = one(
        &mut w.admin,
        "SELECT status || ': ' || detail FROM docperm.activity_log WHERE operation = 'Impersonate'",
    );
    assert_eq!(detail, "Failed: by Administrator, refused (the user is disabled): why not");
}
