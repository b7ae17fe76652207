//! docperm.explain_access(): why, and why not.

use pgrx::iter::TableIterator;
use pgrx::name;

use super::{
    administers, authority_asked_about, is_column_readable, is_table_granted, require_name_column,
    require_right, required,
};
use crate::catalog::cache::Authority;
use crate::catalog::document::{self, ColumnValue, TypedRow};
use crate::fault::{Fault, OrRaise};
use crate::identity::acting;
use crate::rules::lifecycle::State;
use crate::rules::tell::{Step, Subject, tell, tell_levels};
use crate::rules::tell_state::tell_state;
use crate::rules::{Asking, Row};

/// Tells step by step how the decision comes about.
///
/// What a document holds is told only to those who may read it and to those who administer: otherwise a refusal would
/// tell the very values for which the document is hidden.
#[pgrx::pg_extern(sql = false)]
fn docperm_explain_access(
    doctype: Option<&str>,
    document: Option<&str>,
    ptype: Option<&str>,
    user_name: Option<&str>,
) -> TableIterator<
    'static,
    (name!(step, i32), name!(rule, String), name!(verdict, String), name!(detail, String)),
> {
    let doctype = required(doctype, "doctype");
    let ptype = ptype.unwrap_or("read");
    let authority = authority_asked_about(user_name);
    require_right(&authority, ptype);
    let steps = match document {
        None => explain(&authority, doctype, ptype, Subject::Doctype::<Nothing>, None),
        Some(name) => explain_document(&authority, doctype, ptype, name),
    };
    TableIterator::new(
        steps
            .into_iter()
            .zip(1..)
            .map(|(step, number)| (number, step.rule.to_owned(), step.verdict.to_owned(), step.detail)),
    )
}

fn explain_document(authority: &Authority, doctype: &str, ptype: &str, name: &str) -> Vec<Step> {
    let ruling = |ptype| authority.ruling(doctype, ptype).map_err(Fault::from).or_raise();
    let (read, asked) = (ruling("read"), ruling(ptype));
    require_name_column(authority, doctype);
    let may_know = administers(&acting());
    let may_show = |column: &str| is_column_readable(authority, doctype, column);
    // Should several documents have the name, as partitions may, a right is had on all of them or on none, and one on which
    // it is not had is told about.
    let (mut allowed, mut steps) = (None, None);
    let mut is_readable = is_table_granted(authority, doctype);
    document::find(&authority.site, doctype, name, |row| {
        let mut row = document::typed_row(authority, doctype, row);
        is_readable &= may_know || read.predicate.matches(&mut row).or_raise();
        if is_readable && allowed != Some(false) {
            let state = state(authority, doctype, &mut row).filter(|(column, _)| may_show(column));
            let subject = Subject::Document { name, row: &mut row, may_show: &may_show };
            steps = Some(explain(authority, doctype, ptype, subject, state.map(|(_, state)| state)));
        }
        allowed = Some(allowed.unwrap_or(true) && asked.predicate.matches(&mut row).or_raise());
    });
    steps.filter(|_| is_readable).unwrap_or_else(|| {
        let allowed = allowed.unwrap_or(false);
        explain(authority, doctype, ptype, Subject::Concealed::<Nothing> { name, allowed }, None)
    })
}

/// The document's state, and the column that holds it.
fn state<'s>(
    authority: &'s Authority,
    doctype: &str,
    row: &mut impl Row<Error = Fault>,
) -> Option<(&'s str, State)> {
    let column = authority.site.model.doctypes.get(doctype)?.docstatus_column.as_deref()?;
    let text = row.text(column).or_raise();
    let number = text.map_or(Some(0.0), |text| text.parse::<f64>().ok())?;
    Some((column, State::of_docstatus(number as i64)?))
}

fn explain<R: Row<Error = Fault>>(
    authority: &Authority,
    doctype: &str,
    ptype: &str,
    subject: Subject<R>,
    state: Option<State>,
) -> Vec<Step> {
    let decision = authority.decide(doctype, ptype, Asking::default()).map_err(Fault::from).or_raise();
    let mut steps = tell(&decision, authority.record(), authority, subject).or_raise();
    if decision.doctype.has_levels() && matches!(ptype, "read" | "write" | "create") {
        let levels = authority.levels(doctype, ptype).map_err(Fault::from).or_raise();
        // The result comes last.
        steps.insert(steps.len() - 1, tell_levels(&decision, &levels));
    }
    if let Some(step) = state.and_then(|state| tell_state(decision.doctype, ptype, state)) {
        steps.insert(steps.len() - 1, step);
    }
    steps
}

/// The row of an explanation that has none.
type Nothing = TypedRow<'static, fn(&str) -> ColumnValue>;
