//! What delegated administrators may do: those who are none but have the right `set_user_permissions`.

use pgrx::iter::SetOfIterator;

use crate::catalog::cache;
use crate::fault::{Fault, OrRaise};
use crate::identity::acting;
use crate::rules::Undecidable;
use crate::rules::user_permissions::Examination;

/// Whether the acting user may permit others a document of `allow`, in documents of one doctype or of all.
#[pgrx::pg_extern(sql = false)]
fn docperm_may_permit(
    allow: Option<&str>,
    for_value: Option<&str>,
    applicable_for: Option<&str>,
    hide_descendants: Option<bool>,
) -> bool {
    let authority = cache::authority(&acting().user);
    let Some((allow, for_value)) = allow.zip(for_value) else { return false };
    let model = &authority.site.model;
    let Some((user, target)) = authority.record().zip(model.doctypes.get(allow)) else { return false };
    let examination = Examination { model, user, facts: &*authority };
    let hides = hide_descendants.unwrap_or(false);
    let answer = examination.may_permit(target, for_value, applicable_for, hides);
    answer.map_err(|error| Fault::from(Undecidable::Tree(error))).or_raise()
}

/// The documents of `allow` to which a user is restricted in documents of `context`; nothing where no entry applies.
#[pgrx::pg_extern(sql = false)]
fn docperm_permitted_values(allow: &str, context: &str, user_name: &str) -> SetOfIterator<'static, String> {
    let authority = cache::authority(&crate::identity::stored_name(user_name));
    let allowed = authority.record().and_then(|record| {
        let allowed = record.allowed(allow, context, &*authority);
        allowed.map_err(|error| Fault::from(Undecidable::Tree(error))).or_raise()
    });
    let values: Vec<String> =
        allowed.iter().flat_map(|allowed| allowed.values.iter().map(str::to_owned)).collect();
    SetOfIterator::new(values)
}
