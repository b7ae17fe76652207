//! What may become of a document that is submitted: its states, and the right that each step needs.
//! (Frappe: section 7 of its behaviour.)
//!
//! | from → to | right, beside `write` | |
//! |---|---|---|
//! | draft → draft | none | |
//! | draft → submitted | `submit` | |
//! | submitted → submitted | `submit` | only columns that are open to it change |
//! | submitted → cancelled | `cancel` | likewise |
//! | draft → cancelled | none | only by discarding it |
//! | submitted → draft, cancelled → any | | refused |
//!
//! A document may be inserted as a draft, or with the right `submit` as a submitted one. Submitted documents are not deleted.
//! Rows of child tables change with their document: freely while it is a draft, as far as it is open while it is submitted.

/// Where a document is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Docstatus 0: it may be changed.
    Draft,
    /// Docstatus 1: it counts.
    Submitted,
    /// Docstatus 2: it counts no more, and stays as it is.
    Cancelled,
}

impl State {
    /// That of a docstatus; `None` for a number that is none.
    pub fn of_docstatus(number: i64) -> Option<Self> {
        match number {
            0 => Some(State::Draft),
            1 => Some(State::Submitted),
            2 => Some(State::Cancelled),
            _ => None,
        }
    }

    /// As it is told.
    pub fn told(self) -> &'static str {
        match self {
            State::Draft => "a draft",
            State::Submitted => "submitted",
            State::Cancelled => "cancelled",
        }
    }
}

/// What an UPDATE of a document amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A draft stays one.
    Save,
    /// A draft is submitted.
    Submit,
    /// A submitted document changes where it may.
    UpdateSubmitted,
    /// A submitted document is cancelled.
    Cancel,
    /// A draft is given up.
    Discard,
}

impl Step {
    /// The right that it needs beside `write`.
    pub fn right(self) -> Option<&'static str> {
        match self {
            Step::Save | Step::Discard => None,
            Step::Submit | Step::UpdateSubmitted => Some("submit"),
            Step::Cancel => Some("cancel"),
        }
    }

    /// Columns stay as they are unless they are open to submitted documents.
    pub fn keeps_columns(self) -> bool {
        matches!(self, Step::UpdateSubmitted | Step::Cancel)
    }
}

/// Why a state does not allow something, whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A draft does not become cancelled by an UPDATE.
    CancelsDraft,
    /// A submitted document does not become a draft again.
    Withdraws,
    /// A cancelled document stays as it is.
    Frozen,
    /// No document begins as a cancelled one.
    BeginsCancelled,
    /// A submitted document is not deleted.
    DeletesSubmitted,
    /// A submitted document keeps its rows.
    AddsOrRemovesRow,
}

impl Refusal {
    /// The rule.
    pub fn rule(self) -> &'static str {
        match self {
            Refusal::CancelsDraft => "A draft is not cancelled: it is submitted first, or discarded.",
            Refusal::Withdraws => "A submitted document does not become a draft again.",
            Refusal::Frozen => "A cancelled document stays as it is, and so do its rows in child tables.",
            Refusal::BeginsCancelled => "A new document is a draft, or submitted.",
            Refusal::DeletesSubmitted => "Submitted documents are not deleted.",
            Refusal::AddsOrRemovesRow => {
                "While a document is submitted, no rows of its child tables come or go."
            }
        }
    }

    /// What can be done in its place.
    pub fn remedy(self) -> &'static str {
        match self {
            Refusal::CancelsDraft => "docperm.discard() gives a draft up; a draft may also be deleted.",
            Refusal::Withdraws => "Cancel it, and let docperm.amend() make a new draft of it.",
            Refusal::Frozen => "docperm.amend() makes a new draft of a cancelled document.",
            Refusal::BeginsCancelled => "Leave its docstatus out.",
            Refusal::DeletesSubmitted => "Cancel it first.",
            Refusal::AddsOrRemovesRow => {
                "set_field(..., allow_on_submit => true) on the child table's parent column allows it. Otherwise cancel the \
                 document and amend it."
            }
        }
    }
}

/// What an UPDATE from one state to another is. Only [`Step::Discard`] has to be said: a draft is not cancelled by mistake.
pub fn step(from: State, to: State, discards: bool) -> Result<Step, Refusal> {
    match (from, to) {
        (State::Draft, State::Draft) => Ok(Step::Save),
        (State::Draft, State::Submitted) => Ok(Step::Submit),
        (State::Draft, State::Cancelled) if discards => Ok(Step::Discard),
        (State::Draft, State::Cancelled) => Err(Refusal::CancelsDraft),
        (State::Submitted, State::Submitted) => Ok(Step::UpdateSubmitted),
        (State::Submitted, State::Cancelled) => Ok(Step::Cancel),
        (State::Submitted, State::Draft) => Err(Refusal::Withdraws),
        (State::Cancelled, _) => Err(Refusal::Frozen),
    }
}

/// The right that a new document of that state needs beside `create`.
pub fn insertion(state: State) -> Result<Option<&'static str>, Refusal> {
    match state {
        State::Draft => Ok(None),
        State::Submitted => Ok(Some("submit")),
        State::Cancelled => Err(Refusal::BeginsCancelled),
    }
}

/// Whether a document of that state may be deleted by those who have the right `delete`.
pub fn deletion(state: State) -> Result<(), Refusal> {
    match state {
        State::Draft | State::Cancelled => Ok(()),
        State::Submitted => Err(Refusal::DeletesSubmitted),
    }
}

/// What happens to a row of a child table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowChange {
    /// It comes to a document.
    Comes,
    /// It stays with its document, and changes.
    Changes,
    /// It goes from a document.
    Goes,
}

/// The right that it needs beside `write` on the document of that state; `rows_come_and_go` if the child table is open to it
/// while the document is submitted. Which columns of a row may change then is another question.
pub fn row_change(
    document: State,
    change: RowChange,
    rows_come_and_go: bool,
) -> Result<Option<&'static str>, Refusal> {
    match (document, change) {
        (State::Draft, _) => Ok(None),
        (State::Submitted, RowChange::Changes) => Ok(Some("submit")),
        (State::Submitted, _) if rows_come_and_go => Ok(Some("submit")),
        (State::Submitted, _) => Err(Refusal::AddsOrRemovesRow),
        (State::Cancelled, _) => Err(Refusal::Frozen),
    }
}

/// The names that an amendment may get, the first that is free: `SO-1-1`, `SO-1-2` ... An amendment that is itself amended
/// goes on counting: that of `SO-1-1` is `SO-1-2`.
pub fn amendment_names(original: &str, is_amendment: bool) -> impl Iterator<Item = String> {
    let counted = original.rsplit_once('-').filter(|_| is_amendment);
    let counted = counted.and_then(|(stem, number)| Some((stem, number.parse::<u32>().ok()?)));
    let (stem, last) = counted.unwrap_or((original, 0));
    let stem = stem.to_owned();
    (u64::from(last) + 1..).map(move |number| format!("{stem}-{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Cancelled, Draft, Submitted};

    const STATES: [State; 3] = [Draft, Submitted, Cancelled];

    #[test]
    fn every_transition_is_as_in_the_table() {
        let table = [
            (Draft, Draft, Ok(Step::Save)),
            (Draft, Submitted, Ok(Step::Submit)),
            (Draft, Cancelled, Err(Refusal::CancelsDraft)),
            (Submitted, Draft, Err(Refusal::Withdraws)),
            (Submitted, Submitted, Ok(Step::UpdateSubmitted)),
            (Submitted, Cancelled, Ok(Step::Cancel)),
            (Cancelled, Draft, Err(Refusal::Frozen)),
            (Cancelled, Submitted, Err(Refusal::Frozen)),
            (Cancelled, Cancelled, Err(Refusal::Frozen)),
        ];
        assert_eq!(table.len(), STATES.len() * STATES.len());
        for (from, to, expected) in table {
            assert_eq!(step(from, to, false), expected, "{from:?} to {to:?}");
            let discards = if (from, to) == (Draft, Cancelled) { Ok(Step::Discard) } else { expected };
            assert_eq!(step(from, to, true), discards, "{from:?} to {to:?}, discarding");
        }
    }

    #[test]
    fn rights_and_columns_go_with_the_step() {
        let table = [
            (Step::Save, None, false),
            (Step::Submit, Some("submit"), false),
            (Step::UpdateSubmitted, Some("submit"), true),
            (Step::Cancel, Some("cancel"), true),
            (Step::Discard, None, false),
        ];
        for (step, right, keeps) in table {
            assert_eq!((step.right(), step.keeps_columns()), (right, keeps), "{step:?}");
        }
    }

    #[test]
    fn documents_begin_and_end_where_they_may() {
        assert_eq!(STATES.map(insertion), [Ok(None), Ok(Some("submit")), Err(Refusal::BeginsCancelled)]);
        assert_eq!(STATES.map(deletion), [Ok(()), Err(Refusal::DeletesSubmitted), Ok(())]);
        let numbers = [-1, 0, 1, 2, 3].map(State::of_docstatus);
        assert_eq!(numbers, [None, Some(Draft), Some(Submitted), Some(Cancelled), None]);
    }

    #[test]
    fn rows_change_with_their_document() {
        use RowChange::{Changes, Comes, Goes};
        for change in [Comes, Changes, Goes] {
            for open in [false, true] {
                assert_eq!(row_change(Draft, change, open), Ok(None));
                assert_eq!(row_change(Cancelled, change, open), Err(Refusal::Frozen));
                let submitted = if open || change == Changes {
                    Ok(Some("submit"))
                } else {
                    Err(Refusal::AddsOrRemovesRow)
                };
                assert_eq!(row_change(Submitted, change, open), submitted, "{change:?}, {open}");
            }
        }
    }

    #[test]
    fn amendments_are_counted() {
        let first = |name, is_amendment| amendment_names(name, is_amendment).take(2).collect::<Vec<_>>();
        assert_eq!(first("SO-1", false), ["SO-1-1", "SO-1-2"]);
        assert_eq!(first("SO-1-1", true), ["SO-1-2", "SO-1-3"]);
        assert_eq!(first("renamed", true), ["renamed-1", "renamed-2"]);
        assert_eq!(first("SO-1-x", true), ["SO-1-x-1", "SO-1-x-2"]);
        assert_eq!(first("", false), ["-1", "-2"]);
    }
}
