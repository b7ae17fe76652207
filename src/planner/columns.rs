//! The refusal of statements that touch columns above the level of whoever acts.
//!
//! PostgreSQL notes with every table of a query which columns the statement reads and writes, for the sake of privileges on
//! columns. Here the same notes are read for the sake of levels, once, before the statement is planned, so that it costs
//! nothing per row. What policies need is not in them: a link above the level of a user restricts him all the same.
//!
//! Columns are checked where rows are: wherever PostgreSQL applies row-level security to the table for the role in whose name
//! it is read.

use pgrx::pg_sys;

use super::assigned::Assigned;
use super::walk::items;
use crate::catalog::attribute_set::numbers;
use crate::catalog::cache::Authority;
use crate::catalog::closed::{ClosedAttribute, closed_attributes};
use crate::catalog::load::Site;
use crate::catalog::scan::Table;
use crate::fault::{Fault, OrRaise};
use crate::rules::FieldLevelWrite;

/// A table of a query some of whose columns are above level 0.
pub struct Leveled {
    query: *mut pg_sys::Query,
    entry: *mut pg_sys::RangeTblEntry,
    doctype: String,
}

/// Those tables of the queries.
///
/// # Safety
/// Query trees.
pub unsafe fn leveled(queries: &[*mut pg_sys::Query], site: &Site) -> Vec<Leveled> {
    if !site.has_levels {
        return vec![];
    }
    // SAFETY: as demanded of the caller.
    unsafe {
        let entries = queries
            .iter()
            .flat_map(|query| items::<pg_sys::RangeTblEntry>((**query).rtable).map(|entry| (*query, entry)));
        entries.filter_map(|(query, entry)| Leveled::of(query, entry, site)).collect()
    }
}

/// The same of one table of a query that is being planned, and of the row that an INSERT proposes for it (`excluded`).
///
/// # Safety
/// A query tree, and the number of a table in it.
pub unsafe fn leveled_in_planning(query: *mut pg_sys::Query, table: i32, site: &Site) -> Vec<Leveled> {
    // SAFETY: as demanded of the caller.
    unsafe {
        let conflict = (*query).onConflict.as_ref().filter(|_| (*query).resultRelation == table);
        let numbers = [Some(table), conflict.map(|conflict| conflict.exclRelIndex)];
        let entry = |number: i32| {
            let index = usize::try_from(number).ok()?.checked_sub(1)?;
            items::<pg_sys::RangeTblEntry>((*query).rtable).nth(index)
        };
        let entries = numbers.into_iter().flatten().filter_map(entry);
        entries.filter_map(|entry| Leveled::of(query, entry, site)).collect()
    }
}

impl Leveled {
    /// Looks at one entry of the query's range table.
    ///
    /// # Safety
    /// A query tree and an entry of its range table.
    unsafe fn of(query: *mut pg_sys::Query, entry: *mut pg_sys::RangeTblEntry, site: &Site) -> Option<Self> {
        // SAFETY: as demanded of the caller; a look-up.
        unsafe {
            let relation = ((*entry).rtekind == pg_sys::RTEKind::RTE_RELATION).then_some((*entry).relid)?;
            let doctype = site.doctypes.get(&relation)?;
            if !site.model.doctypes.get(doctype)?.has_levels() {
                return None;
            }
            let status = pg_sys::check_enable_rls(relation, reader(query, entry), true);
            let is_filtered = status == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32;
            is_filtered.then(|| Leveled { query, entry, doctype: doctype.clone() })
        }
    }

    /// Refuses the statement if it touches a column of the table that is closed to the user; what it sets in such a column it
    /// does not set if `field_level_write` says so.
    ///
    /// # Safety
    /// The query has not been planned yet.
    pub unsafe fn require_open(&self, authority: &Authority) {
        // SAFETY: as demanded of the caller.
        unsafe {
            let Some(table) = Table::open((*self.entry).relid) else { return };
            let touched = touched(self.query, self.entry);
            let read = numbers(touched.selected);
            let closed = |ptype| closed_attributes(authority, &table, &self.doctype, ptype).or_raise();
            if !read.is_empty() {
                let is_read = |column: &&ClosedAttribute| read.contains(&0) || read.contains(&column.number);
                if let Some(column) = closed("read").iter().find(is_read) {
                    self.refuse(authority, column, "read");
                }
            }
            if !self.is_written() {
                return;
            }
            let updated = numbers(touched.updated);
            let set = Assigned { query: self.query, table: &table };
            for column in &closed("write") {
                let (inserts, updates) = (set.inserts(column.number), updated.contains(&column.number));
                if !inserts && !updates {
                    continue;
                }
                match authority.site.model.field_level_write {
                    FieldLevelWrite::Reset => set.reset(column.number),
                    FieldLevelWrite::Refuse if updates || !set.gets_default(column.number) => {
                        self.refuse(authority, column, "write")
                    }
                    FieldLevelWrite::Refuse => {}
                }
            }
        }
    }

    /// The query writes to the table. (`excluded` is another entry, though of the same table.)
    unsafe fn is_written(&self) -> bool {
        // SAFETY: a query tree and an entry of its range table.
        unsafe {
            let index =
                usize::try_from((*self.query).resultRelation).ok().and_then(|number| number.checked_sub(1));
            let written =
                index.and_then(|index| items::<pg_sys::RangeTblEntry>((*self.query).rtable).nth(index));
            written == Some(self.entry)
        }
    }

    fn refuse(&self, authority: &Authority, closed: &ClosedAttribute, right: &str) -> ! {
        let (user, doctype) = (&authority.user, &self.doctype);
        let ClosedAttribute { column, level, made_of, .. } = closed;
        let definition = &authority.site.model.doctypes[doctype];
        let whose = match &definition.parentage {
            Some(parentage) => {
                parentage.doctype.as_deref().unwrap_or("every doctype that its rows may belong to")
            }
            None => doctype,
        };
        let what = match made_of {
            Some(source) => format!("{column} is made of {source}, which is of level {level}. "),
            None => String::new(),
        };
        let hint = match right {
            "read" => format!(
                "Name the columns that are needed, or read a view made by docperm.create_readable_view(). A rule of {whose} with permlevel {level} opens the column."
            ),
            _ => format!(
                "Leave the column out. A rule of {whose} with permlevel {level} opens it; with field_level_write = 'reset' in docperm.settings it keeps what is stored."
            ),
        };
        Fault::denied(format!(
            "user \"{user}\" may not {right} column \"{column}\" of {doctype}, which has level {level}"
        ))
        .detail(format!("{what}No rule of {whose} grants {right} on level {level} to a role of {user}."))
        .hint(hint)
        .raise()
    }
}

/// The columns of a table that a statement reads and updates, as PostgreSQL has noted them.
///
/// Those of new rows are not taken from its notes: the default that a column has in a view is not in them.
struct Touched {
    selected: *mut pg_sys::Bitmapset,
    updated: *mut pg_sys::Bitmapset,
}

#[cfg(any(feature = "pg14", feature = "pg15"))]
type Notes = pg_sys::RangeTblEntry;
#[cfg(not(any(feature = "pg14", feature = "pg15")))]
type Notes = pg_sys::RTEPermissionInfo;

/// Where PostgreSQL has noted it; NULL where it has not.
#[cfg(any(feature = "pg14", feature = "pg15"))]
unsafe fn notes(_query: *mut pg_sys::Query, entry: *mut pg_sys::RangeTblEntry) -> *mut Notes {
    entry
}

/// Where PostgreSQL has noted it; NULL where it has not.
#[cfg(not(any(feature = "pg14", feature = "pg15")))]
unsafe fn notes(query: *mut pg_sys::Query, entry: *mut pg_sys::RangeTblEntry) -> *mut Notes {
    // SAFETY: the number counts the query's notes from 1; 0 is none.
    unsafe {
        let number = (*entry).perminfoindex as usize;
        let mut all = items::<pg_sys::RTEPermissionInfo>((*query).rteperminfos);
        number.checked_sub(1).and_then(|index| all.nth(index)).unwrap_or(std::ptr::null_mut())
    }
}

/// The role in whose name the table is read; none for the current one.
unsafe fn reader(query: *mut pg_sys::Query, entry: *mut pg_sys::RangeTblEntry) -> pg_sys::Oid {
    // SAFETY: an entry of the query's range table.
    unsafe { notes(query, entry).as_ref().map_or(pg_sys::InvalidOid, |notes| notes.checkAsUser) }
}

unsafe fn touched(query: *mut pg_sys::Query, entry: *mut pg_sys::RangeTblEntry) -> Touched {
    let none = std::ptr::null_mut();
    // SAFETY: an entry of the query's range table.
    unsafe {
        match notes(query, entry).as_ref() {
            Some(notes) => Touched { selected: notes.selectedCols, updated: notes.updatedCols },
            None => Touched { selected: none, updated: none },
        }
    }
}

/// Notes that the query reads these columns of the table and no others.
///
/// # Safety
/// A query tree that is about to be planned, an entry of its range table, and a set of columns that lives as long.
pub unsafe fn note_read(
    query: *mut pg_sys::Query,
    entry: *mut pg_sys::RangeTblEntry,
    columns: *mut pg_sys::Bitmapset,
) {
    // SAFETY: as demanded of the caller.
    unsafe {
        if let Some(notes) = notes(query, entry).as_mut() {
            notes.selectedCols = columns;
        }
    }
}
