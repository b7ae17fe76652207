//! What a token opens: a session that a login began, or the API key of a user.

use std::cell::Cell;
use std::net::IpAddr;

use pgrx::datum::Interval;
use pgrx::pg_sys;
use sha2::{Digest, Sha256};

use super::channel::Channel;
use super::scan::{Key, NewestSnapshot, RowView, Table};
use crate::rules::{Admission, Network};

/// Somebody's leave to act, as far as it decides anything. Times are PostgreSQL's, in microseconds.
#[derive(Debug)]
pub struct Session {
    /// The number of the session; none of an API key.
    pub id: Option<i64>,
    /// Who acts.
    pub user: String,
    /// Who acts in truth.
    pub impersonated_by: Option<String>,
    /// The address from which the session was opened.
    pub address: Option<IpAddr>,
    /// When it was opened.
    pub created_at: i64,
    /// Ends then, whatever happens.
    pub expires_at: Option<i64>,
    /// When it was last taken up, as far as it was written down.
    pub last_active: Cell<i64>,
    /// Ends when it has not been taken up for so long.
    pub idle_timeout: Option<i64>,
    /// When and from where the user may be here.
    pub admission: Admission,
    /// Until when it need not be judged again.
    pub valid_until: Cell<i64>,
    channels: Vec<pg_sys::Oid>,
}

impl Session {
    /// A message to one of these channels ends what is known of it.
    pub fn depends_on(&self, channel: &pg_sys::Oid) -> bool {
        self.channels.contains(channel)
    }
}

/// What of a token is stored: its SHA-256. A token has 256 random bits, which need neither salt nor a slow hash.
pub fn hash_of(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the session that a token opens; `None` if it opens none. An API key's token is the key, a colon, and its secret.
pub fn read(token: &str) -> Option<Session> {
    match token.split_once(':') {
        Some((api_key, secret)) => read_api_key(api_key, secret),
        None => read_session(token),
    }
}

fn read_session(token: &str) -> Option<Session> {
    let snapshot = NewestSnapshot::take();
    let (mut found, mut begun_in) = (None, None);
    let sessions = Table::own("sessions");
    sessions.scan_where(&[Key::Text("token_hash", &hash_of(token))], &snapshot, |row| {
        let user = row.text("user_name").unwrap_or_default();
        let id: i64 = row.get("id").unwrap_or_default();
        begun_in = row.get::<i64>("returns_to");
        found = Some(Session {
            id: Some(id),
            impersonated_by: row.text("impersonated_by"),
            address: address(row),
            created_at: time(row, "created_at").unwrap_or(i64::MIN),
            // A time that cannot be told is one that has passed.
            expires_at: time(row, "expires_at").or(Some(i64::MIN)),
            last_active: Cell::new(time(row, "last_active").unwrap_or(i64::MIN)),
            idle_timeout: None,
            admission: Admission::default(),
            valid_until: Cell::new(i64::MIN),
            channels: vec![Channel::Session(&id.to_string()).oid(), Channel::User(&user).oid()],
            user,
        });
    });
    let mut session = found?;
    session.idle_timeout = idle_timeout(&snapshot);
    session.admission = admission(&session.user, &snapshot);
    if let Some(impersonator) = session.impersonated_by.clone() {
        session.channels.push(Channel::User(&impersonator).oid());
        session.admission.enabled &= may_impersonate(&impersonator, &snapshot);
    }
    if let Some(parent) = begun_in {
        session.channels.push(Channel::Session(&parent.to_string()).oid());
        let mut end = None;
        sessions.find("id", parent.into(), snapshot.as_raw(), |row| {
            end = Some(time(row, "expires_at").unwrap_or(i64::MIN));
        });
        // It does not outlive the one in which it was begun.
        session.expires_at = session.expires_at.min(Some(end?));
    }
    Some(session)
}

/// Whoever acts as somebody else does so no longer than he may act himself: a user who is enabled, or a database role (see
/// `docperm._actor()`). Who has been renamed begins anew.
fn may_impersonate(actor: &str, snapshot: &NewestSnapshot) -> bool {
    let mut is_enabled = None;
    Table::own("users").scan_where(&[Key::Text("name", actor)], snapshot, |row| {
        is_enabled = Some(row.get("enabled").unwrap_or(false));
    });
    is_enabled.unwrap_or(actor.starts_with("database role "))
}

fn read_api_key(api_key: &str, secret: &str) -> Option<Session> {
    let snapshot = NewestSnapshot::take();
    let mut found = None;
    Table::own("api_keys").scan_where(&[Key::Text("api_key", api_key)], &snapshot, |row| {
        // Hashes of random secrets: how long the comparison takes tells nothing that helps to guess one.
        if row.text("secret_hash").as_deref() != Some(&hash_of(secret)) {
            return;
        }
        let user = row.text("user_name").unwrap_or_default();
        found = Some(Session {
            id: None,
            impersonated_by: None,
            address: None,
            created_at: time(row, "created_at").unwrap_or(i64::MIN),
            expires_at: time(row, "expires_at"),
            last_active: Cell::new(i64::MIN),
            idle_timeout: None,
            admission: Admission::default(),
            valid_until: Cell::new(i64::MIN),
            channels: vec![Channel::Session(api_key).oid(), Channel::User(&user).oid()],
            user,
        });
    });
    let mut session = found?;
    // Hours are for people; addresses are for keys, too. (Frappe checks neither.)
    session.admission = Admission { login_after: 0, login_before: 0, ..admission(&session.user, &snapshot) };
    Some(session)
}

/// When and from where a user may be here. Nobody who does not exist may.
pub fn admission_of(user: &str) -> Admission {
    admission(user, &NewestSnapshot::take())
}

fn admission(user: &str, snapshot: &NewestSnapshot) -> Admission {
    let mut admission = Admission::default();
    Table::own("users").scan_where(&[Key::Text("name", user)], snapshot, |row| {
        let hour = |column| row.get::<i16>(column).unwrap_or(0).clamp(0, 24) as u8;
        // What cannot be read as a network admits nobody.
        let nowhere = || Network::parse("255.255.255.255");
        let networks = networks(row).into_iter().filter_map(|text| Network::parse(&text).or_else(nowhere));
        admission = Admission {
            enabled: row.get("enabled").unwrap_or(false),
            login_after: hour("login_after"),
            login_before: hour("login_before"),
            restrict_ip: networks.collect(),
        };
    });
    admission
}

/// The text forms of `restrict_ip`.
fn networks(row: &RowView) -> Vec<String> {
    let Some(array) = row.text("restrict_ip") else { return vec![] };
    // A cidr's text needs no quotes in that of an array.
    let inner = array.trim_start_matches('{').trim_end_matches('}');
    inner.split(',').filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// The address without the length of a network's prefix.
fn address(row: &RowView) -> Option<IpAddr> {
    row.text("client_address")?.split('/').next()?.parse().ok()
}

fn time(row: &RowView, column: &str) -> Option<i64> {
    let attribute = row.table().registered_attribute(column, "docperm");
    row.datum(attribute).map(|datum| datum.value() as i64)
}

fn idle_timeout(snapshot: &NewestSnapshot) -> Option<i64> {
    let mut timeout = None;
    Table::own("settings").scan(snapshot, |row| {
        let interval: Option<Interval> = row.get("session_idle_timeout");
        timeout = interval.map(|interval| i64::try_from(interval.as_micros()).unwrap_or(i64::MAX));
    });
    timeout
}
