//! Views in which columns above the level of whoever acts are NULL: those of docperm.create_readable_view().
//!
//! Such a view is `SELECT docperm._readable(t.a) AS a, ... FROM t WHERE docperm._is_readable(t.*)`, with a security barrier.
//! Before a statement is planned, the view's condition becomes a policy of the table, unless the table has that policy
//! already; each of its columns becomes the table's, or NULL; and as no barrier is needed beside a policy, the view
//! becomes a part of the query that it is used in. What is planned is what an expert would have written by hand.
//!
//! In a statement whose policies come up only in planning, the support functions do the same with the two functions, and the
//! barrier stays.

use std::ffi::c_void;

use pgrx::{IntoDatum, PgList, pg_sys};

use super::discreet::is_permits;
use super::few::Wanted;
use super::support::{cast, relation_of};
use super::walk::{items, walk_expression};
use super::{columns, guard, lower, stamp};
use crate::catalog::attribute_set;
use crate::catalog::cache::{self, Authority};
use crate::catalog::closed::{ClosedAttribute, closed_attributes};
use crate::catalog::load::Site;
use crate::catalog::scan::Table;
use crate::entry_point::entry_point;
use crate::fault::{Fault, OrRaise, SqlState};
use crate::identity;

entry_point! {
    /// `docperm._is_readable_support(internal)`: puts conditions on columns in place of `docperm._is_readable`.
    fn docperm_is_readable_support / pg_finfo_docperm_is_readable_support (fcinfo) {
        // SAFETY: the planner passes a node.
        unsafe { support(fcinfo, simplify_condition) }
    }
}

entry_point! {
    /// `docperm._readable_support(internal)`: puts the column, or NULL, in place of `docperm._readable`.
    fn docperm_readable_support / pg_finfo_docperm_readable_support (fcinfo) {
        // SAFETY: the planner passes a node.
        unsafe { support(fcinfo, simplify_column) }
    }
}

entry_point! {
    /// `docperm._is_readable(record)`: nothing but a place for its support function.
    fn docperm_is_readable / pg_finfo_docperm_is_readable (_fcinfo) { internal("docperm._is_readable()") }
}

entry_point! {
    /// `docperm._readable(anyelement)`: nothing but a place for its support function.
    fn docperm_readable / pg_finfo_docperm_readable (_fcinfo) { internal("docperm._readable()") }
}

fn internal(function: &str) -> ! {
    Fault::new(SqlState::ERRCODE_FEATURE_NOT_SUPPORTED, format!("{function} is internal"))
        .hint("It stands in views that docperm.create_readable_view() makes.")
        .raise()
}

/// A use of a readable view in a query.
pub struct View {
    entry: *mut pg_sys::RangeTblEntry,
    form: Form,
}

/// The readable views that the queries use.
///
/// # Safety
/// Query trees.
pub unsafe fn views(queries: &[*mut pg_sys::Query], site: &Site) -> Vec<View> {
    // SAFETY: as demanded of the caller.
    unsafe {
        let entries = queries.iter().flat_map(|query| items::<pg_sys::RangeTblEntry>((**query).rtable));
        let views = entries
            .filter(|entry| (**entry).rtekind == pg_sys::RTEKind::RTE_SUBQUERY && (**entry).security_barrier);
        views.filter_map(|entry| Some(View { entry, form: Form::of((*entry).subquery, site)? })).collect()
    }
}

impl View {
    /// Takes the view apart, for whoever `authority` is.
    ///
    /// # Safety
    /// The statement is about to be planned; the policies in it have not been replaced yet.
    pub unsafe fn open(self, authority: &Authority) {
        let Form { query, entry, row, columns: own } = self.form;
        // SAFETY: as demanded of the caller; the form tells that nothing but its condition and its columns is in the query.
        unsafe {
            let (table, doctype) = protected_table((*entry).relid, &authority.site);
            (*(*query).jointree).quals = std::ptr::null_mut();
            if !items::<pg_sys::Node>((*entry).securityQuals)
                .any(|policy| is_permits(policy, &authority.site))
            {
                let policy = call_of_permits(row, &doctype, &authority.site);
                (*entry).securityQuals = pg_sys::lcons(policy.cast(), (*entry).securityQuals);
            }
            let closed = closed_attributes(authority, &table, &doctype, "read").or_raise();
            for Column { target, column } in own {
                if closed.iter().any(|closed| closed.number == (*column).varattno) {
                    (*target).expr = null_like((*target).expr.cast()).cast();
                } else if is_same_type((*target).expr.cast(), column.cast()) {
                    (*target).expr = column.cast();
                }
            }
            Reading::of(query, row, &closed, &authority.site).note(entry);
            (*self.entry).security_barrier = false;
        }
    }
}

/// The query of a readable view.
struct Form {
    query: *mut pg_sys::Query,
    /// Its table.
    entry: *mut pg_sys::RangeTblEntry,
    /// The whole row of the table, in the condition.
    row: *mut pg_sys::Var,
    columns: Vec<Column>,
}

struct Column {
    target: *mut pg_sys::TargetEntry,
    column: *mut pg_sys::Var,
}

impl Form {
    /// Reads a query; `None` if it is anything but what docperm.create_readable_view() makes.
    unsafe fn of(query: *mut pg_sys::Query, site: &Site) -> Option<Form> {
        // SAFETY: a query tree, as it is before it is planned.
        unsafe {
            let condition = Some((*plain(query)?).quals).filter(|quals| !quals.is_null())?;
            let row = argument_of::<pg_sys::Var>(condition, site.is_readable, pg_sys::NodeTag::T_Var)?;
            let relation = relation_of(query, row)?;
            if !site.doctypes.contains_key(&relation) || only_table(query)? != (*row).varno {
                return None;
            }
            let entry = items::<pg_sys::RangeTblEntry>((*query).rtable).nth((*row).varno as usize - 1)?;
            let columns = items::<pg_sys::TargetEntry>((*query).targetList).map(|target| {
                let wrapped = without_cast((*target).expr.cast());
                let column = argument_of::<pg_sys::Var>(wrapped, site.readable, pg_sys::NodeTag::T_Var)?;
                let is_own =
                    (*column).varno == (*row).varno && (*column).varlevelsup == 0 && (*column).varattno > 0;
                is_own.then_some(Column { target, column })
            });
            Some(Form { query, entry, row, columns: columns.collect::<Option<Vec<_>>>()? })
        }
    }
}

/// Tables and conditions of a query that does nothing but select from them. Row marks are no matter.
unsafe fn plain(query: *mut pg_sys::Query) -> Option<*mut pg_sys::FromExpr> {
    // SAFETY: a query tree.
    unsafe {
        let parts = &*query;
        let is_plain = parts.commandType == pg_sys::CmdType::CMD_SELECT
            && !parts.hasAggs
            && !parts.hasWindowFuncs
            && !parts.hasTargetSRFs
            && !parts.hasSubLinks
            && [
                parts.cteList,
                parts.groupClause,
                parts.groupingSets,
                parts.windowClause,
                parts.distinctClause,
                parts.sortClause,
                parts.returningList,
                parts.withCheckOptions,
            ]
            .iter()
            .all(|list| list.is_null())
            && [parts.havingQual, parts.limitCount, parts.limitOffset, parts.setOperations]
                .iter()
                .all(|node| node.is_null());
        (is_plain && !parts.jointree.is_null()).then_some(parts.jointree)
    }
}

/// The one table that the query reads.
unsafe fn only_table(query: *mut pg_sys::Query) -> Option<i32> {
    // SAFETY: a query tree with a join tree.
    unsafe {
        let mut from = items::<pg_sys::Node>((*(*query).jointree).fromlist);
        let reference = cast::<pg_sys::RangeTblRef>(from.next()?, pg_sys::NodeTag::T_RangeTblRef)?;
        from.next().is_none().then_some((*reference).rtindex)
    }
}

/// The only argument of a call of that function, if it is such a node.
unsafe fn argument_of<T>(
    node: *mut pg_sys::Node,
    function: pg_sys::Oid,
    tag: pg_sys::NodeTag,
) -> Option<*mut T> {
    // SAFETY: an expression; tags are looked at.
    unsafe {
        let call = cast::<pg_sys::FuncExpr>(node, pg_sys::NodeTag::T_FuncExpr)?;
        let argument = items::<pg_sys::Node>((*call).args).next()?;
        if (*call).funcid == function { cast(argument, tag) } else { None }
    }
}

/// Which columns of its only table a query reads, after those that are closed in a readable view have become NULL.
struct Reading<'a> {
    query: *mut pg_sys::Query,
    row: *mut pg_sys::Var,
    closed: &'a [ClosedAttribute],
    site: &'a Site,
    columns: *mut pg_sys::Bitmapset,
}

impl<'a> Reading<'a> {
    /// Looks through results and conditions, which is all that there is in such a query.
    unsafe fn of(
        query: *mut pg_sys::Query,
        row: *mut pg_sys::Var,
        closed: &'a [ClosedAttribute],
        site: &'a Site,
    ) -> Self {
        let mut reading = Reading { query, row, closed, site, columns: std::ptr::null_mut() };
        // SAFETY: a plain query; the walker gets its nodes and this, which outlives the walk.
        unsafe {
            let context = (&raw mut reading).cast();
            note_columns((*query).targetList.cast(), context);
            note_columns((*(*query).jointree).quals, context);
        }
        reading
    }

    /// Writes it down where PostgreSQL has written down what the view was made of.
    unsafe fn note(self, entry: *mut pg_sys::RangeTblEntry) {
        // SAFETY: the entry of the table that was looked at.
        unsafe { columns::note_read(self.query, entry, self.columns) }
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn note_columns(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: NULL or a node, and the reading that the walk began with.
    unsafe {
        if node.is_null() {
            return false;
        }
        let reading = &mut *context.cast::<Reading>();
        if argument_of::<pg_sys::Var>(node, reading.site.is_readable, pg_sys::NodeTag::T_Var).is_some() {
            return false;
        }
        let wrapped = argument_of::<pg_sys::Var>(node, reading.site.readable, pg_sys::NodeTag::T_Var);
        let Some(column) = wrapped.or_else(|| cast(node, pg_sys::NodeTag::T_Var)) else {
            return walk_expression(node, note_columns, context);
        };
        let is_own = (*column).varno == (*reading.row).varno && (*column).varlevelsup == 0;
        let is_null =
            wrapped.is_some() && reading.closed.iter().any(|closed| closed.number == (*column).varattno);
        if is_own && !is_null {
            reading.columns = attribute_set::with(reading.columns, (*column).varattno);
        }
        false
    }
}

/// What is cast, if it is; for the sake of a length, as of varchar(20).
unsafe fn without_cast(node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    use pg_sys::CoercionForm::{COERCE_EXPLICIT_CAST, COERCE_IMPLICIT_CAST};
    // SAFETY: an expression; tags are looked at.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_FuncExpr => {
                let call = node.cast::<pg_sys::FuncExpr>();
                let is_cast = [COERCE_EXPLICIT_CAST, COERCE_IMPLICIT_CAST].contains(&(*call).funcformat);
                items::<pg_sys::Node>((*call).args).next().filter(|_| is_cast).unwrap_or(node)
            }
            pg_sys::NodeTag::T_RelabelType => (*node.cast::<pg_sys::RelabelType>()).arg.cast(),
            pg_sys::NodeTag::T_ArrayCoerceExpr => (*node.cast::<pg_sys::ArrayCoerceExpr>()).arg.cast(),
            _ => node,
        }
    }
}

unsafe fn null_like(node: *mut pg_sys::Node) -> *mut pg_sys::Const {
    // SAFETY: an expression.
    unsafe {
        pg_sys::makeNullConst(pg_sys::exprType(node), pg_sys::exprTypmod(node), pg_sys::exprCollation(node))
    }
}

/// Whether the one can stand for the other, whose length may not be told.
unsafe fn is_same_type(cast: *mut pg_sys::Node, column: *mut pg_sys::Node) -> bool {
    // SAFETY: expressions.
    unsafe {
        let length = pg_sys::exprTypmod(cast);
        pg_sys::exprType(cast) == pg_sys::exprType(column)
            && (length == -1 || length == pg_sys::exprTypmod(column))
    }
}

/// `docperm.permits(row, doctype, 'read')`.
unsafe fn call_of_permits(row: *mut pg_sys::Var, doctype: &str, site: &Site) -> *mut pg_sys::FuncExpr {
    // SAFETY: arguments of the function's types.
    unsafe {
        let text = |value: &str| {
            let datum = value.into_datum().expect("a text is not NULL");
            pg_sys::makeConst(pg_sys::TEXTOID, -1, pg_sys::DEFAULT_COLLATION_OID, -1, datum, false, false)
        };
        let mut arguments = PgList::<pg_sys::Node>::new();
        arguments.push(row.cast());
        arguments.push(text(doctype).cast());
        arguments.push(text("read").cast());
        pg_sys::makeFuncExpr(
            site.permits,
            pg_sys::BOOLOID,
            arguments.into_pg(),
            pg_sys::InvalidOid,
            pg_sys::DEFAULT_COLLATION_OID,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        )
    }
}

/// A table and its doctype.
fn protected_table(relation: pg_sys::Oid, site: &Site) -> (Table, String) {
    let doctype = site.doctypes.get(&relation).cloned();
    Table::open(relation).zip(doctype).unwrap_or_else(|| not_protected(relation))
}

fn not_protected(relation: pg_sys::Oid) -> ! {
    let table = Table::open(relation).map(|table| table.name()).unwrap_or_default();
    Fault::new(
        SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("table {table} is not protected, so nobody knows who may read it through a readable view"),
    )
    .hint("Protect it with docperm.protect(), or drop the view.")
    .raise()
}

unsafe fn support(
    call: pg_sys::FunctionCallInfo,
    simplify: unsafe fn(&pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node>,
) -> pg_sys::Datum {
    // SAFETY: the planner passes a node, whose tag tells what it is.
    let simplified = unsafe {
        let request = pgrx::pg_getarg_datum_raw(call, 0).cast_mut_ptr::<pg_sys::Node>();
        match (*request).type_ {
            pg_sys::NodeTag::T_SupportRequestSimplify => simplify(&*request.cast()),
            _ => None,
        }
    };
    simplified.map_or(pg_sys::Datum::from(0), pg_sys::Datum::from)
}

/// What `docperm._is_readable(row)` comes to.
unsafe fn simplify_condition(request: &pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node> {
    // SAFETY: the planner's request, with its root or NULL; the argument is looked at only after its tag. The row is a Var of
    // the query that `root` plans.
    unsafe {
        if request.root.is_null() {
            return None;
        }
        let query = (*request.root).parse;
        let argument = items::<pg_sys::Node>((*request.fcall).args).next()?;
        let row = cast::<pg_sys::Var>(argument, pg_sys::NodeTag::T_Var)?;
        let relation = relation_of(query, row)?;
        guard::note_policy_in_planning();
        let identity = identity::acting();
        let authority = cache::authority(&identity.user);
        let (table, doctype) = protected_table(relation, &authority.site);
        let ruling = authority.ruling(&doctype, "read").map_err(Fault::from).or_raise();
        // The barrier keeps the view a query of its own, to which conditions may have come from outside.
        if plain(query).is_some() && only_table(query) == Some((*row).varno) {
            let closed = closed_attributes(&authority, &table, &doctype, "read").or_raise();
            let entry = items::<pg_sys::RangeTblEntry>((*query).rtable).nth((*row).varno as usize - 1)?;
            Reading::of(query, row, &closed, &authority.site).note(entry);
        }
        let lowering = lower::Lowering {
            glob: (*request.root).glob,
            query,
            row,
            table: &table,
            doctype: &doctype,
            authority: &authority,
            probes: false,
            inline_values: Wanted::Many.inline_values(),
        };
        let condition = lowering.lower(&ruling.predicate);
        stamp::mark((*request.root).glob, &identity, &authority);
        Some(condition)
    }
}

/// What `docperm._readable(column)` comes to.
unsafe fn simplify_column(request: &pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node> {
    // SAFETY: as in `simplify_condition`.
    unsafe {
        if request.root.is_null() {
            return None;
        }
        let argument = items::<pg_sys::Node>((*request.fcall).args).next()?;
        let column = cast::<pg_sys::Var>(argument, pg_sys::NodeTag::T_Var)?;
        let relation = table_of_column((*request.root).parse, column)?;
        let identity = identity::acting();
        let authority = cache::authority(&identity.user);
        let (table, doctype) = protected_table(relation, &authority.site);
        let closed = closed_attributes(&authority, &table, &doctype, "read").or_raise();
        stamp::mark((*request.root).glob, &identity, &authority);
        let is_closed = closed.iter().any(|closed| closed.number == (*column).varattno);
        Some(if is_closed { null_like(column.cast()).cast() } else { column.cast() })
    }
}

/// The table of which the Var is a column, in this query.
unsafe fn table_of_column(query: *mut pg_sys::Query, column: *mut pg_sys::Var) -> Option<pg_sys::Oid> {
    // SAFETY: a Var's number counts the query's range table.
    unsafe {
        let index = usize::try_from((*column).varno).ok()?.checked_sub(1)?;
        let entry = items::<pg_sys::RangeTblEntry>((*query).rtable).nth(index)?;
        let is_column = (*column).varattno > 0
            && (*column).varlevelsup == 0
            && (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION;
        is_column.then_some((*entry).relid)
    }
}

/// The numbers of the columns of its table of which a readable view is made, in its order; `None` of any other view.
#[pgrx::pg_extern(sql = false)]
fn docperm_readable_view_columns(view: pg_sys::Oid) -> Option<Vec<i16>> {
    let site = cache::site();
    let view = Table::open(view)?;
    // SAFETY: the rule of an open view; it is only read.
    unsafe {
        if (*(*view.as_raw()).rd_rel).relkind as u8 != pg_sys::RELKIND_VIEW {
            return None;
        }
        let form = Form::of(pg_sys::get_view_query(view.as_raw()), &site)?;
        Some(form.columns.iter().map(|column| (*column.column).varattno).collect())
    }
}
