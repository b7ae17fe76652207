//! What a document's state means for what is asked about, in words.

use super::lifecycle::{Refusal, State};
use super::model::Doctype;
use super::tell::Step;

/// What the state stands in the way of, whatever the rights; `None` if of nothing that `ptype` is about.
pub fn tell_state(doctype: &Doctype, ptype: &str, state: State) -> Option<Step> {
    let detail = match (ptype, state) {
        ("write", State::Submitted) => while_submitted(doctype),
        ("write" | "submit" | "cancel", State::Cancelled) => Refusal::Frozen.rule().to_owned(),
        ("delete", State::Submitted) => Refusal::DeletesSubmitted.rule().to_owned(),
        ("submit", State::Submitted) => "The document is submitted already.".to_owned(),
        ("cancel", State::Draft) => Refusal::CancelsDraft.rule().to_owned(),
        ("amend", State::Draft | State::Submitted) => "Only cancelled documents are amended.".to_owned(),
        _ => return None,
    };
    let detail = format!("It is {}. {detail}", state.told());
    Some(Step { rule: "state", verdict: "noted", detail })
}

fn while_submitted(doctype: &Doctype) -> String {
    let open =
        doctype.fields.iter().filter(|(_, field)| field.allow_on_submit).map(|(column, _)| column.as_str());
    let open: Vec<_> = open.collect();
    if open.is_empty() {
        return "None of its columns changes while it is.".to_owned();
    }
    format!("Of its columns only {} may change while it is, which needs the right submit.", open.join(", "))
}
