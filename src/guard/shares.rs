//! Keeping shares in step with their documents: they go with them, and follow them to other names.
//!
//! A share gives what no rule gives, and one that outlives its document would open the next document of that name. So shares
//! are looked for as they are now: one that was committed after the transaction's snapshot was taken goes like any other.

use std::collections::HashMap;

use pgrx::pg_sys;

use crate::catalog::load::Site;
use crate::catalog::scan::{Key, NewestSnapshot, Table};
use crate::catalog::statement::{Argument, Sees, run_as_owner};
use crate::catalog::{document, values};

/// Up to how many names are looked up one by one, before a statement is planned for all of them. Most documents are not
/// shared.
const FEW: usize = 1_000;

/// Deletes the shares of documents that are gone.
pub fn forget(site: &Site, doctype: &str, names: &[String]) {
    let naming = Naming::of(site, doctype);
    let names = naming.shared_among(doctype, names);
    if names.is_empty() {
        return;
    }
    let is_gone = naming.is("s.document", &format!("ANY ({})", naming.all("$2")));
    let sql = format!("DELETE FROM docperm.shares AS s WHERE s.doctype = $1 AND {is_gone}");
    let arguments = [Argument::Text(doctype), Argument::Texts(&names)];
    run_as_owner(&Table::own("shares"), Sees::Newest, &sql, &arguments);
}

/// Lets shares follow documents to their new names: pairs of the old and the new name, all of one statement.
///
/// No other document should have the new name, so what is shared under it is of none that exists. Where it is not certain
/// whose a share is, because several documents had the one name or have the other, it becomes nobody's.
pub fn follow(site: &Site, doctype: &str, renamed: Vec<(String, String)>) {
    let naming = Naming::of(site, doctype);
    let affected: Vec<String> = renamed.iter().flat_map(|(old, new)| [old.clone(), new.clone()]).collect();
    let affected = naming.shared_among(doctype, &affected);
    if affected.is_empty() {
        return;
    }
    let (old, new): (Vec<_>, Vec<_>) = certain(renamed).into_iter().unzip();
    // All are taken out first, because two documents may have exchanged their names.
    let sql = format!(
        "WITH taken AS (
             DELETE FROM docperm.shares AS s WHERE s.doctype = $1 AND {}
          RETURNING s.*
         )
         INSERT INTO docperm.shares AS s (id, doctype, document, user_name, everyone, rights)
         SELECT t.id, t.doctype, r.new_name, t.user_name, t.everyone, t.rights
           FROM unnest(ARRAY(SELECT ROW (g.*)::docperm.shares FROM taken AS g)) AS t
           JOIN unnest($3, $4) AS r (old_name, new_name) ON {}
      RETURNING s.document",
        naming.is("s.document", &format!("ANY ({})", naming.all("$2"))),
        naming.is("t.document", &naming.one("r.old_name"))
    );
    let arguments =
        [Argument::Text(doctype), Argument::Texts(&affected), Argument::Texts(&old), Argument::Texts(&new)];
    let moved = run_as_owner(&Table::own("shares"), Sees::Newest, &sql, &arguments);
    let moved: Vec<String> = moved.into_iter().flatten().flatten().collect();
    // A trigger of somebody else's may have done more to the document, and no index keeps names apart that are in
    // different partitions.
    let is_one = |name: &String| count(site, doctype, name) == 1;
    let unclear = if moved.len() <= FEW {
        moved.into_iter().filter(|name| !is_one(name)).collect()
    } else {
        naming.with_documents(site, doctype, &moved, "<> 1")
    };
    forget(site, doctype, &unclear);
}

/// Deletes the shares of documents that are not in the doctype's table.
pub fn forget_stale(site: &Site, doctype: &str) {
    if !site.relations.contains_key(doctype) {
        return;
    }
    forget_gone(site, doctype, &shared(doctype));
}

/// Deletes the shares of documents that are not in the doctype's table, or that have been written since a command of this
/// transaction: after something was deleted it is not certain that these are the documents that were shared.
pub fn forget_uncertain(site: &Site, doctype: &str, since: pg_sys::CommandId) {
    forget_stale(site, doctype);
    let snapshot = NewestSnapshot::take();
    let is_written = |name: &String| {
        let mut is_written = false;
        document::find_as_of(site, doctype, name, snapshot.as_raw(), |row| {
            is_written |= row.is_written_since(since)
        });
        is_written
    };
    let written: Vec<String> = shared(doctype).into_iter().filter(is_written).collect();
    if !written.is_empty() {
        forget(site, doctype, &written);
    }
}

/// The names under which documents of the doctype are shared.
fn shared(doctype: &str) -> Vec<String> {
    let mut names = vec![];
    Table::own("shares").scan_where(&[Key::Text("doctype", doctype)], &NewestSnapshot::take(), |row| {
        names.extend(row.text("document"));
    });
    names
}

/// Deletes the shares of those of the documents that are not in the doctype's table.
pub fn forget_gone(site: &Site, doctype: &str, names: &[String]) {
    if !names.is_empty() {
        let gone = Naming::of(site, doctype).with_documents(site, doctype, names, "= 0");
        forget(site, doctype, &gone);
    }
}

/// Renames of which each has its old and its new name to itself.
fn certain(renamed: Vec<(String, String)>) -> Vec<(String, String)> {
    let (mut olds, mut news) = (HashMap::<String, usize>::new(), HashMap::<String, usize>::new());
    for (old, new) in &renamed {
        *olds.entry(old.clone()).or_default() += 1;
        *news.entry(new.clone()).or_default() += 1;
    }
    renamed.into_iter().filter(|(old, new)| olds[old] == 1 && news[new] == 1).collect()
}

/// How many documents have that name now.
fn count(site: &Site, doctype: &str, name: &str) -> usize {
    let mut count = 0;
    document::find_as_of(site, doctype, name, NewestSnapshot::take().as_raw(), |_| count += 1);
    count
}

/// How the names of a doctype's documents compare: as texts or, because numbers can be written in more ways than one, as
/// numbers.
struct Naming {
    number: Option<&'static str>,
}

impl Naming {
    fn of(site: &Site, doctype: &str) -> Self {
        let table = document::table_of(site, doctype);
        let column = &site.model.doctypes[doctype].name_column;
        let number = match values::base_type(table.registered_attribute(column, doctype).atttypid) {
            pg_sys::NUMERICOID => Some("numeric"),
            pg_sys::FLOAT4OID => Some("float4"),
            pg_sys::FLOAT8OID => Some("float8"),
            _ => None,
        };
        Naming { number }
    }

    /// A text, as what it is compared as.
    fn one(&self, text: &str) -> String {
        self.number.map_or_else(|| text.to_owned(), |number| format!("{text}::{number}"))
    }

    /// An array of texts, likewise.
    fn all(&self, texts: &str) -> String {
        self.number.map_or_else(|| texts.to_owned(), |number| format!("{texts}::{number}[]"))
    }

    /// The condition that a text is the name that the other side of the comparison is.
    fn is(&self, text: &str, other: &str) -> String {
        format!("{} = {other}", self.one(text))
    }

    /// Those of the names under which something is shared, as far as it is worth looking.
    fn shared_among(&self, doctype: &str, names: &[String]) -> Vec<String> {
        if self.number.is_some() || names.len() > FEW {
            return names.to_vec();
        }
        let (table, snapshot) = (Table::own("shares"), NewestSnapshot::take());
        let is_shared = |name: &str| {
            table.any_where(&[Key::Text("doctype", doctype), Key::Text("document", name)], &snapshot)
        };
        names.iter().filter(|name| is_shared(name)).cloned().collect()
    }

    /// Those of the names that so many documents have now.
    fn with_documents(&self, site: &Site, doctype: &str, names: &[String], how_many: &str) -> Vec<String> {
        let table = document::table_of(site, doctype);
        let column = &site.model.doctypes[doctype].name_column;
        let key_type = values::base_type(table.registered_attribute(column, doctype).atttypid);
        let column = format!("t.{}", values::quoted(column));
        let name = match (self.number, key_type) {
            (Some(number), _) => format!("{column}::{number}"),
            (None, pg_sys::BPCHAROID) => format!("rtrim(format('%s', {column}), ' ')"),
            (None, _) => format!("format('%s', {column})"),
        };
        let sql = format!(
            "SELECT n.name
               FROM (SELECT DISTINCT g.name FROM unnest($1) AS g (name)) AS n
               LEFT JOIN {} AS t ON {}
              GROUP BY n.name
             HAVING count(t.tableoid) {how_many}",
            table.qualified_name(),
            self.is("n.name", &name)
        );
        let rows = run_as_owner(&table, Sees::Newest, &sql, &[Argument::Texts(names)]);
        rows.into_iter().flatten().flatten().collect()
    }
}
