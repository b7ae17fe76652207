//! Answers held against what Frappe answered, or against the difference that is decided.

use super::differences::{DIFFERENCES, Difference};
use std::fmt::Display;

/// What was asked about.
#[derive(Clone, Copy)]
pub struct Topic<'a> {
    pub user: &'a str,
    pub doctype: &'a str,
}

impl Display for Topic<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.user, self.doctype)
    }
}

/// The comparisons of one case.
pub struct Verdict {
    case: &'static str,
    /// The differences decided for this case, and how often each came up.
    differences: Vec<(&'static Difference, usize)>,
    compared: usize,
    failures: Vec<String>,
}

impl Verdict {
    pub fn new(case: &'static str) -> Verdict {
        let number = &case[..2];
        let here = DIFFERENCES.iter().filter(|difference| difference.cases.contains(&number));
        Verdict { case, differences: here.map(|d| (d, 0)).collect(), compared: 0, failures: vec![] }
    }

    /// What docperm has to answer where Frappe answered `frappe`.
    pub fn expected(&mut self, topic: Topic, about: &str, frappe: String) -> String {
        let is_right = about == "doctype" || about.starts_with("document ");
        for (difference, met) in &mut self.differences {
            let concerns = difference.user == topic.user
                && ["*", topic.doctype].contains(&difference.doctype)
                && (difference.about == about || difference.about == "*" && is_right);
            if concerns && difference.instead != frappe {
                *met += 1;
                return difference.instead.to_owned();
            }
        }
        frappe
    }

    /// One comparison.
    pub fn compare(&mut self, topic: Topic, how: impl Display, answer: &str, expected: &str) {
        self.compared += 1;
        if answer != expected {
            self.failures
                .push(format!("{topic}, {how}:\n    docperm  [{answer}]\n    expected [{expected}]"));
        }
    }

    /// One line about the case, past the capture of test output. Panics if anything disagreed.
    pub fn finish(mut self) {
        for (difference, _) in self.differences.iter().filter(|(_, met)| *met == 0) {
            let Difference { user, doctype, about, reason, .. } = difference;
            self.failures.push(format!("{user}, {doctype}, {about}: differs no more, though \"{reason}\""));
        }
        let decided: usize = self.differences.iter().map(|(_, met)| met).sum();
        let Verdict { case, compared, failures, .. } = self;
        let failed = failures.len();
        let line =
            format!("{case}: {compared} comparisons, {decided} decided differences, {failed} failed\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        assert!(failures.is_empty(), "{case}\n{}", failures.join("\n"));
    }
}
