//! Keeping trees trees.

use super::document;
use super::load::Site;
use super::scan::NewestSnapshot;
use crate::fault::Fault;
use crate::rules::Doctype;

/// No tree is deeper; what is, goes round.
const DEEPEST: usize = 10_000;

/// Refuses, with 22023, a node that has become its own ancestor. A reader restricted to a node of a cycle would get an error
/// instead of rows, so whoever may move nodes could stop others from reading.
pub fn refuse_cycle(site: &Site, doctype: &Doctype, node: Option<String>) {
    let (Some(parent_column), Some(node)) = (&doctype.tree_parent_column, node) else { return };
    // SAFETY: inside a statement that has written; what it wrote becomes visible to the look-ups below.
    unsafe { pgrx::pg_sys::CommandCounterIncrement() };
    let snapshot = NewestSnapshot::take();
    let mut current = node.clone();
    for _ in 0..DEEPEST {
        let mut parent = None;
        document::find_as_of(site, &doctype.name, &current, snapshot.as_raw(), |row| {
            let attribute = row.table().registered_attribute(parent_column, &doctype.name);
            parent = row.text_form(attribute).filter(|parent| !parent.is_empty());
        });
        match parent {
            None => return,
            Some(parent) if parent == node => break,
            Some(parent) => current = parent,
        }
    }
    Fault::bad_argument(format!("{} \"{node}\" would be its own ancestor", doctype.name))
        .detail(format!("Following {parent_column} from it leads back to it or to no end."))
        .hint("Give it a parent that is not below it.")
        .raise();
}
