//! Whether the statement whose triggers fire is a MERGE.
//!
//! A MERGE that updates a row into another partition leaves it out of the transition tables for UPDATE, and has it in those
//! for DELETE, though the document is still there. Triggers that go by these tables have to know.

use pgrx::{PgList, pg_sys};

use super::execution;

/// What a query that writes is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// A MERGE, into a table that has partitions or not.
    Merge { into_parts: bool },
    /// Anything else.
    Other,
}

impl Writing {
    /// What the query is.
    ///
    /// # Safety
    /// A query that has been started.
    pub unsafe fn of(query: *mut pg_sys::QueryDesc) -> Self {
        // PostgreSQL 14 has no MERGE.
        #[cfg(feature = "pg14")]
        {
            let _ = query;
            Writing::Other
        }
        #[cfg(not(feature = "pg14"))]
        // SAFETY: a query has a plan; its result relations are numbers of its range table, partitions and their root among
        // them.
        unsafe {
            let plan = (*query).plannedstmt;
            if (*plan).commandType != pg_sys::CmdType::CMD_MERGE {
                return Writing::Other;
            }
            let targets = PgList::<pg_sys::RangeTblEntry>::from_pg((*plan).rtable);
            let is_partitioned = |index: i32| {
                let target = usize::try_from(index - 1).ok().and_then(|place| targets.get_ptr(place));
                target.is_some_and(|target| (*target).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE)
            };
            let results = PgList::<i32>::from_pg((*plan).resultRelations);
            Writing::Merge { into_parts: results.iter_int().any(is_partitioned) }
        }
    }
}

/// Whether it is one, or may be one, because the library was loaded when its triggers had begun to fire.
pub fn may_be_merge() -> bool {
    execution::finishing().is_none_or(|writing| writing != Writing::Other)
}

/// Whether it is one that writes to a partitioned table. Its statement triggers for INSERT and DELETE, which fire only if it
/// has such actions, are shown rows that were moved beside those that came and went; row triggers fire for all of these.
pub fn is_merge_into_parts() -> bool {
    execution::finishing() == Some(Writing::Merge { into_parts: true })
}
