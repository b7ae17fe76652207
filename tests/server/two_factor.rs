//! One-time codes: enrolment, single use, secrets that nobody finds in the database, and who may take them away.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use docperm_testkit::{refused, server};
use postgres::Client;
use totp_rs::{Builder, Secret};

use crate::support::{World, literal, names, one, refused_with, run, set_user, table};

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "//////////////////////////////////////////8=";

/// A file of a test, which belongs to the server's user as a key file should.
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// A key for all connections to come.
    pub fn of_database(w: &mut World) -> KeyFile {
        let file = KeyFile::new(w, KEY);
        let path = literal(file.0.to_str().unwrap());
        w.sql(&format!("ALTER DATABASE {} SET docperm.secret_key_file = {path}", w.db.name()));
        w.admin = w.db.admin();
        file
    }

    fn new(w: &World, text: &str) -> KeyFile {
        let file = KeyFile(server().socket_dir().join(format!("{}.key", w.db.name())));
        file.write(text, 0o600);
        file
    }

    pub fn write(&self, text: &str, mode: u32) {
        std::fs::write(&self.0, text).unwrap();
        let owner = std::fs::metadata(server().socket_dir()).unwrap();
        chown(&self.0, Some(owner.uid()), Some(owner.gid())).unwrap();
        std::fs::set_permissions(&self.0, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Ann and Bob, Sam who is System Manager, and a key.
fn world() -> (World, KeyFile) {
    let mut w = World::new("");
    w.user(ANN, &["Clerk"]);
    w.user(BOB, &[]);
    w.user("sam@erp.test", &["System Manager"]);
    let file = KeyFile::of_database(&mut w);
    (w, file)
}

/// The code that an authenticator app shows `steps` half minutes from now. Waits if that would change at any moment.
pub fn code(uri: &str, steps: i64) -> String {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    while now() % 30 > 25 {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let secret = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    let generator = Builder::new().with_secret(Secret::try_from_base32(secret).unwrap()).build().unwrap();
    generator.generate(now().checked_add_signed(steps * 30).unwrap()).to_string()
}

fn verify(client: &mut Client, user: &str, code: &str) -> String {
    one(client, &format!("SELECT docperm._verify_one_time_code({}, {})", literal(user), literal(code)))
}

/// Enrols the user and confirms with the code of the step before now, so that the one of now is unused.
fn enrolled(w: &World, user: &str) -> String {
    let mut c = w.acting(user);
    let uri = one(&mut c, "SELECT docperm.enroll_two_factor()");
    one(&mut c, &format!("SELECT docperm.confirm_two_factor('{}')", code(&uri, -1)));
    uri
}

#[test]
fn enrolling_confirming_and_using_a_code_once() {
    let (mut w, _file) = world();
    w.sql("UPDATE docperm.settings SET otp_issuer_name = 'Acme & Co'");
    let mut c = w.acting(ANN);
    let uri = one(&mut c, "SELECT docperm.enroll_two_factor()");
    assert!(uri.starts_with("otpauth://totp/Acme%20%26%20Co:ann%40erp.test?secret="), "{uri}");
    assert!(uri.ends_with("&issuer=Acme%20%26%20Co&algorithm=SHA1&digits=6&period=30"), "{uri}");
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.two_factor WHERE confirmed_at IS NULL"), "1");

    assert_eq!(refused_with(&mut c, "SELECT docperm.confirm_two_factor('000000x')"), "28P01");
    let first = code(&uri, -1);
    one(&mut c, &format!("SELECT docperm.confirm_two_factor('{first}')"));
    assert_eq!(
        one(&mut w.admin, "SELECT count(*) FROM docperm.two_factor WHERE confirmed_at IS NOT NULL"),
        "1"
    );

    let mut worker = w.db.admin();
    assert_eq!(verify(&mut worker, ANN, &first), "already used");
    let now = code(&uri, 0);
    assert_eq!(verify(&mut worker, ANN, &format!(" {} {}", &now[..3], &now[3..])), "right");
    assert_eq!(verify(&mut worker, ANN, &now), "already used");
    assert_eq!(verify(&mut worker, ANN, "not a code"), "wrong");
    assert_eq!(verify(&mut worker, BOB, &now), "not enrolled");
}

#[test]
fn a_secret_is_told_once_and_never_found_in_the_database() {
    let (mut w, _file) = world();
    let uri = enrolled(&w, ANN);
    let secret = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    let row = table(&mut w.admin, "SELECT t::text FROM docperm.two_factor AS t").concat().concat();
    assert!(row.contains("docperm1.") && !row.contains(secret), "{row}");
    let dump = String::from_utf8(run("pg_dump", "postgres", w.db.name(), &[]).unwrap()).unwrap();
    assert!(dump.contains("docperm1.") && !dump.contains(secret) && !dump.contains(KEY));
    let mut c = w.acting(ANN);
    assert_eq!(refused_with(&mut c, "TABLE docperm.two_factor"), "42501");
    // What is in force is not replaced by whoever finds an open session.
    assert_eq!(refused_with(&mut c, "SELECT docperm.enroll_two_factor()"), "55000");
    let other = format!("SELECT docperm.confirm_two_factor('{}')", code(&uri, 0));
    assert_eq!(refused_with(&mut c, &other), "55000", "nor are codes of it tried out");
    assert_eq!(refused_with(&mut w.admin, &format!("SELECT docperm.start_enrollment('{ANN}')")), "55000");
}

#[test]
fn two_at_the_same_time_use_a_code_once() {
    let (mut w, _file) = world();
    let uri = enrolled(&w, ANN);
    let now = code(&uri, 0);
    let mut first = w.db.admin();
    first.batch_execute("BEGIN").unwrap();
    assert_eq!(verify(&mut first, ANN, &now), "right");
    let (mut second, again) = (w.db.admin(), now.clone());
    let second = std::thread::spawn(move || verify(&mut second, ANN, &again));
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while one(&mut w.admin, waiting) == "0" && !second.is_finished() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    first.batch_execute("COMMIT").unwrap();
    assert_eq!(second.join().unwrap(), "already used");

    // The step is remembered only if the transaction commits: that is why the login has one of its own.
    let remembered = "SELECT last_used_step FROM docperm.two_factor";
    let before = one(&mut w.admin, remembered);
    w.admin.batch_execute("BEGIN").unwrap();
    assert_eq!(verify(&mut w.admin, ANN, &code(&uri, 1)), "right");
    w.admin.batch_execute("ROLLBACK").unwrap();
    assert_eq!(one(&mut w.admin, remembered), before);
}

#[test]
fn an_enrolment_that_was_sent_is_put_in_force_by_the_first_login() {
    let (mut w, _file) = world();
    let uri = one(&mut w.admin, "SELECT docperm.start_enrollment(' Ann@ERP.test')");
    assert_eq!(verify(&mut w.admin, ANN, "000000x"), "wrong");
    let again = one(&mut w.admin, &format!("SELECT docperm.start_enrollment('{ANN}')"));
    assert_ne!(uri, again);
    assert_eq!(verify(&mut w.admin, ANN, &code(&uri, 0)), "wrong", "the newest counts");
    assert_eq!(verify(&mut w.admin, ANN, &code(&again, 0)), "right");
    assert_eq!(one(&mut w.admin, "SELECT confirmed_at IS NOT NULL FROM docperm.two_factor"), "t");

    let late = one(&mut w.admin, &format!("SELECT docperm.start_enrollment('{BOB}')"));
    w.sql("UPDATE docperm.two_factor SET started_at = now() - interval '25 h'");
    assert_eq!(verify(&mut w.admin, BOB, &code(&late, 0)), "not enrolled");
    let confirm = format!("SELECT docperm.confirm_two_factor('{}')", code(&late, 0));
    assert_eq!(refused_with(&mut w.acting(BOB), &confirm), "55000");
    assert_eq!(verify(&mut w.admin, ANN, &code(&again, 1)), "right", "what is in force does not expire");

    w.sql(&format!("UPDATE docperm.users SET enabled = false WHERE name = '{BOB}'"));
    assert_eq!(refused_with(&mut w.admin, &format!("SELECT docperm.start_enrollment('{BOB}')")), "28000");
    assert_eq!(refused_with(&mut w.admin, "SELECT docperm.start_enrollment('nobody@erp.test')"), "42704");
    assert_eq!(refused_with(&mut w.admin, "SELECT docperm.start_enrollment('Guest')"), "22023");
    assert_eq!(refused_with(&mut w.admin, "SELECT docperm.start_enrollment(NULL)"), "22023");
}

#[test]
fn who_may_reset_whose() {
    let (mut w, _file) = world();
    let count = "SELECT count(*) FROM docperm.two_factor";
    for user in [ANN, BOB, "Administrator"] {
        enrolled(&w, user);
    }
    let mut ann = w.acting(ANN);
    for other in [BOB, "Administrator", "nobody@erp.test", "Guest"] {
        assert_eq!(refused_with(&mut ann, &format!("SELECT docperm.reset_two_factor('{other}')")), "42501");
    }
    assert_eq!(one(&mut ann, "SELECT docperm.reset_two_factor()"), "t");
    assert_eq!(one(&mut ann, "SELECT docperm.reset_two_factor(' ANN@erp.test')"), "f");
    let mut sam = w.acting("sam@erp.test");
    assert_eq!(refused_with(&mut sam, "SELECT docperm.reset_two_factor('Administrator')"), "42501");
    w.sql(&format!("UPDATE docperm.users SET enabled = false WHERE name = '{BOB}'"));
    assert_eq!(one(&mut sam, &format!("SELECT docperm.reset_two_factor('{BOB}')")), "t", "disabled or not");
    assert_eq!(refused_with(&mut sam, "SELECT docperm.reset_two_factor('nobody@erp.test')"), "42704");
    assert_eq!(one(&mut w.admin, count), "1");
    assert_eq!(one(&mut w.acting("Administrator"), "SELECT docperm.reset_two_factor()"), "t");
    enrolled(&w, "Administrator");
    assert_eq!(one(&mut w.admin, "SELECT docperm.reset_two_factor('Administrator')"), "t", "a superuser");
    let mut become_ann = w.db.admin();
    set_user(&mut become_ann, ANN);
    assert_eq!(refused_with(&mut become_ann, "SELECT docperm.reset_two_factor('Administrator')"), "42501");
}

#[test]
fn a_stranger_gets_nowhere() {
    let (w, _file) = world();
    enrolled(&w, ANN);
    let mut guest = w.app();
    for sql in [
        "SELECT docperm.enroll_two_factor()",
        "SELECT docperm.confirm_two_factor('123456')",
        "SELECT docperm.reset_two_factor('ann@erp.test')",
        "SELECT docperm.start_enrollment('ann@erp.test')",
        "SELECT docperm.reseal_secrets()",
        "SELECT docperm._verify_one_time_code('ann@erp.test', '123456')",
        "SELECT docperm._reseal_secret('x', 'ann@erp.test', 'bob@erp.test')",
        "SELECT docperm._requires_two_factor('ann@erp.test')",
        "SHOW docperm.secret_key_file",
        "SELECT current_setting('docperm.secret_key_file')",
        "SET docperm.secret_key_file = '/etc/passwd'",
        "SET LOCAL docperm.secret_key_file = ''",
        "ALTER ROLE CURRENT_USER SET docperm.secret_key_file = '/tmp/x'",
    ] {
        assert_eq!(refused_with(&mut guest, sql), "42501", "{sql}");
    }
    assert_eq!(
        names(&mut guest, "SELECT name FROM pg_settings WHERE name = 'docperm.secret_key_file'"),
        [""; 0]
    );
    // Planted before the library was there to refuse it: it is dropped, and what the database says does not come back.
    let mut planted = w.db.connect_with(&w.app_role, "-c docperm.secret_key_file=/dev/null");
    set_user(&mut planted, BOB);
    let error = refused(&mut planted, "SELECT docperm.enroll_two_factor()");
    assert_eq!((&*error.sqlstate, &*error.message), ("55000", "there is no key to seal secrets with"));
}

#[test]
fn nobodys_operators_run_with_the_owners_privileges() {
    let (mut w, _file) = world();
    let app = w.app_role.clone();
    w.sql(&format!("CREATE SCHEMA evil AUTHORIZATION {app}; CREATE TABLE evil.caught (who text)"));
    w.sql(&format!("GRANT INSERT, SELECT ON evil.caught TO {app}"));
    let mut c = w.acting(ANN);
    c.batch_execute(
        "CREATE FUNCTION evil.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO evil.caught VALUES (current_user); RETURN true; END $$;
         CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.eq);
         CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO evil.caught VALUES (current_user); RETURN pg_catalog.now(); END $$;
         SET search_path = evil, pg_catalog;",
    )
    .unwrap();
    let uri = one(&mut c, "SELECT docperm.enroll_two_factor()");
    one(&mut c, &format!("SELECT docperm.confirm_two_factor('{}')", code(&uri, 0)));
    one(&mut c, "SELECT docperm.reset_two_factor()");
    assert_eq!(names(&mut c, "SELECT who FROM evil.caught"), [""; 0]);
    assert_eq!(one(&mut c, "SELECT current_user::pg_catalog.text"), app, "and the caller is himself again");
    assert_eq!(refused_with(&mut c, "SELECT docperm.confirm_two_factor('1')"), "55000");
    assert_eq!(one(&mut c, "SELECT current_user::pg_catalog.text"), app, "after an error, too");
}

#[test]
fn a_superusers_maintenance_resets_nothing_for_anybody() {
    let (mut w, _file) = world();
    enrolled(&w, ANN);
    let app = w.app_role.clone();
    w.sql(&format!("CREATE SCHEMA evil AUTHORIZATION {app}"));
    let mut c = w.app();
    c.batch_execute(
        "CREATE FUNCTION evil.strike(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
             $$ BEGIN PERFORM docperm.reset_two_factor('ann@erp.test'); RETURN 1; EXCEPTION WHEN OTHERS THEN RETURN 2; END $$;
         CREATE TABLE evil.bait (x int);
         CREATE INDEX ON evil.bait (evil.strike(x));
         INSERT INTO evil.bait VALUES (1);",
    )
    .unwrap();
    for statement in [
        "ANALYZE evil.bait",
        "REINDEX TABLE evil.bait",
        "VACUUM ANALYZE evil.bait",
        "CLUSTER evil.bait USING bait_strike_idx",
    ] {
        w.admin.batch_execute(statement).unwrap();
    }
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.two_factor"), "1");
}

#[test]
fn a_sealed_secret_is_its_users_alone() {
    let (mut w, _file) = world();
    let uri = enrolled(&w, ANN);
    let steal = format!("UPDATE docperm.two_factor SET user_name = '{BOB}' WHERE user_name = '{ANN}'");
    assert_eq!(refused_with(&mut w.admin, &steal), "22023");
    w.sql(&format!(
        "INSERT INTO docperm.two_factor SELECT '{BOB}', sealed_secret, now(), now() FROM docperm.two_factor"
    ));
    let verify_bob = format!("SELECT docperm._verify_one_time_code('{BOB}', '{}')", code(&uri, 0));
    let error = refused(&mut w.admin, &verify_bob);
    assert_eq!(
        (&*error.sqlstate, &*error.message),
        ("XX001", "the sealed secret of user \"bob@erp.test\" does not open")
    );
    assert!(error.hint.is_some());

    // Renamed he keeps it.
    w.sql(&format!("UPDATE docperm.users SET name = 'ann.lee@erp.test' WHERE name = '{ANN}'"));
    assert_eq!(verify(&mut w.admin, "ann.lee@erp.test", &code(&uri, 0)), "right");
    w.sql("DELETE FROM docperm.users WHERE name = 'ann.lee@erp.test'");
    assert_eq!(names(&mut w.admin, "SELECT user_name FROM docperm.two_factor"), [BOB]);
    assert_eq!(
        refused_with(&mut w.admin, "INSERT INTO docperm.two_factor VALUES ('nobody@erp.test', 'x')"),
        "42704"
    );
}

#[test]
fn keys_are_changed_without_anybody_noticing() {
    let (mut w, file) = world();
    let (ann, bob) = (enrolled(&w, ANN), enrolled(&w, BOB));
    let keys = "SELECT DISTINCT split_part(sealed_secret, '.', 2) FROM docperm.two_factor";
    let old = names(&mut w.admin, keys);
    assert_eq!(old.len(), 1);
    file.write(&format!("# since today\n{OTHER_KEY}\n{KEY}\n"), 0o600);
    assert_eq!(verify(&mut w.admin, ANN, &code(&ann, 0)), "right");
    assert_eq!(names(&mut w.admin, keys).len(), 2, "who logs in has the new key");
    assert_eq!(one(&mut w.admin, "SELECT docperm.reseal_secrets()"), "1");
    assert_eq!(one(&mut w.admin, "SELECT docperm.reseal_secrets()"), "0");
    file.write(OTHER_KEY, 0o600);
    assert_eq!(verify(&mut w.admin, BOB, &code(&bob, 0)), "right");
    file.write(KEY, 0o600);
    let error = refused(&mut w.admin, &format!("SELECT docperm._verify_one_time_code('{ANN}', '123456')"));
    assert_eq!(error.sqlstate, "55000");
    assert!(error.message.starts_with("the key \"") && error.message.ends_with("\" is missing"), "{error:?}");
}

#[test]
fn without_a_good_key_file_there_is_a_clear_error() {
    let (mut w, file) = world();
    let enroll = format!("SELECT docperm.start_enrollment('{ANN}')");
    let mut fails = |sqlstate: &str, detail: &str| {
        let error = refused(&mut w.admin, &enroll);
        assert_eq!((&*error.sqlstate, error.detail.as_deref()), (sqlstate, Some(detail)));
        let told = format!("{error:?}");
        assert!(
            error.hint.is_some() && !told.contains(KEY) && !told.contains(file.0.to_str().unwrap()),
            "{told}"
        );
    };
    for mode in [0o604, 0o640, 0o620, 0o601, 0o644, 0o666] {
        file.write(KEY, mode);
        fails("F0000", "Others than the server may read or change it.");
    }
    file.write("", 0o600);
    fails("F0000", "It holds no key.");
    file.write(&format!("{KEY}\nsecret but no key\n"), 0o600);
    fails("F0000", "Line 2 is not 32 bytes in base64.");
    file.write(&format!("{KEY}\n").repeat(2_000), 0o600);
    fails("F0000", "It is too long.");
    std::fs::write(&file.0, [0xff, 0xfe]).unwrap();
    fails("F0000", "It is not text.");
    std::fs::remove_file(&file.0).unwrap();
    fails("F0000", "It cannot be read: entity not found.");
    std::fs::create_dir(&file.0).unwrap();
    fails("F0000", "It is not a regular file.");
    std::fs::remove_dir(&file.0).unwrap();
    file.write(KEY, 0o400);
    one(&mut w.admin, &enroll);

    w.admin.batch_execute("SET docperm.secret_key_file = ''").unwrap();
    let error = refused(&mut w.admin, &enroll);
    assert_eq!((&*error.sqlstate, &*error.message), ("55000", "there is no key to seal secrets with"));
    // Where nobody uses it, nobody misses it.
    assert_eq!(verify(&mut w.admin, BOB, "123456"), "not enrolled");
}

#[test]
fn who_needs_a_second_factor() {
    let (mut w, _file) = world();
    let mut needs = |sql: &str| {
        w.sql(sql);
        names(&mut w.admin, "SELECT name FROM docperm.users WHERE docperm._requires_two_factor(name)")
    };
    let none: [&str; 0] = [];
    assert_eq!(
        needs("UPDATE docperm.roles SET two_factor_auth = true WHERE name = 'Clerk'"),
        none,
        "the setting is off"
    );
    assert_eq!(needs("UPDATE docperm.settings SET enable_two_factor_auth = true"), [ANN]);
    assert_eq!(needs("UPDATE docperm.roles SET disabled = true WHERE name = 'Clerk'"), none);
    assert_eq!(
        needs("UPDATE docperm.roles SET two_factor_auth = (name = 'Desk User'), disabled = false"),
        [ANN, "sam@erp.test"]
    );
    assert_eq!(
        needs("UPDATE docperm.roles SET two_factor_auth = (name = 'All')"),
        [ANN, BOB, "sam@erp.test"]
    );
    assert_eq!(needs("UPDATE docperm.roles SET two_factor_auth = (name = 'Administrator')"), none);
    let issuer = |name: &str| format!("UPDATE docperm.settings SET otp_issuer_name = '{name}'");
    assert_eq!(refused_with(&mut w.admin, &issuer("")), "23514");
    assert_eq!(refused_with(&mut w.admin, &issuer("a:b")), "23514");
}

#[test]
fn an_error_in_the_middle_leaves_nobody_with_the_owners_privileges() {
    let (w, _file) = world();
    let mut c = w.acting(ANN);
    one(&mut c, "SELECT docperm.enroll_two_factor()");
    let mut holder = w.db.admin();
    holder.batch_execute("BEGIN; SELECT FROM docperm.two_factor FOR UPDATE").unwrap();
    c.batch_execute("BEGIN; SET LOCAL lock_timeout = '20ms'; SAVEPOINT before").unwrap();
    for call in ["confirm_two_factor('123456')", "enroll_two_factor()", "reset_two_factor()"] {
        assert_eq!(refused_with(&mut c, &format!("SELECT docperm.{call}")), "55P03", "{call}");
        c.batch_execute("ROLLBACK TO before").unwrap();
        assert_eq!(one(&mut c, "SELECT current_user"), w.app_role);
        assert_eq!(refused_with(&mut c, "TABLE docperm.two_factor"), "42501");
        c.batch_execute("ROLLBACK TO before").unwrap();
    }
    let caught =
        "DO $$ BEGIN PERFORM docperm.reset_two_factor(); EXCEPTION WHEN lock_not_available THEN NULL; END $$";
    c.batch_execute(caught).unwrap();
    assert_eq!(one(&mut c, "SELECT current_user"), w.app_role);
    assert_eq!(refused_with(&mut c, "TABLE docperm.two_factor"), "42501");
}
