//! Row triggers that tell what a change makes untrue. sql/invalidation.sql puts them on docperm's tables, and
//! docperm.protect() on tables that form a tree.

use pgrx::pg_sys;

use super::channel::Channel;
use super::trigger_call::TriggerCall;
use super::{cache, tree};
use crate::entry_point::entry_point;
use crate::rules::Doctype;

entry_point! {
    /// AFTER row or statement trigger on what is the same for all users: `docperm._site_changed()`.
    fn docperm_site_changed / pg_finfo_docperm_site_changed (fcinfo) {
        let call = TriggerCall::of(fcinfo);
        Channel::Site.invalidate();
        Channel::Mapping.invalidate();
        call.done()
    }
}

entry_point! {
    /// AFTER row trigger on a table about users; its argument names the column that holds the user:
    /// `docperm._user_changed('user_name')`. Without rows (TRUNCATE) it concerns everybody.
    fn docperm_user_changed / pg_finfo_docperm_user_changed (fcinfo) {
        let call = TriggerCall::of(fcinfo);
        let column = call.argument().unwrap_or("user_name");
        if column == "name" && call.keeps(&DECIDING) {
            return call.done();
        }
        let users = call.texts(column);
        for user in &users {
            Channel::User(user).invalidate();
        }
        if users.is_empty() {
            Channel::Site.invalidate();
            Channel::Mapping.invalidate();
        }
        if !call.texts("db_role").is_empty() {
            Channel::Mapping.invalidate();
        }
        call.done()
    }
}

/// The columns of a user's record that decide anything. A login changes others.
const DECIDING: [&str; 6] = ["name", "enabled", "db_role", "login_after", "login_before", "restrict_ip"];

entry_point! {
    /// AFTER row or statement trigger on sessions and API keys; its argument names the column that tells them apart:
    /// `docperm._session_changed('id')`. That one is used changes nothing.
    fn docperm_session_changed / pg_finfo_docperm_session_changed (fcinfo) {
        let call = TriggerCall::of(fcinfo);
        let column = call.argument().unwrap_or("id");
        if call.keeps(&[column, "user_name", "token_hash", "secret_hash", "expires_at", "client_address", "impersonated_by"]) {
            return call.done();
        }
        let changed = call.texts(column);
        for name in &changed {
            Channel::Session(name).invalidate();
        }
        if changed.is_empty() {
            Channel::Site.invalidate();
        }
        call.done()
    }
}

entry_point! {
    /// AFTER row or statement trigger on shares: `docperm._share_changed()`.
    fn docperm_share_changed / pg_finfo_docperm_share_changed (fcinfo) {
        let call = TriggerCall::of(fcinfo);
        let (users, doctypes) = (call.texts("user_name"), call.texts("doctype"));
        for user in &users {
            Channel::Shares(user).invalidate();
        }
        if users.len() < doctypes.len() {
            doctypes.iter().for_each(|doctype| Channel::SharedWithEveryone(doctype).invalidate());
        }
        // Who deletes a document must know by then that it is shared.
        doctypes.iter().for_each(|doctype| Channel::SharedWithEveryone(doctype).announce());
        if doctypes.is_empty() {
            Channel::Site.invalidate();
        }
        call.done()
    }
}

entry_point! {
    /// AFTER row or statement trigger on a table whose documents form a tree; its argument names the doctype:
    /// `docperm._tree_changed('Territory')`. It does nothing for an update that leaves the tree as it is, and refuses one that
    /// makes a node its own ancestor.
    fn docperm_tree_changed / pg_finfo_docperm_tree_changed (fcinfo) {
        let call = TriggerCall::of(fcinfo);
        let Some(name) = call.argument() else {
            Channel::Site.invalidate();
            return call.done();
        };
        let site = cache::site();
        let doctype = site.model.doctypes.get(name);
        if doctype.is_some_and(|doctype| call.keeps(&tree_columns(doctype))) {
            return call.done();
        }
        Channel::Tree(name).invalidate();
        if let Some(doctype) = doctype && !is_replica() {
            tree::refuse_cycle(&site, doctype, call.latest_text(&doctype.name_column));
        }
        call.done()
    }
}

fn tree_columns(doctype: &Doctype) -> Vec<&str> {
    let bounds = doctype.nested_set.iter().flat_map(|(left, right)| [left.as_str(), right.as_str()]);
    [doctype.name_column.as_str()]
        .into_iter()
        .chain(doctype.tree_parent_column.as_deref())
        .chain(bounds)
        .collect()
}

/// Changes come from elsewhere, where they were checked.
fn is_replica() -> bool {
    // SAFETY: a plain variable of the backend.
    unsafe { pg_sys::SessionReplicationRole == pg_sys::SESSION_REPLICATION_ROLE_REPLICA as i32 }
}
