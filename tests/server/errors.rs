//! PostgreSQL's errors reach the client as PostgreSQL raised them, whether the library is loaded or not.

use docperm_testkit::server;
use postgres::Client;
use postgres::error::DbError;

/// All that an error tells, but for the place in the source.
fn told(client: &mut Client, sql: &str) -> Vec<Option<String>> {
    let error = client.batch_execute(sql).unwrap_err();
    let error: &DbError = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    let text = |part: Option<&str>| part.map(str::to_owned);
    vec![
        Some(error.code().code().to_owned()),
        Some(error.message().to_owned()),
        text(error.detail()),
        text(error.hint()),
        text(error.where_()),
        text(error.schema()),
        text(error.table()),
        text(error.column()),
        text(error.datatype()),
        text(error.constraint()),
        error.position().map(|position| format!("{position:?}")),
        error.routine().map(str::to_owned),
    ]
}

#[test]
fn errors_keep_their_context_and_the_names_of_what_they_are_about() {
    let db = server().database();
    db.admin()
        .batch_execute(
            "CREATE DOMAIN small AS int CONSTRAINT below_ten CHECK (VALUE < 10);
             CREATE TABLE t (a int PRIMARY KEY CONSTRAINT positive CHECK (a > 0), b small NOT NULL DEFAULT 1);
             INSERT INTO t VALUES (1);
             CREATE FUNCTION divides() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT 1 / 0 FROM t); END';
             CREATE FUNCTION reads() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT 1 FROM secret); END';
             CREATE TABLE secret ();
             CREATE PROCEDURE inserts(a int) LANGUAGE sql AS 'INSERT INTO t VALUES (a)';",
        )
        .unwrap();
    let stranger = db.login_role("stranger");
    let role = stranger.as_str();
    db.admin().batch_execute(&format!("GRANT SELECT ON t TO {role}")).unwrap();
    for (role, sql) in [
        ("postgres", "DO $$ BEGIN INSERT INTO t VALUES (-1); END $$"),
        ("postgres", "DO $$ BEGIN INSERT INTO t VALUES (1); END $$"),
        ("postgres", "DO $$ BEGIN INSERT INTO t VALUES (2, NULL); END $$"),
        ("postgres", "CALL inserts(-1)"),
        ("postgres", "COPY t FROM PROGRAM 'printf \"2\\n-2\\n\"'"),
        ("postgres", "COPY t FROM PROGRAM 'printf \"nonsense\\n\"'"),
        ("postgres", "PREPARE p AS INSERT INTO t VALUES (-1); EXECUTE p"),
        ("postgres", "PREPARE q AS SELECT divides(); EXECUTE q"),
        ("postgres", "EXPLAIN SELECT nope FROM t"),
        ("postgres", "EXPLAIN ANALYZE INSERT INTO t VALUES (-1)"),
        ("postgres", "CREATE TABLE u AS SELECT 1 / 0 FROM t"),
        ("postgres", "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 1)"),
        ("postgres", "SELECT divides()"),
        ("postgres", "SELECT 11::small"),
        (role, "SELECT reads()"),
        (role, "DO $$ BEGIN PERFORM reads(); END $$"),
    ] {
        let plain = told(&mut db.connect_as(role), sql);
        let mut loaded = db.connect_as(role);
        loaded.batch_execute("SELECT docperm.whoami()").unwrap();
        assert_eq!(told(&mut loaded, sql), plain, "{sql}");
    }
}
