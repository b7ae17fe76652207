//! Triggers on the tables of doctypes. docperm.protect() puts them there.

use std::collections::HashSet;

use pgrx::pg_sys;

use super::{history, links, merging, orphans, shares, unshared};
use crate::catalog::cache;
use crate::catalog::trigger_call::TriggerCall;
use crate::entry_point::entry_point;

entry_point! {
    /// AFTER statement trigger on the table of a doctype, with an old transition table or for TRUNCATE; its argument names the
    /// doctype: `docperm._documents_deleted('Sales Order')`. Shares go with their documents.
    fn docperm_documents_deleted / pg_finfo_docperm_documents_deleted (fcinfo) {
        let call = TriggerCall::of(fcinfo);
        let Some(doctype) = call.argument().filter(|doctype| unshared::is_shared(doctype)) else { return call.done() };
        let site = cache::site();
        if call.is_truncate() {
            // Perhaps only one partition of several.
            shares::forget_stale(&site, doctype);
        } else if merging::may_be_merge() && call.is_partitioned() {
            // Perhaps they are in another partition now.
            shares::forget_gone(&site, doctype, &call.old_names(&site, doctype));
        } else {
            shares::forget(&site, doctype, &call.old_names(&site, doctype));
        }
        call.done()
    }
}

entry_point! {
    /// AFTER UPDATE statement trigger on the table of a doctype, with both transition tables; its argument names the doctype:
    /// `docperm._documents_renamed('Sales Order')`. Shares follow documents that get another
    /// name; child rows that another document left behind do not become theirs.
    fn docperm_documents_renamed / pg_finfo_docperm_documents_renamed (fcinfo) {
        let call = TriggerCall::of(fcinfo);
        let Some(doctype) = call.argument() else { return call.done() };
        let site = cache::site();
        let (are_shared, checks) = (unshared::is_shared(doctype), orphans::concern(doctype, call.relation()));
        if !are_shared && !checks {
            return call.done();
        }
        let (old, new) = (call.old_names(&site, doctype), call.new_names(&site, doctype));
        if checks {
            let known: HashSet<&String> = old.iter().collect();
            let came: Vec<String> = new.iter().filter(|name| !known.contains(name)).cloned().collect();
            orphans::refuse(&site, doctype, &came);
        }
        if !are_shared {
            return call.done();
        }
        if old.len() == new.len() {
            let renamed = old.into_iter().zip(new).filter(|(old, new)| old != new).collect();
            shares::follow(&site, doctype, renamed);
        } else {
            // On its way to another partition a row was kept back by a trigger there, so which name became which is not
            // known.
            shares::forget(&site, doctype, &[old, new].concat());
        }
        if merging::may_be_merge() && call.is_partitioned() {
            shares::forget_stale(&site, doctype);
        }
        call.done()
    }
}

entry_point! {
    /// AFTER INSERT statement trigger on the table of a doctype, with a new transition table; its argument names the doctype:
    /// `docperm._documents_created('Sales Order')`. Child rows that another document left behind do not become theirs.
    fn docperm_documents_created / pg_finfo_docperm_documents_created (fcinfo) {
        let call = TriggerCall::of(fcinfo);
        let Some(doctype) = call.argument() else { return call.done() };
        let site = cache::site();
        if orphans::concern(doctype, call.relation()) {
            orphans::refuse(&site, doctype, &call.new_names(&site, doctype));
        }
        call.done()
    }
}

entry_point! {
    /// AFTER trigger on the table of a doctype, its argument: for the statement, INSERT with a new transition table or UPDATE
    /// with both, or for each row of a partitioned table's INSERT: `docperm._check_link_targets('Sales Order')`. Links lead to
    /// documents that the acting user may select.
    fn docperm_check_link_targets / pg_finfo_docperm_check_link_targets (fcinfo) {
        let call = TriggerCall::of(fcinfo);
        if let Some(doctype) = call.argument() {
            links::check(&call, doctype);
        }
        call.done()
    }
}

entry_point! {
    /// AFTER trigger on the table of a doctype, its argument: for the statement, with transition tables, or for each row that a
    /// partitioned table's INSERT and DELETE: `docperm._record_changes('Sales Order')`. Writes the history.
    fn docperm_record_changes / pg_finfo_docperm_record_changes (fcinfo) {
        let call = TriggerCall::of(fcinfo);
        if let Some(doctype) = call.argument() {
            history::record(&call, &cache::site(), doctype);
        }
        call.done()
    }
}

entry_point! {
    /// `docperm._note_gone(text)`, strict: closes the history of documents that are not in the doctype's table.
    fn docperm_note_gone / pg_finfo_docperm_note_gone (fcinfo) {
        // SAFETY: declared strict with one text.
        let doctype = unsafe { pgrx::pg_getarg::<&str>(fcinfo, 0) }.unwrap_or_default();
        history::note_gone(&cache::site(), doctype);
        pg_sys::Datum::from(0)
    }
}

entry_point! {
    /// `docperm._drop_stale_shares(text)`, strict: deletes the shares of documents that are not in the doctype's table.
    fn docperm_drop_stale_shares / pg_finfo_docperm_drop_stale_shares (fcinfo) {
        // SAFETY: declared strict with one text.
        let doctype = unsafe { pgrx::pg_getarg::<&str>(fcinfo, 0) }.unwrap_or_default();
        if unshared::is_shared(doctype) {
            shares::forget_stale(&cache::site(), doctype);
        }
        pg_sys::Datum::from(0)
    }
}
