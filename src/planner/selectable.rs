//! What may be picked, as a condition in the query of docperm.link_options().

use pgrx::{PgList, pg_sys};

use super::support::{cast, constant_text, relation_of};
use super::{lower, stamp};
use crate::catalog::cache;
use crate::catalog::scan::Table;
use crate::entry_point::entry_point;
use crate::fault::{Fault, OrRaise, SqlState};
use crate::identity::{self, settings};
use crate::rules::Asking;

entry_point! {
    /// `docperm._is_selectable_support(internal)`: puts conditions on columns in place of `docperm._is_selectable`.
    fn docperm_is_selectable_support / pg_finfo_docperm_is_selectable_support (fcinfo) {
        // SAFETY: the planner passes a node, whose tag tells what it is.
        let simplified = unsafe {
            let request = pgrx::pg_getarg_datum_raw(fcinfo, 0).cast_mut_ptr::<pg_sys::Node>();
            match (*request).type_ {
                pg_sys::NodeTag::T_SupportRequestSimplify => simplify(&*request.cast()),
                _ => None,
            }
        };
        simplified.map_or(pg_sys::Datum::from(0), pg_sys::Datum::from)
    }
}

entry_point! {
    /// `docperm._is_selectable(record, text, text, boolean)`: nothing but a place for its support function.
    fn docperm_is_selectable / pg_finfo_docperm_is_selectable (_fcinfo) {
        Fault::new(SqlState::ERRCODE_FEATURE_NOT_SUPPORTED, "docperm._is_selectable() is internal")
            .hint("Call docperm.link_options().")
            .raise()
    }
}

unsafe fn simplify(request: &pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node> {
    // SAFETY: the planner's request, with its root or NULL; every argument is looked at only after its tag. The row is a Var
    // of the query that `root` plans.
    unsafe {
        if request.root.is_null() {
            return None;
        }
        let arguments = PgList::<pg_sys::Node>::from_pg((*request.fcall).args);
        let row = cast::<pg_sys::Var>(arguments.get_ptr(0)?, pg_sys::NodeTag::T_Var)?;
        let relation = relation_of((*request.root).parse, row)?;
        let doctype = constant_text(arguments.get_ptr(1)?)?;
        let for_doctype = constant_text(arguments.get_ptr(2)?);
        let ignores = cast::<pg_sys::Const>(arguments.get_ptr(3)?, pg_sys::NodeTag::T_Const)?;
        let asking = Asking {
            for_doctype: for_doctype.as_deref(),
            ignore_user_permissions: (*ignores).constvalue.value() != 0,
        };
        let identity = identity::acting();
        let authority = cache::authority(&identity.user);
        if authority.site.doctypes.get(&relation) != Some(&doctype) {
            return None;
        }
        let selectable = authority.selectable(&doctype, asking).map_err(Fault::from).or_raise();
        let table = Table::open(relation)?;
        let lowering = lower::Lowering {
            glob: (*request.root).glob,
            query: (*request.root).parse,
            row,
            table: &table,
            doctype: &doctype,
            authority: &authority,
            probes: false,
            inline_values: settings::max_inline_values(),
        };
        let condition = lowering.lower(&selectable);
        stamp::mark((*request.root).glob, &identity, &authority);
        Some(condition)
    }
}
