//! How hard a password is to guess, by zxcvbn: its lists of common passwords, words and names, keyboard rows, repeats, dates,
//! and the words that have to do with the user.
//!
//! What is judged is the normal form, as it is what is hashed, and of it the first hundred characters, more than which zxcvbn
//! does not look at (Frappe: 128). Nothing here names the password.

use std::panic::{AssertUnwindSafe, catch_unwind};

use unicode_normalization::UnicodeNormalization;
use zxcvbn::zxcvbn;

use crate::auth::password::normal_form;

/// Most words about the user, and most characters of each, that are looked for.
const MAX_WORDS: usize = 100;

/// Lowest score with which a password passes, whatever the settings say. Score 0 falls to the first thousand guesses.
const LOWEST_SCORE: u8 = 1;

/// How hard a password is to guess.
#[derive(Debug, Clone, PartialEq)]
pub struct Strength {
    /// From 0, among the first thousand guesses, to 4, beyond ten thousand million.
    pub score: u8,
    /// Order of magnitude of the number of guesses, up to that of 2^64.
    pub guesses_log10: f64,
    /// What is wrong with it.
    pub warning: Option<String>,
    /// What would make it better.
    pub suggestions: Vec<String>,
}

/// What new passwords must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Lowest score.
    pub minimum_score: u8,
    /// Fewest characters, each Unicode code point one.
    pub minimum_length: u32,
}

/// How hard the password is to guess for somebody who knows `about_user`: names, e-mail address, birth date and the like,
/// each as it is and in its parts.
#[must_use]
pub fn measure(password: &str, about_user: &[&str]) -> Strength {
    let password = normal_form(password);
    let words = words(about_user);
    let Some(mut strength) = estimate(&password, &words) else {
        return Strength {
            score: 0,
            guesses_log10: 0.0,
            warning: Some("This password cannot be rated.".to_owned()),
            suggestions: vec!["Use a few words, avoid common phrases.".to_owned()],
        };
    };
    // zxcvbn has no warning for the user's own words.
    let is_unexplained = strength.warning.is_none() && !strength.suggestions.is_empty() && !words.is_empty();
    if is_unexplained && estimate(&password, &[]).is_some_and(|other| other.score > strength.score) {
        strength.warning = Some("Words that have to do with you are easy to guess.".to_owned());
    }
    strength
}

impl Policy {
    /// Whether the password is good enough.
    ///
    /// # Errors
    /// Its strength, with at least one suggestion.
    pub fn check(self, password: &str, about_user: &[&str]) -> Result<(), Strength> {
        let mut strength = measure(password, about_user);
        let length = normal_form(password).chars().count();
        let is_short = u32::try_from(length).is_ok_and(|length| length < self.minimum_length);
        if !is_short && strength.score >= self.minimum_score.max(LOWEST_SCORE) {
            return Ok(());
        }
        if is_short {
            strength.suggestions.insert(0, format!("Use at least {} characters.", self.minimum_length));
        } else if strength.suggestions.is_empty() {
            // zxcvbn is content with a score of 3.
            strength.suggestions.push("Add another word or two. Uncommon words are better.".to_owned());
        }
        Err(strength)
    }
}

impl Strength {
    /// What a person who chose the password is told.
    #[must_use]
    pub fn feedback(&self) -> String {
        let sentences: Vec<&str> = self.warning.iter().chain(&self.suggestions).map(String::as_str).collect();
        sentences.join(" ")
    }
}

/// `None` where the library gives up on the text. Its panic must not become an error, since it may quote what it is about.
fn estimate(password: &str, words: &[String]) -> Option<Strength> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let entropy = catch_unwind(AssertUnwindSafe(|| zxcvbn(password, &words))).ok()?;
    let feedback = entropy.feedback();
    Some(Strength {
        score: entropy.score().into(),
        guesses_log10: entropy.guesses_log10().max(0.0),
        warning: feedback.and_then(|feedback| feedback.warning()).map(|warning| warning.to_string()),
        suggestions: feedback
            .map(|feedback| feedback.suggestions().iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
    })
}

/// What somebody who knows the user would try: each text, its parts, and the parts run together. Single characters are left
/// out: they are in every password.
fn words(about_user: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut add = |word: &str| {
        let word: String = word.nfkc().flat_map(char::to_lowercase).take(MAX_WORDS).collect();
        let is_word = word.chars().nth(1).is_some();
        if is_word && words.len() < MAX_WORDS && !words.contains(&word) {
            words.push(word);
        }
    };
    for text in about_user {
        let text = text.trim();
        let parts = || text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
        add(text);
        parts().for_each(&mut add);
        add(&parts().collect::<String>());
        // An address is known by what is before the @.
        if let Some((local, _)) = text.split_once('@') {
            add(local);
            add(&local.split(|c: char| !c.is_alphanumeric()).collect::<String>());
        }
    }
    words
}

#[cfg(test)]
mod test;
