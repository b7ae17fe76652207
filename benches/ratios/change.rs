//! The first query after a permission change, for the user with the most values: docperm has to load the
//! permissions and to plan anew. Then the later ones.

use crate::Result;
use crate::contest::{Contest, Form, Protocol};
use crate::docperm;
use crate::options::Options;
use crate::queries::QUERIES;
use crate::statistics::Summary;
use crate::wire::Wire;

/// Queries after the first one, per change.
const LATER: usize = 6;

/// What one query showed.
pub struct Change {
    /// Title of the query.
    pub query: &'static str,
    /// How many links are restricted.
    pub links: usize,
    /// How many values are permitted.
    pub size: usize,
    /// By which protocol.
    pub protocol: Protocol,
    /// Round trip of the first query after a change, in milliseconds.
    pub first: Summary,
    /// Round trips of the queries after it.
    pub later: Summary,
    /// Round trips of the hand-written semi-join, in turns with `later`.
    pub semi_join: Summary,
}

impl Change {
    /// How much slower than the semi-join the later queries are.
    pub fn ratio(&self) -> f64 {
        self.later.median / self.semi_join.median
    }

    /// The first query may take this long, in milliseconds.
    pub const FIRST: f64 = 150.0;

    /// The later queries may take so many times the semi-join.
    pub const LATER: f64 = 1.10;

    /// Whether a target is missed. A statement sent as text is planned each time by both.
    pub fn misses(&self) -> bool {
        self.first.median > Self::FIRST || self.ratio() > Self::LATER
    }
}

/// Measures on the contest's connections; its size has to be large enough for a semi-join.
pub fn measure(admin: &mut Wire, contest: &mut Contest, options: &Options) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let repetitions = if options.quick { 4 } else { 10 };
    for query in QUERIES.iter().filter(|query| ["pk", "latest", "count"].contains(&query.key)) {
        for protocol in [Protocol::Simple, Protocol::Generic] {
            contest.set(query, protocol, Form::SemiJoin)?;
            let (mut first, mut later, mut semi_join) = (Vec::new(), Vec::new(), Vec::new());
            // One unrecorded change brings both connections to their usual state.
            for repetition in 0..=repetitions {
                let mut unrecorded = (Vec::new(), Vec::new(), Vec::new());
                let (first, later, semi_join) = match repetition {
                    0 => (&mut unrecorded.0, &mut unrecorded.1, &mut unrecorded.2),
                    _ => (&mut first, &mut later, &mut semi_join),
                };
                docperm::change(admin, contest.links, contest.size, false)?;
                let arguments = contest.arguments(query, repetition);
                first.push(contender(contest, Form::Docperm).round_trip(&arguments)?);
                // Given back, which is a change too, so that the answers can be compared.
                docperm::change(admin, contest.links, contest.size, true)?;
                first.push(contender(contest, Form::Docperm).round_trip(&arguments)?);
                for turn in 0..LATER {
                    let mut order = [(Form::Docperm, &mut *later), (Form::SemiJoin, &mut *semi_join)];
                    order.rotate_left(turn % 2);
                    for (form, times) in order {
                        times.push(contender(contest, form).round_trip(&arguments)?);
                    }
                }
                let answer = contender(contest, Form::Docperm).rows(&arguments)?;
                if answer != contender(contest, Form::SemiJoin).rows(&arguments)? {
                    return Err(format!("{}: a wrong answer after a permission change", query.key).into());
                }
            }
            let summary = |times: &[f64]| Summary::of(times).expect("there were repetitions");
            changes.push(Change {
                query: query.title,
                links: contest.links,
                size: contest.size,
                protocol,
                first: summary(&first),
                later: summary(&later),
                semi_join: summary(&semi_join),
            });
        }
    }
    Ok(changes)
}

fn contender(contest: &mut Contest, form: Form) -> &mut crate::contest::Contender {
    contest.contender(form).expect("measured with docperm and with enough values for a semi-join")
}
