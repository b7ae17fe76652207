//! Statement triggers that would have nothing to do.
//!
//! A trigger with transition tables is paid for before it fires: PostgreSQL copies each row into them. Most statements give no
//! document another name, most documents are not shared, and most child tables have a foreign key. Where this can be told
//! when a statement starts, its triggers of [`triggers`](super::triggers) are taken out of this one execution.
//!
//! - A name, an owner or a time of creation stays if the statement does not assign its column and no trigger of somebody else's
//!   sees the new row beforehand.
//! - Child rows wait for no new document if foreign keys hold all of them.
//! - That nothing of a doctype is shared is known ([`unshared`]) when a statement starts, and is asked again when it has run. If
//!   something is shared by then, what the trigger would have done for the documents that went is done for all of the doctype
//!   that are not there, or not certainly the same.

use std::ffi::CStr;
use std::rc::Rc;

use pgrx::{PgList, pg_sys};

use super::{orphans, shares, unshared};
use crate::catalog::cache;
use crate::catalog::load::Site;
use crate::catalog::scan::attribute_named;
use crate::catalog::trigger_call::first_argument;

/// Takes the triggers that have nothing to do out of a query that has just been started.
///
/// # Safety
/// Such a query, before it is run.
pub unsafe fn silence(query: *mut pg_sys::QueryDesc) {
    // SAFETY: as demanded of the caller.
    unsafe {
        for writing in writings(query) {
            if let Some(target) = Target::of(writing) {
                target.silence();
            }
        }
    }
}

/// Looks whether the guesses that were made when the query started have come true.
///
/// # Safety
/// A query that has been run, before it is ended.
pub unsafe fn make_up(query: *mut pg_sys::QueryDesc) {
    // SAFETY: as demanded of the caller.
    unsafe {
        for writing in writings(query) {
            let Some(target) = Target::of(writing).filter(Target::has_silenced_deletion) else { continue };
            for doctype in target.watched_for_deletion() {
                if unshared::is_shared(&doctype) {
                    // What it deleted is gone as of the command that it is, and a part of it, a function or a trigger may
                    // have made another document of that name.
                    shares::forget_uncertain(&cache::site(), &doctype, (*(*query).estate).es_output_cid);
                }
            }
        }
    }
}

/// The parts of a query that write: itself, and those of its WITH.
unsafe fn writings(query: *mut pg_sys::QueryDesc) -> impl Iterator<Item = *mut pg_sys::ModifyTableState> {
    // SAFETY: a query that has been started has its state; the tag tells what a node is.
    unsafe {
        let own = (*query).planstate;
        let own = (!own.is_null() && (*own).type_ == pg_sys::NodeTag::T_ModifyTableState).then(|| own.cast());
        let others = PgList::<pg_sys::ModifyTableState>::from_pg((*(*query).estate).es_auxmodifytables);
        own.into_iter().chain(others.iter_ptr().collect::<Vec<_>>())
    }
}

/// The table that one of them writes to: of its own, neither partitioned nor a partition.
struct Target {
    writing: *mut pg_sys::ModifyTableState,
    relation: pg_sys::Relation,
    /// What fires in this execution.
    triggers: *mut pg_sys::TriggerDesc,
}

impl Target {
    /// `None` where this module leaves everything as it is.
    unsafe fn of(writing: *mut pg_sys::ModifyTableState) -> Option<Self> {
        // SAFETY: the state of a part that writes, whose relations are open until the query ends.
        unsafe {
            let root = (*writing).rootResultRelInfo;
            if (*writing).mt_nrels != 1 || root != (*writing).resultRelInfo {
                return None;
            }
            let (relation, triggers) = ((*root).ri_RelationDesc, (*root).ri_TrigDesc);
            let class = &*(*relation).rd_rel;
            let is_plain = class.relkind as u8 == pg_sys::RELKIND_RELATION && !class.relispartition;
            (is_plain && !triggers.is_null()).then_some(Target { writing, relation, triggers })
        }
    }

    unsafe fn silence(&self) {
        // SAFETY: `triggers` is the copy that PostgreSQL made for this execution (InitResultRelInfo in execMain.c), and
        // nobody has used it yet. Without the flag no event is made for the trigger; without the capture no row is copied,
        // which other triggers with transition tables need, wherefore there are none.
        unsafe {
            use pg_sys::CmdType::{CMD_DELETE, CMD_INSERT, CMD_UPDATE};
            let triggers = &mut *self.triggers;
            match (*self.writing).operation {
                CMD_INSERT if !self.writes_on_conflict() && self.is_idle(pg_sys::TRIGGER_TYPE_INSERT) => {
                    triggers.trig_insert_after_statement = false;
                    triggers.trig_insert_new_table = false;
                }
                CMD_UPDATE => {
                    if self.keeps_constants() {
                        triggers.trig_update_after_row = false;
                    }
                    if !self.is_idle(pg_sys::TRIGGER_TYPE_UPDATE) {
                        return;
                    }
                    triggers.trig_update_after_statement = false;
                    triggers.trig_update_old_table = false;
                    triggers.trig_update_new_table = false;
                }
                CMD_DELETE if self.is_idle(pg_sys::TRIGGER_TYPE_DELETE) => {
                    triggers.trig_delete_after_statement = false;
                    triggers.trig_delete_old_table = false;
                }
                _ => return,
            }
            (*self.writing).mt_transition_capture = std::ptr::null_mut();
        }
    }

    /// Whether the event's only statement trigger is docperm's, and has nothing to do.
    unsafe fn is_idle(&self, event: u32) -> bool {
        // SAFETY: as of `silence`.
        unsafe {
            let concerned = self.all().filter(|trigger| {
                let kind = trigger.tgtype as u32;
                let is_after_statement = kind
                    & (pg_sys::TRIGGER_TYPE_ROW | pg_sys::TRIGGER_TYPE_BEFORE | pg_sys::TRIGGER_TYPE_INSTEAD)
                    == 0;
                let has_transition_table = !trigger.tgoldtable.is_null() || !trigger.tgnewtable.is_null();
                kind & event != 0 && (is_after_statement || has_transition_table)
            });
            let Some((only, doctype, site)) = self.only_of(concerned) else { return false };
            let functions = &site.trigger_functions;
            match event {
                pg_sys::TRIGGER_TYPE_INSERT => {
                    only.tgfoid == functions.documents_created && !orphans::may_wait(doctype)
                }
                pg_sys::TRIGGER_TYPE_UPDATE => {
                    only.tgfoid == functions.documents_renamed
                        && self.keeps(&site, &[&site.model.doctypes[doctype].name_column])
                }
                _ => only.tgfoid == functions.documents_deleted && !unshared::is_shared(doctype),
            }
        }
    }

    /// Whether the UPDATE's only row trigger that fires afterwards is docperm's for the owner and the time of creation, and
    /// both stay.
    unsafe fn keeps_constants(&self) -> bool {
        // SAFETY: as of `silence`.
        unsafe {
            let after = self.all().filter(|trigger| {
                let kind = trigger.tgtype as u32;
                kind & pg_sys::TRIGGER_TYPE_BEFORE == 0
                    && kind & pg_sys::TRIGGER_TYPE_ROW != 0
                    && kind & pg_sys::TRIGGER_TYPE_UPDATE != 0
            });
            let Some((only, doctype, site)) = self.only_of(after) else { return false };
            let doctype = &site.model.doctypes[doctype];
            let constants = doctype.owner_column.iter().chain(&doctype.stamps.creation);
            only.tgfoid == site.trigger_functions.keep_constants
                && self.keeps(&site, &constants.map(String::as_str).collect::<Vec<_>>())
        }
    }

    /// The trigger, if it is the only one, and docperm's for the doctype whose table this is.
    fn only_of<'t>(
        &self,
        mut triggers: impl Iterator<Item = &'t pg_sys::Trigger>,
    ) -> Option<(&'t pg_sys::Trigger, &'t str, Rc<Site>)> {
        let only = triggers.next().filter(|trigger| has_own_name(trigger))?;
        if triggers.next().is_some() {
            return None;
        }
        let site = cache::site();
        let doctype = first_argument(only).filter(|doctype| self.holds(&site, doctype))?;
        Some((only, doctype, site))
    }

    /// The UPDATE leaves these columns as they are.
    unsafe fn keeps(&self, site: &Site, columns: &[&str]) -> bool {
        // SAFETY: as of `silence`; the sets are made in the memory of the query.
        unsafe {
            let may_change_rows = |trigger: &pg_sys::Trigger| {
                let before =
                    pg_sys::TRIGGER_TYPE_ROW | pg_sys::TRIGGER_TYPE_BEFORE | pg_sys::TRIGGER_TYPE_UPDATE;
                trigger.tgtype as u32 & before == before
                    && trigger.tgfoid != site.trigger_functions.write_document
            };
            if self.all().any(may_change_rows) {
                return false;
            }
            let (target, state) = ((*self.writing).rootResultRelInfo, (*self.writing).ps.state);
            let (assigned, computed) =
                (pg_sys::ExecGetUpdatedCols(target, state), pg_sys::ExecGetExtraUpdatedCols(target, state));
            columns.iter().all(|column| {
                self.attribute(column).is_some_and(|number| {
                    let member = i32::from(number) - pg_sys::FirstLowInvalidHeapAttributeNumber;
                    !pg_sys::bms_is_member(member, assigned) && !pg_sys::bms_is_member(member, computed)
                })
            })
        }
    }

    /// The DELETE's trigger is in the table and not in this execution.
    fn has_silenced_deletion(&self) -> bool {
        // SAFETY: the relation is open; its own description of its triggers is what the copy was made of.
        unsafe {
            let there = (*self.relation).trigdesc;
            (*self.writing).operation == pg_sys::CmdType::CMD_DELETE
                && !there.is_null()
                && (*there).trig_delete_after_statement
                && !(*self.triggers).trig_delete_after_statement
        }
    }

    unsafe fn writes_on_conflict(&self) -> bool {
        // SAFETY: the plan of the state.
        unsafe {
            let plan = (*self.writing).ps.plan.cast::<pg_sys::ModifyTable>();
            (*plan).onConflictAction == pg_sys::OnConflictAction::ONCONFLICT_UPDATE
        }
    }

    unsafe fn all(&self) -> impl Iterator<Item = &pg_sys::Trigger> {
        // SAFETY: an array of that many.
        unsafe {
            let count = (*self.triggers).numtriggers as usize;
            (0..count).map(|place| &*(*self.triggers).triggers.add(place))
        }
    }

    /// The doctypes that docperm's triggers for deleted documents name: one.
    unsafe fn watched_for_deletion(&self) -> Vec<String> {
        let function = cache::site().trigger_functions.documents_deleted;
        // SAFETY: as of `silence`.
        unsafe {
            let watching = self.all().filter(|trigger| {
                trigger.tgfoid == function && trigger.tgtype as u32 & pg_sys::TRIGGER_TYPE_DELETE != 0
            });
            watching.filter_map(first_argument).map(str::to_owned).collect()
        }
    }

    /// The table is that of the doctype.
    fn holds(&self, site: &Site, doctype: &str) -> bool {
        // SAFETY: open.
        let registered = site.doctypes.get(&unsafe { (*self.relation).rd_id });
        registered.is_some_and(|known| known == doctype) && site.model.doctypes.contains_key(doctype)
    }

    /// The number of a column.
    unsafe fn attribute(&self, column: &str) -> Option<i16> {
        // SAFETY: the descriptor of an open relation.
        unsafe {
            let descriptor = (*self.relation).rd_att;
            let attributes = (*descriptor).attrs.as_slice((*descriptor).natts as usize);
            attribute_named(attributes, column).map(|attribute| attribute.attnum)
        }
    }
}

/// The trigger has a name that docperm gives. Where no trigger has, its configuration is not looked at: the library may be loaded
/// in a database without the extension.
fn has_own_name(trigger: &pg_sys::Trigger) -> bool {
    // SAFETY: NUL-terminated.
    let name = unsafe { CStr::from_ptr(trigger.tgname) }.to_bytes();
    name.starts_with(b"docperm_document_") || name == b"docperm_keep_constants"
}
