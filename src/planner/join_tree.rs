//! Conditions on a table of a query where its joins are written down.

use std::ffi::c_int;

use pgrx::{PgList, pg_sys};

use super::nodes;

/// Where a query refers to one of its tables.
pub struct Place {
    query: *mut pg_sys::Query,
    reference: *mut *mut pg_sys::Node,
    /// Without a row of the table the query has none.
    is_required: bool,
}

impl Place {
    /// Looks for the table of that number among what the query joins. Tables that it writes to or that only views name are
    /// not there.
    ///
    /// # Safety
    /// `query` is a query tree that is about to be planned.
    pub unsafe fn find(query: *mut pg_sys::Query, table: c_int) -> Option<Place> {
        // SAFETY: as demanded of the caller.
        unsafe {
            let (reference, is_required) = find((*(*query).jointree).fromlist, table)?;
            Some(Place { query, reference, is_required })
        }
    }

    /// Lets only rows of the table pass that satisfy the condition.
    ///
    /// # Safety
    /// The query has not been planned yet; the condition is about the table alone.
    pub unsafe fn filter(&self, condition: *mut pg_sys::Node) {
        // SAFETY: the reference is a slot of the query's join tree.
        unsafe {
            let mut from = PgList::<pg_sys::Node>::new();
            from.push(*self.reference);
            *self.reference = pg_sys::makeFromExpr(from.into_pg(), condition).cast();
        }
    }

    /// Lets no row of the table pass, and the query have none if it cannot do without.
    ///
    /// # Safety
    /// As of [`filter`](Self::filter).
    pub unsafe fn close(&self) {
        // SAFETY: as in `filter`.
        unsafe {
            let never = pg_sys::makeBoolConst(false, false);
            if !self.is_required {
                return self.filter(never);
            }
            let top = (*self.query).jointree;
            let own = (*top).quals;
            let conditions = if own.is_null() { vec![never] } else { vec![never, own] };
            (*top).quals = nodes::boolean(pg_sys::BoolExprType::AND_EXPR, conditions);
        }
    }
}

/// The slot that refers to the table, and whether every row of the whole takes one of the table.
unsafe fn find(from: *mut pg_sys::List, table: c_int) -> Option<(*mut *mut pg_sys::Node, bool)> {
    // SAFETY: a list of the nodes that a join tree is made of.
    unsafe {
        let length = if from.is_null() { 0 } else { (*from).length as usize };
        (0..length).find_map(|index| {
            let cell = (*from).elements.add(index);
            find_below((&raw mut (*cell).ptr_value).cast(), table)
        })
    }
}

unsafe fn find_below(slot: *mut *mut pg_sys::Node, table: c_int) -> Option<(*mut *mut pg_sys::Node, bool)> {
    use pg_sys::JoinType::{JOIN_INNER, JOIN_LEFT, JOIN_RIGHT};
    // SAFETY: a slot of a join tree; the tags tell what it is made of.
    unsafe {
        match (**slot).type_ {
            pg_sys::NodeTag::T_RangeTblRef => {
                ((*(*slot).cast::<pg_sys::RangeTblRef>()).rtindex == table).then_some((slot, true))
            }
            pg_sys::NodeTag::T_FromExpr => find((*(*slot).cast::<pg_sys::FromExpr>()).fromlist, table),
            pg_sys::NodeTag::T_JoinExpr => {
                let join = (*slot).cast::<pg_sys::JoinExpr>();
                let kind = (*join).jointype;
                let found = |side, is_required| {
                    find_below(side, table).map(|(slot, below)| (slot, below && is_required))
                };
                found(&raw mut (*join).larg, [JOIN_INNER, JOIN_LEFT].contains(&kind))
                    .or_else(|| found(&raw mut (*join).rarg, [JOIN_INNER, JOIN_RIGHT].contains(&kind)))
            }
            _ => None,
        }
    }
}
