//! PostgreSQL's protocol over a Unix socket, as thin as it gets: what the client adds to a round trip of fifty
//! microseconds would blur the ratios that this program is about.

use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A row: its columns in text form, NULL as `None`.
pub type Row = Vec<Option<String>>;

/// What went wrong: an error of the server with its SQLSTATE, or of the connection, without one.
#[derive(Debug)]
pub struct Failure {
    sqlstate: String,
    message: String,
}

impl Failure {
    /// The statement ran into `statement_timeout`.
    pub fn is_timeout(&self) -> bool {
        self.sqlstate == "57014"
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sqlstate, self.message)
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(err: io::Error) -> Self {
        Failure { sqlstate: String::new(), message: format!("connection: {err}") }
    }
}

/// One connection.
pub struct Wire {
    stream: UnixStream,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    /// The part of `incoming` that is not consumed yet.
    unread: Range<usize>,
}

impl Wire {
    /// Connects to the server whose socket is in `dir`. `settings` are in force from the start.
    pub fn connect(
        dir: &Path,
        role: &str,
        database: &str,
        settings: &[(&str, &str)],
    ) -> Result<Wire, Failure> {
        let stream = UnixStream::connect(dir.join(".s.PGSQL.5432"))?;
        let mut wire =
            Wire { stream, outgoing: Vec::new(), incoming: vec![0; 1 << 16], unread: Range::default() };
        let mut startup = 196_608_i32.to_be_bytes().to_vec();
        for (name, value) in [("user", role), ("database", database)].iter().chain(settings) {
            push_text(&mut startup, name);
            push_text(&mut startup, value);
        }
        startup.push(0);
        wire.outgoing.extend(message_length(startup.len()));
        wire.outgoing.extend(startup);
        wire.finish(|_| ())?;
        Ok(wire)
    }

    /// Runs statements by the simple protocol and returns all their rows.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        self.push_query(sql);
        self.finish(|body| rows.push(columns(body)))?;
        Ok(rows)
    }

    /// The first column of the first row.
    pub fn value(&mut self, sql: &str) -> Result<String, Failure> {
        let first = self.query(sql)?.into_iter().next().and_then(|row| row.into_iter().next().flatten());
        first.ok_or_else(|| Failure { sqlstate: String::new(), message: format!("no value from {sql}") })
    }

    /// Runs a statement by the simple protocol and returns how many rows came.
    pub fn run(&mut self, sql: &str) -> Result<usize, Failure> {
        let mut rows = 0;
        self.push_query(sql);
        self.finish(|_| rows += 1)?;
        Ok(rows)
    }

    /// Prepares a statement by the extended protocol. EXECUTE in SQL knows it by the same name.
    pub fn prepare(&mut self, name: &str, sql: &str) -> Result<(), Failure> {
        let mut body = Vec::with_capacity(sql.len() + 16);
        push_text(&mut body, name);
        push_text(&mut body, sql);
        body.extend(0_i16.to_be_bytes());
        self.push(b'P', &body);
        self.push(b'S', &[]);
        self.finish(|_| ())
    }

    /// Runs a prepared statement by the extended protocol and returns its rows.
    pub fn execute(&mut self, name: &str, arguments: &[&str]) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        self.push_execute(name, arguments);
        self.finish(|body| rows.push(columns(body)))?;
        Ok(rows)
    }

    /// Runs a prepared statement by the extended protocol and returns how many rows came.
    pub fn run_prepared(&mut self, name: &str, arguments: &[&str]) -> Result<usize, Failure> {
        let mut rows = 0;
        self.push_execute(name, arguments);
        self.finish(|_| rows += 1)?;
        Ok(rows)
    }

    fn push_query(&mut self, sql: &str) {
        self.outgoing.push(b'Q');
        self.outgoing.extend(message_length(sql.len() + 1));
        push_text(&mut self.outgoing, sql);
    }

    fn push_execute(&mut self, name: &str, arguments: &[&str]) {
        let mut bind = Vec::with_capacity(64);
        push_text(&mut bind, "");
        push_text(&mut bind, name);
        bind.extend(0_i16.to_be_bytes());
        bind.extend((arguments.len() as i16).to_be_bytes());
        for argument in arguments {
            bind.extend((argument.len() as i32).to_be_bytes());
            bind.extend(argument.as_bytes());
        }
        bind.extend(0_i16.to_be_bytes());
        self.push(b'B', &bind);
        self.push(b'E', &[0, 0, 0, 0, 0]);
        self.push(b'S', &[]);
    }

    fn push(&mut self, kind: u8, body: &[u8]) {
        self.outgoing.push(kind);
        self.outgoing.extend(message_length(body.len()));
        self.outgoing.extend(body);
    }

    /// Sends what is pending and reads until the server is ready again, giving each data row to `on_row`.
    fn finish(&mut self, mut on_row: impl FnMut(&[u8])) -> Result<(), Failure> {
        self.stream.write_all(&self.outgoing)?;
        self.outgoing.clear();
        let mut failure = None;
        loop {
            let (kind, body) = self.receive()?;
            let body = &self.incoming[body];
            match kind {
                b'D' => on_row(body),
                b'E' => {
                    // Without a ReadyForQuery to come, as when the login is refused, the next read fails too; the
                    // first error is the one that tells why.
                    failure.get_or_insert(server_error(body));
                }
                b'Z' => return failure.map_or(Ok(()), Err),
                _ => {}
            }
            if kind == b'E' && body.windows(6).any(|w| w == b"VFATAL") {
                return Err(failure.expect("just set"));
            }
        }
    }

    /// The next message: its kind and where its body lies in `incoming`.
    fn receive(&mut self) -> Result<(u8, Range<usize>), Failure> {
        self.fill(5)?;
        let head = self.unread.start;
        let length = i32::from_be_bytes(self.incoming[head + 1..head + 5].try_into().expect("four bytes"));
        self.fill(1 + length as usize)?;
        let head = self.unread.start;
        let end = head + 1 + length as usize;
        self.unread.start = end;
        Ok((self.incoming[head], head + 5..end))
    }

    /// Reads until at least `wanted` bytes are unread.
    fn fill(&mut self, wanted: usize) -> Result<(), Failure> {
        if self.unread.len() < wanted && self.unread.start + wanted > self.incoming.len() {
            self.incoming.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
            if self.incoming.len() < wanted {
                self.incoming.resize(wanted.next_power_of_two(), 0);
            }
        }
        while self.unread.len() < wanted {
            if self.unread.is_empty() && wanted <= self.incoming.len() {
                self.unread = 0..0;
            }
            let read = self.stream.read(&mut self.incoming[self.unread.end..])?;
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.unread.end += read;
        }
        Ok(())
    }
}

/// The length field of a message counts itself.
fn message_length(body: usize) -> [u8; 4] {
    i32::try_from(body + 4).expect("a message below 2 GB").to_be_bytes()
}

fn push_text(buffer: &mut Vec<u8>, text: &str) {
    buffer.extend(text.as_bytes());
    buffer.push(0);
}

fn columns(mut body: &[u8]) -> Row {
    let mut take = |count: usize| {
        let (taken, rest) = body.split_at(count);
        body = rest;
        taken
    };
    let count = i16::from_be_bytes(take(2).try_into().expect("two bytes"));
    (0..count)
        .map(|_| {
            let length = i32::from_be_bytes(take(4).try_into().expect("four bytes"));
            (length >= 0).then(|| String::from_utf8_lossy(take(length as usize)).into_owned())
        })
        .collect()
}

fn server_error(body: &[u8]) -> Failure {
    let mut failure = Failure { sqlstate: String::new(), message: String::new() };
    for field in body.split(|byte| *byte == 0).filter(|field| !field.is_empty()) {
        let text = String::from_utf8_lossy(&field[1..]);
        match field[0] {
            b'C' => failure.sqlstate = text.into_owned(),
            b'M' => failure.message.insert_str(0, &text),
            b'D' => failure.message.push_str(&format!("; {text}")),
            _ => {}
        }
    }
    failure
}
