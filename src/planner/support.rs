//! The planner support function of `docperm.permits`.

use pgrx::{PgList, pg_sys};

use super::few::{self, Wanted};
use super::{columns, guard, lower, stamp};
use crate::catalog::cache;
use crate::catalog::scan::Table;
use crate::entry_point::entry_point;
use crate::fault::{Fault, OrRaise};
use crate::identity;

entry_point! {
    /// `docperm._permits_support(internal)`: simplifies calls of `docperm.permits` in queries to conditions on columns.
    fn docperm_permits_support / pg_finfo_docperm_permits_support (fcinfo) {
        // SAFETY: the planner passes a node.
        let request = unsafe { pgrx::pg_getarg_datum_raw(fcinfo, 0).cast_mut_ptr::<pg_sys::Node>() };
        // SAFETY: the node's tag tells what it is.
        let simplified = unsafe {
            match (*request).type_ {
                pg_sys::NodeTag::T_SupportRequestSimplify => simplify(&*request.cast()),
                _ => None,
            }
        };
        simplified.map_or(pg_sys::Datum::from(0), pg_sys::Datum::from)
    }
}

/// A call `permits(row, 'Doctype', 'ptype')` about a table of a query.
pub struct PolicyCall {
    /// The whole row of the table.
    pub row: *mut pg_sys::Var,
    /// The table.
    pub relation: pg_sys::Oid,
    /// The doctype that it is said to hold.
    pub doctype: String,
    /// The right.
    pub ptype: String,
}

impl PolicyCall {
    /// Reads the arguments of a call in `query`; `None` if they are not of that form.
    ///
    /// # Safety
    /// The arguments of docperm.permits() in a query tree.
    pub unsafe fn read(query: *mut pg_sys::Query, arguments: *mut pg_sys::List) -> Option<Self> {
        // SAFETY: as demanded of the caller; every node is looked at only after its tag.
        unsafe {
            let arguments = PgList::<pg_sys::Node>::from_pg(arguments);
            let row = cast::<pg_sys::Var>(arguments.get_ptr(0)?, pg_sys::NodeTag::T_Var)?;
            let relation = relation_of(query, row)?;
            let doctype = constant_text(arguments.get_ptr(1)?)?;
            let ptype = constant_text(arguments.get_ptr(2)?)?;
            Some(PolicyCall { row, relation, doctype, ptype })
        }
    }
}

/// The condition that stands for the call, or `None` to leave it as it is: then the function answers, with the same answer.
unsafe fn simplify(request: &pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node> {
    if request.root.is_null() {
        return None;
    }
    // SAFETY: the planner's request, with its root.
    let call = unsafe { PolicyCall::read((*request.root).parse, (*request.fcall).args)? };
    guard::note_policy_in_planning();
    let identity = identity::acting();
    let authority = cache::authority(&identity.user);
    if authority.site.doctypes.get(&call.relation) != Some(&call.doctype) {
        return None;
    }
    let ruling = authority.ruling(&call.doctype, &call.ptype).map_err(Fault::from).or_raise();
    let table = Table::open(call.relation)?;
    // SAFETY: the row is a Var of the query that `root` plans.
    unsafe {
        // In a statement that had begun before the library was loaded, or that came up in planning, this is the first look.
        for table in columns::leveled_in_planning((*request.root).parse, (*call.row).varno, &authority.site) {
            table.require_open(&authority);
        }
        let wanted = few::wanted((*request.root).parse, &call, &table, &ruling.predicate);
        let lowering = lower::Lowering {
            glob: (*request.root).glob,
            query: (*request.root).parse,
            row: call.row,
            table: &table,
            doctype: &call.doctype,
            authority: &authority,
            probes: wanted == Wanted::One,
            inline_values: wanted.inline_values(),
        };
        let condition = lowering.lower(&ruling.predicate);
        stamp::mark((*request.root).glob, &identity, &authority);
        Some(condition)
    }
}

/// The table of `query` of which `row` is a whole row; `None` for one of a query around it.
pub(super) unsafe fn relation_of(query: *mut pg_sys::Query, row: *mut pg_sys::Var) -> Option<pg_sys::Oid> {
    // SAFETY: a Var's number counts the query's range table.
    unsafe {
        if (*row).varattno != 0 || (*row).varlevelsup != 0 || (*row).varno as i64 <= 0 {
            return None;
        }
        let range_table = PgList::<pg_sys::RangeTblEntry>::from_pg((*query).rtable);
        let entry = range_table.get_ptr((*row).varno as usize - 1)?;
        ((*entry).rtekind == pg_sys::RTEKind::RTE_RELATION).then_some((*entry).relid)
    }
}

pub(super) unsafe fn constant_text(node: *mut pg_sys::Node) -> Option<String> {
    // SAFETY: the node's tag is looked at; permits takes text.
    unsafe {
        let constant = cast::<pg_sys::Const>(node, pg_sys::NodeTag::T_Const)?;
        pgrx::FromDatum::from_datum((*constant).constvalue, (*constant).constisnull)
    }
}

pub(super) unsafe fn cast<T>(node: *mut pg_sys::Node, tag: pg_sys::NodeTag) -> Option<*mut T> {
    // SAFETY: a node; its tag tells whether it is a T.
    unsafe { (!node.is_null() && (*node).type_ == tag).then(|| node.cast()) }
}
