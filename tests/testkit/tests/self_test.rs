//! The test kit itself, on databases without the extension.

use docperm_testkit::{refused, run, server, sqlstate_of, texts};
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn databases_are_apart_and_go_away() {
    let first = server().empty_database();
    let second = server().empty_database();
    run(&mut first.admin(), "CREATE TABLE only_here ()");
    assert_eq!(sqlstate_of(&mut second.admin(), "TABLE only_here"), "42P01");

    let name = first.name().to_owned();
    let role = first.login_role("left behind");
    drop(first);
    let mut admin = second.admin();
    assert!(texts(&mut admin, &format!("SELECT FROM pg_database WHERE datname = '{name}'")).is_empty());
    assert!(texts(&mut admin, &format!("SELECT FROM pg_roles WHERE rolname = '{role}'")).is_empty());
}

#[test]
fn connections_have_the_role_and_the_options_asked_for() {
    let database = server().empty_database();
    let role = database.login_role("Odd \"name\"");
    let mut client = database.connect_with(&role, "-c work_mem=64kB -c some.setting=planted");
    let answer = texts(
        &mut client,
        "SELECT session_user, current_setting('work_mem'), current_setting('some.setting'), NULL, current_database()",
    );
    assert_eq!(answer, [format!("{role}|64kB|planted|NULL|{}", database.name())]);
    assert_eq!(texts(&mut database.admin(), "SELECT rolsuper FROM pg_roles WHERE rolname = user"), ["t"]);
    assert_eq!(texts(&mut database.connect_as(&role), "SELECT user"), [role]);
}

#[test]
fn errors_are_whole() {
    let database = server().empty_database();
    let error = refused(
        &mut database.admin(),
        "DO $$ BEGIN RAISE 'no' USING ERRCODE = '22023', DETAIL = 'why', HINT = 'instead'; END $$",
    );
    assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("22023", "no"));
    assert_eq!((error.detail.as_deref(), error.hint.as_deref()), (Some("why"), Some("instead")));
}

#[test]
fn the_servers_own_programs_are_found() {
    let version = Command::new(server().bin().join("pg_dump")).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let database = server().empty_database();
    let major = &texts(&mut database.admin(), "SELECT current_setting('server_version_num')::int / 10000")[0];
    assert!(version.contains(&format!(" {major}.")), "{version}");
}

#[test]
fn the_server_goes_when_its_process_is_killed() {
    // Run by itself below, in a process of its own.
    if std::env::var_os("DOCPERM_TESTKIT_ABORT").is_some() {
        println!("directory={}", server().socket_dir().display());
        std::process::abort();
    }

    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "the_server_goes_when_its_process_is_killed"])
        .env("DOCPERM_TESTKIT_ABORT", "1")
        .output()
        .unwrap();
    assert!(!output.status.success());

    let output = String::from_utf8_lossy(&output.stdout);
    let directory = output.lines().find_map(|line| line.split_once("directory=")).expect("it prints one").1;
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::path::Path::new(directory).exists() {
        assert!(Instant::now() < deadline, "{directory} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}
