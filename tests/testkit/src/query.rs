//! Short ways to run SQL and to look at what came back.

use postgres::{Error, GenericClient, SimpleQueryMessage};

/// An error as the server sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The five characters of the SQLSTATE.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
    /// DETAIL, if there is one.
    pub detail: Option<String>,
    /// HINT, if there is one.
    pub hint: Option<String>,
}

/// What the server said. Panics if the error did not come from the server.
#[track_caller]
pub fn db_error(error: &Error) -> ServerError {
    let Some(error) = error.as_db_error() else { panic!("not the server's error: {error:?}") };
    ServerError {
        sqlstate: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        hint: error.hint().map(str::to_owned),
    }
}

/// The error's SQLSTATE. Panics if the error did not come from the server.
#[track_caller]
pub fn sqlstate(error: &Error) -> String {
    db_error(error).sqlstate
}

/// Runs one or more statements that must succeed.
#[track_caller]
pub fn run(client: &mut impl GenericClient, sql: &str) {
    if let Err(error) = client.batch_execute(sql) {
        panic!("{}\nin: {sql}", full(&error));
    }
}

/// The rows of statements that must succeed, as `psql -At` prints them: one string a row, columns parted by `|`;
/// only that NULL reads `NULL`.
#[track_caller]
pub fn texts(client: &mut impl GenericClient, sql: &str) -> Vec<String> {
    let messages = match client.simple_query(sql) {
        Ok(messages) => messages,
        Err(error) => panic!("{}\nin: {sql}", full(&error)),
    };
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| {
        (0..row.len()).map(|column| row.get(column).unwrap_or("NULL")).collect::<Vec<_>>().join("|")
    })
    .collect()
}

/// Runs a statement that must fail, and returns the error.
#[track_caller]
pub fn refused(client: &mut impl GenericClient, sql: &str) -> ServerError {
    match client.batch_execute(sql) {
        Ok(()) => panic!("was not refused: {sql}"),
        Err(error) => db_error(&error),
    }
}

/// Runs a statement that must fail, and returns the SQLSTATE.
#[track_caller]
pub fn sqlstate_of(client: &mut impl GenericClient, sql: &str) -> String {
    refused(client, sql).sqlstate
}

/// All that is known about an error; its own `Display` says little more than "db error".
pub(crate) fn full(error: &Error) -> String {
    let Some(error) = error.as_db_error() else { return format!("{error:?}") };
    let mut text = format!("{} {}: {}", error.severity(), error.code().code(), error.message());
    for (title, part) in [("DETAIL", error.detail()), ("HINT", error.hint()), ("CONTEXT", error.where_())] {
        if let Some(part) = part {
            text.push_str(&format!("\n{title}: {part}"));
        }
    }
    text
}
