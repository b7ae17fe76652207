//! What a statement puts into columns of the table that it writes to: whether that is anything but the column's default, and
//! how to leave the column as it is.

use pgrx::pg_sys;
use pgrx::pg_sys::CmdType::{CMD_INSERT, CMD_UPDATE};

use super::support::cast;
use super::walk::items;
use crate::catalog::scan::Table;

/// A statement that writes to a table.
pub struct Assigned<'a> {
    /// Its query.
    pub query: *mut pg_sys::Query,
    /// The table.
    pub table: &'a Table,
}

/// Where a query says what becomes of columns.
type Targets = *mut *mut pg_sys::List;

impl Assigned<'_> {
    /// An INSERT puts something into the column, be it the column's default.
    ///
    /// # Safety
    /// A query tree that has not been planned yet, as for everything here.
    pub unsafe fn inserts(&self, number: pg_sys::AttrNumber) -> bool {
        // SAFETY: target lists of the query.
        unsafe { self.inserted().into_iter().any(|targets| !assigned(targets, number).is_empty()) }
    }

    /// An INSERT puts nothing into the column but what the column's default is.
    ///
    /// # Safety
    /// As of [`inserts`](Self::inserts).
    pub unsafe fn gets_default(&self, number: pg_sys::AttrNumber) -> bool {
        // SAFETY: expressions of the query; the default is one of an open table.
        unsafe {
            let default = self.default(number);
            // In the middle of planning, what can be computed has been.
            let folded = default.map_or(std::ptr::null_mut(), |default| fold(default));
            let is_default = |node: *mut pg_sys::Node| match default {
                None => {
                    let constant = cast::<pg_sys::Const>(node, pg_sys::NodeTag::T_Const);
                    constant.is_some_and(|constant| (*constant).constisnull)
                }
                Some(default) => {
                    [default, folded].iter().any(|default| pg_sys::equal(node.cast(), default.cast()))
                }
            };
            self.inserted().into_iter().flat_map(|targets| assigned(targets, number)).all(|target| {
                let value = (*target).expr.cast();
                match self.listed(value) {
                    Some(listed) => listed.into_iter().all(is_default),
                    None => is_default(value),
                }
            })
        }
    }

    /// Has the statement leave the column as it is stored or, in a new row, to its default.
    ///
    /// # Safety
    /// As of [`inserts`](Self::inserts).
    pub unsafe fn reset(&self, number: pg_sys::AttrNumber) {
        // SAFETY: target lists of the query; the attribute is one of an open table, which the query writes to.
        unsafe {
            for targets in self.inserted() {
                for target in assigned(targets, number) {
                    match self.default(number) {
                        Some(default) => (*target).expr = fold(default).cast(),
                        None => *targets = pg_sys::list_delete_ptr(*targets, target.cast()),
                    }
                }
            }
            let Some(attribute) = self.table.attributes().iter().find(|own| own.attnum == number) else {
                return;
            };
            for target in self.updated().into_iter().flat_map(|targets| assigned(targets, number)) {
                let stored = pg_sys::makeVar(
                    (*self.query).resultRelation,
                    number,
                    attribute.atttypid,
                    attribute.atttypmod,
                    attribute.attcollation,
                    0,
                );
                (*target).expr = stored.cast();
            }
        }
    }

    unsafe fn default(&self, number: pg_sys::AttrNumber) -> Option<*mut pg_sys::Node> {
        // SAFETY: an open table.
        let default = unsafe { pg_sys::build_column_default(self.table.as_raw(), number.into()) };
        (!default.is_null()).then_some(default)
    }

    /// Where the columns of new rows are.
    unsafe fn inserted(&self) -> Vec<Targets> {
        // SAFETY: a query tree.
        unsafe {
            let own = ((*self.query).commandType == CMD_INSERT).then_some(&raw mut (*self.query).targetList);
            own.into_iter().chain(self.merged(CMD_INSERT)).collect()
        }
    }

    /// Where the columns of rows that are there are.
    unsafe fn updated(&self) -> Vec<Targets> {
        // SAFETY: a query tree.
        unsafe {
            let own = ((*self.query).commandType == CMD_UPDATE).then_some(&raw mut (*self.query).targetList);
            let conflict = (*self.query).onConflict;
            let on_conflict = (!conflict.is_null()).then_some(&raw mut (*conflict).onConflictSet);
            own.into_iter().chain(on_conflict).chain(self.merged(CMD_UPDATE)).collect()
        }
    }

    unsafe fn merged(&self, command: pg_sys::CmdType::Type) -> Vec<Targets> {
        // SAFETY: a query tree.
        unsafe {
            let actions = items::<pg_sys::MergeAction>((*self.query).mergeActionList);
            let wanted = actions.filter(|action| (**action).commandType == command);
            wanted.map(|action| &raw mut (*action).targetList).collect()
        }
    }

    /// A column of VALUES with several rows, as what stands there.
    unsafe fn listed(&self, node: *mut pg_sys::Node) -> Option<Vec<*mut pg_sys::Node>> {
        // SAFETY: a Var's number counts the query's range table; all rows of VALUES have as many columns.
        unsafe {
            let variable = cast::<pg_sys::Var>(node, pg_sys::NodeTag::T_Var)?;
            let mut entries = items::<pg_sys::RangeTblEntry>((*self.query).rtable);
            let entry = entries.nth(usize::try_from((*variable).varno).ok()?.checked_sub(1)?)?;
            let rows = ((*entry).rtekind == pg_sys::RTEKind::RTE_VALUES).then_some((*entry).values_lists)?;
            let column = usize::try_from((*variable).varattno).ok()?.checked_sub(1)?;
            items::<pg_sys::List>(rows).map(|row| items::<pg_sys::Node>(row).nth(column)).collect()
        }
    }
}

/// As the planner sees an expression, which it has done already if it is at work.
unsafe fn fold(expression: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: an expression.
    unsafe { pg_sys::eval_const_expressions(std::ptr::null_mut(), expression) }
}

/// What is put into the column. The list may be changed afterwards.
unsafe fn assigned(targets: Targets, number: pg_sys::AttrNumber) -> Vec<*mut pg_sys::TargetEntry> {
    // SAFETY: a list of target entries.
    unsafe {
        let targets = items::<pg_sys::TargetEntry>(*targets);
        targets.filter(|target| (**target).resno == number && !(**target).resjunk).collect()
    }
}
