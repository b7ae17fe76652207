//! docperm.document_follow_digest(): what followers of documents are told.

use std::collections::HashMap;

use pgrx::datum::{JsonB, TimestampWithTimeZone};
use pgrx::iter::TableIterator;
use pgrx::{name, pg_sys};

use super::history::{Change, Reader, changes_of, timestamp};
use super::{access, is_column_granted};
use crate::catalog::cache::{self, Authority};
use crate::catalog::scan::{Key, NewestSnapshot, RowView, Table};
use crate::catalog::statement::{Argument, LatestSnapshot, Sees, run_as_owner};
use crate::fault::Fault;
use crate::identity::acting;

/// What follows is told of each follower, or of the acting user.
type Told = (String, String, Change);

/// What each follower has not been told yet, or everything since then.
#[pgrx::pg_extern(sql = false)]
#[allow(clippy::type_complexity, reason = "pgrx reads the columns from the type")]
fn docperm_document_follow_digest(
    frequency: Option<&str>,
    since: Option<TimestampWithTimeZone>,
    max_documents: Option<i32>,
) -> TableIterator<
    'static,
    (
        name!(user_name, String),
        name!(email, Option<String>),
        name!(doctype, String),
        name!(document, String),
        name!(at, TimestampWithTimeZone),
        name!(action, String),
        name!(child_doctype, Option<String>),
        name!(child_name, Option<String>),
        name!(changes, Option<JsonB>),
        name!(changed_by, String),
        name!(impersonated_by, Option<String>),
    ),
> {
    if let Some(unknown) = frequency.filter(|frequency| interval(frequency).is_none()) {
        Fault::bad_argument(format!("'{unknown}' is no frequency")).hint("Hourly, Daily or Weekly.").raise();
    }
    let since = since.map(pg_sys::TimestampTz::from);
    let counts_as_told = since.is_none();
    if counts_as_told {
        // Of two mailers the second tells what the first has not.
        run_as_owner(
            &digests(),
            Sees::SameAsNext,
            "SELECT docperm._wait_for_turn('document follow digest')",
            &[],
        );
    }
    let (now, snapshot) = Moment::now();
    // Who may read what now, and what has happened to it, whatever the mailer's transaction sees.
    let _newest = LatestSnapshot::take();
    let mut told_before = HashMap::new();
    digests().scan(&NewestSnapshot::take(), |row| {
        let snapshot = row.text("told_snapshot").and_then(|text| Snapshot::parse(&text));
        let at = row.get::<i64>("told_at");
        let moment = at.zip(snapshot).map(|(at, snapshot)| Moment { at, snapshot });
        told_before.extend(row.text("user_name").zip(moment));
    });
    let mut rows = vec![];
    let mut told = vec![];
    for follower in
        followers().into_iter().filter(|follower| frequency.is_none_or(|wanted| wanted == follower.frequency))
    {
        let window = match (&since, told_before.remove(&follower.name)) {
            (Some(since), _) => Window { since: Since::Time(*since), until: None },
            (None, Some(told)) => Window { since: Since::Told(told), until: Some(&now) },
            (None, None) => Window { since: Since::Time(now.at - follower.interval()), until: Some(&now) },
        };
        let authority = cache::passing_authority(&follower.name);
        for (doctype, document, change) in digest(&authority, &window, max_documents, false) {
            let at = timestamp(change.at);
            rows.push((
                follower.name.clone(),
                follower.email.clone(),
                doctype,
                document,
                at,
                change.action,
                change.child_doctype,
                change.child_name,
                change.changes,
                change.changed_by,
                change.impersonated_by,
            ));
        }
        told.push(follower.name);
    }
    if counts_as_told {
        note_told(&told, now.at, &snapshot);
    }
    TableIterator::new(rows)
}

/// What happened to documents that the acting user follows.
#[pgrx::pg_extern(sql = false)]
#[allow(clippy::type_complexity, reason = "pgrx reads the columns from the type")]
fn docperm_my_document_follow_digest(
    since: Option<TimestampWithTimeZone>,
    max_documents: Option<i32>,
) -> TableIterator<
    'static,
    (
        name!(doctype, String),
        name!(document, String),
        name!(at, TimestampWithTimeZone),
        name!(action, String),
        name!(child_doctype, Option<String>),
        name!(child_name, Option<String>),
        name!(changes, Option<JsonB>),
        name!(changed_by, String),
        name!(impersonated_by, Option<String>),
    ),
> {
    let user = acting().user;
    let Some(follower) = followers().into_iter().find(|follower| follower.name == user) else {
        return TableIterator::new(vec![]);
    };
    let since = since.map_or_else(|| Moment::now().0.at - follower.interval(), pg_sys::TimestampTz::from);
    let window = Window { since: Since::Time(since), until: None };
    let told = digest(&cache::authority(&user), &window, max_documents, true);
    TableIterator::new(told.into_iter().map(|(doctype, document, change)| {
        (
            doctype,
            document,
            timestamp(change.at),
            change.action,
            change.child_doctype,
            change.child_name,
            change.changes,
            change.changed_by,
            change.impersonated_by,
        )
    }))
}

/// Whether a user may read a document, whoever asks.
#[pgrx::pg_extern(sql = false)]
fn docperm_is_readable_by(doctype: &str, document: &str, user_name: &str) -> bool {
    access::is_permitted(&cache::passing_authority(user_name), doctype, "read", document)
}

/// A user who wants to hear of documents.
struct Follower {
    name: String,
    email: Option<String>,
    frequency: String,
}

impl Follower {
    fn interval(&self) -> i64 {
        interval(&self.frequency).unwrap_or(0)
    }
}

/// How far a frequency looks back, in microseconds.
fn interval(frequency: &str) -> Option<i64> {
    let hours = match frequency {
        "Hourly" => 1,
        "Daily" => 24,
        "Weekly" => 7 * 24,
        _ => return None,
    };
    Some(hours * 3_600_000_000)
}

fn followers() -> Vec<Follower> {
    let mut followers = vec![];
    Table::own("users").scan(&NewestSnapshot::take(), |row| {
        let is_set = |column| row.get::<bool>(column).unwrap_or(false);
        if is_set("enabled") && is_set("document_follow_notify") {
            followers.extend(follower(row));
        }
    });
    followers.sort_by(|a, b| a.name.cmp(&b.name));
    followers
}

fn follower(row: &RowView) -> Option<Follower> {
    let (name, frequency) = (row.text("name")?, row.text("document_follow_frequency")?);
    Some(Follower { name, email: row.text("email"), frequency })
}

/// Transactions whose changes can be seen, as PostgreSQL writes it: `xmin:xmax:xip,...`.
struct Snapshot {
    xmax: u64,
    running: Vec<u64>,
}

impl Snapshot {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let (_xmin, xmax, running) = (parts.next()?, parts.next()?, parts.next()?);
        let running = running.split(',').filter(|xid| !xid.is_empty()).map(str::parse);
        Some(Snapshot { xmax: xmax.parse().ok()?, running: running.collect::<Result<_, _>>().ok()? })
    }
}

/// When a digest was or is made, and what it could tell of.
struct Moment {
    at: i64,
    snapshot: Snapshot,
}

/// Much longer than it takes to make a moment, and much less than anything between a dump and its restore.
const GRACE: i64 = 60_000_000;

impl Moment {
    fn now() -> (Self, String) {
        let rows = run_as_owner(&digests(), Sees::Newest, "SELECT pg_current_snapshot()::text", &[]);
        let text = rows.into_iter().flatten().flatten().next().unwrap_or_default();
        let snapshot = Snapshot::parse(&text).unwrap_or(Snapshot { xmax: 0, running: vec![] });
        // After the snapshot: whatever that sees happened before.
        // SAFETY: reads the clock.
        let at = unsafe { pg_sys::GetCurrentTimestamp() };
        (Moment { at, snapshot }, text)
    }

    /// Whether a change could be told of. What a transaction did that went on could not, although it happened before. Where a
    /// dump was restored, transactions are counted anew: none that began after the moment did anything long before.
    fn includes(&self, change: &Change) -> bool {
        let is_older = |age| change.at <= self.at - age;
        let transaction = change.transaction_id;
        is_older(0)
            && if transaction < self.snapshot.xmax {
                !self.snapshot.running.contains(&transaction)
            } else {
                is_older(GRACE)
            }
    }
}

/// What is new.
struct Window<'a> {
    since: Since,
    until: Option<&'a Moment>,
}

/// Since when.
enum Since {
    Time(i64),
    Told(Moment),
}

impl Window<'_> {
    fn holds(&self, change: &Change) -> bool {
        let is_new = match &self.since {
            Since::Time(time) => change.at > *time,
            Since::Told(told) => !told.includes(change),
        };
        is_new && self.until.is_none_or(|until| until.includes(change))
    }
}

/// What a user is told of the documents that he follows: those that changed last, as far as he may read them now.
fn digest(
    authority: &Authority,
    window: &Window,
    max_documents: Option<i32>,
    asks_himself: bool,
) -> Vec<Told> {
    let mut followed = vec![];
    let table = Table::own("document_follows");
    table.scan_where(&[Key::Text("user_name", &authority.user)], &NewestSnapshot::take(), |row| {
        let since = row.get::<i64>("since");
        followed.extend(row.text("doctype").zip(row.text("document")).zip(since));
    });
    let mut documents = vec![];
    for ((doctype, document), followed_since) in followed {
        let is_wanted = |change: &Change| {
            !change.gone
                && change.at >= followed_since
                && window.holds(change)
                && !is_by(&authority.user, change)
        };
        let mut changes = changes_of(&doctype, &document, is_wanted);
        if changes.is_empty() || !may_read(authority, &doctype, &document, asks_himself) {
            continue;
        }
        let reader = Reader::new(authority, &doctype, false, asks_himself);
        changes.sort_by_key(|change| change.id);
        let visible: Vec<Change> = changes.into_iter().filter_map(|change| reader.visible(change)).collect();
        let last = visible.last().map(|change| change.id);
        documents.extend(last.map(|last| (last, doctype, document, visible)));
    }
    documents.sort_by_key(|(last, ..)| std::cmp::Reverse(*last));
    documents.truncate(max_documents.map_or(usize::MAX, |most| most.max(0) as usize));
    let told = documents.into_iter().flat_map(|(_, doctype, document, changes)| {
        changes.into_iter().map(move |change| (doctype.clone(), document.clone(), change))
    });
    told.collect()
}

/// What somebody else did in his name he did not do himself; what he did in another's name he did.
fn is_by(user: &str, change: &Change) -> bool {
    change.impersonated_by.as_ref().unwrap_or(&change.changed_by) == user
}

fn may_read(authority: &Authority, doctype: &str, document: &str, asks_himself: bool) -> bool {
    let Some(definition) = authority.site.model.doctypes.get(doctype) else { return false };
    authority.site.relations.contains_key(doctype)
        && (!asks_himself || is_column_granted(authority, doctype, &definition.name_column))
        && access::is_permitted(authority, doctype, "read", document)
}

fn note_told(users: &[String], at: i64, snapshot: &str) {
    let sql = "INSERT INTO docperm.document_follow_digests (user_name, told_at, told_snapshot)
               SELECT u.name, timestamptz '2000-01-01 00:00:00+00' + $3::bigint * interval '1 microsecond', $2::pg_snapshot
                 FROM unnest($1) AS u (name)
                   ON CONFLICT (user_name) DO UPDATE
                  SET told_at = excluded.told_at, told_snapshot = excluded.told_snapshot";
    let at = at.to_string();
    let arguments = [Argument::Texts(users), Argument::Text(snapshot), Argument::Text(&at)];
    run_as_owner(&digests(), Sees::SameAsNext, sql, &arguments);
}

fn digests() -> Table {
    Table::own("document_follow_digests")
}
