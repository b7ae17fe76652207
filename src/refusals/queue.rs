//! Refusals that wait to be written down, and how many of them may be.
//!
//! Whoever is refused may try as often as he likes, and must fill neither the log nor the server with processes: refusals that
//! are alike become one row with a count, and of different ones so many a second are kept. The others are counted.

use serde::{Deserialize, Serialize};

/// Rows to write: so many at once, and so many a second in the long run.
const ROWS: (f64, f64) = (100.0, 10.0);
/// Processes to write them.
const DELIVERIES: (f64, f64) = (20.0, 5.0);
/// Characters of a message that are kept.
const LENGTH: usize = 500;

/// What tells who was refused.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The user that a trusted application named.
    pub user: Option<String>,
    /// The hash of his session's token.
    pub token_hash: Option<String>,
    /// The API key by which he came.
    pub api_key: Option<String>,
    /// The database role, as a number.
    pub role: u32,
}

/// Something that was refused.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// To whom.
    pub who: Who,
    /// The message of the error.
    pub message: String,
    /// How often, one after another.
    pub times: u32,
}

/// How much there may be of something.
#[derive(Debug)]
struct Allowance {
    left: f64,
    most: f64,
    per_second: f64,
    counted_at: i64,
}

impl Allowance {
    fn new((most, per_second): (f64, f64)) -> Self {
        Allowance { left: most, most, per_second, counted_at: i64::MIN }
    }

    /// Takes one of it, if there is one, at a time in microseconds.
    fn take(&mut self, now: i64) -> bool {
        let seconds = now.saturating_sub(self.counted_at).max(0) as f64 / 1e6;
        self.left = (self.left + seconds * self.per_second).min(self.most);
        self.counted_at = now;
        let is_left = self.left >= 1.0;
        if is_left {
            self.left -= 1.0;
        }
        is_left
    }
}

/// What waits to be written down.
#[derive(Debug)]
pub struct Queue {
    waiting: Vec<Refusal>,
    left_out: u32,
    rows: Allowance,
    deliveries: Allowance,
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            waiting: vec![],
            left_out: 0,
            rows: Allowance::new(ROWS),
            deliveries: Allowance::new(DELIVERIES),
        }
    }
}

impl Queue {
    /// Adds a refusal, at a time in microseconds.
    pub fn push(&mut self, who: Who, message: String, now: i64) {
        let message: String = message.chars().take(LENGTH).collect();
        if let Some(last) = self.waiting.last_mut().filter(|last| last.who == who && last.message == message)
        {
            last.times = last.times.saturating_add(1);
            return;
        }
        if !self.rows.take(now) {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        let message = match std::mem::take(&mut self.left_out) {
            0 => message,
            others => format!("{message} (after {others} others that were too many to write down)"),
        };
        self.waiting.push(Refusal { who, message, times: 1 });
    }

    /// Takes out what is to be written down now. What waits longer goes with what comes next, or is the last there is.
    pub fn take(&mut self, now: i64, is_last: bool) -> Vec<Refusal> {
        let is_due = !self.waiting.is_empty() && (is_last || self.deliveries.take(now));
        if is_due { std::mem::take(&mut self.waiting) } else { vec![] }
    }

    /// Puts back what could not be handed over; what came meanwhile comes after it.
    pub fn put_back(&mut self, mut refusals: Vec<Refusal>) {
        refusals.append(&mut self.waiting);
        self.waiting = refusals;
    }
}

/// A message without what stands between quotation marks: in a statement that holds a secret, it may be that.
pub fn without_names(message: &str) -> String {
    let parts = message.split('"').enumerate();
    parts.map(|(index, part)| if index % 2 == 0 { part } else { "\"...\"" }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut Queue, message: &str, seconds: f64) {
        queue.push(Who::default(), message.to_owned(), (seconds * 1e6) as i64);
    }

    #[test]
    fn what_is_alike_is_counted() {
        let mut queue = Queue::default();
        for message in ["a", "a", "b", "a"] {
            push(&mut queue, message, 0.0);
        }
        queue.push(Who { role: 7, ..Default::default() }, "a".to_owned(), 0);
        let found = queue.take(0, true);
        let counts: Vec<_> = found.iter().map(|refusal| (refusal.message.as_str(), refusal.times)).collect();
        assert_eq!(counts, [("a", 2), ("b", 1), ("a", 1), ("a", 1)]);
        assert!(queue.take(0, true).is_empty());
    }

    #[test]
    fn too_many_are_counted_and_the_next_one_says_so() {
        let mut queue = Queue::default();
        for number in 0..1000 {
            push(&mut queue, &number.to_string(), 0.0);
        }
        assert_eq!(queue.take(0, true).len(), ROWS.0 as usize);
        push(&mut queue, "later", 10.0);
        let found = queue.take(0, true);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("900 others"), "{found:?}");
        for number in 0..1000 {
            push(&mut queue, &number.to_string(), 11.0);
        }
        assert!(queue.take(0, true).len() < ROWS.0 as usize + 1);
    }

    #[test]
    fn deliveries_are_few_and_the_last_one_is_always_made() {
        let mut queue = Queue::default();
        let mut made = 0;
        for number in 0..50 {
            push(&mut queue, &number.to_string(), 0.0);
            made += usize::from(!queue.take(0, false).is_empty());
        }
        assert_eq!(made, DELIVERIES.0 as usize);
        assert_eq!(queue.take(0, true).len(), 50 - made);
    }

    #[test]
    fn names_are_left_out() {
        assert_eq!(
            without_names(r#"user "bob" may not do this to "secret""#),
            r#"user "..." may not do this to "...""#
        );
        assert_eq!(without_names(r#"an open "end"#), r#"an open "...""#);
        assert_eq!(without_names("no name"), "no name");
    }

    #[test]
    fn long_messages_are_cut() {
        let mut queue = Queue::default();
        push(&mut queue, &"\u{e9}".repeat(2000), 0.0);
        assert_eq!(queue.take(0, true)[0].message.chars().count(), LENGTH);
    }
}
