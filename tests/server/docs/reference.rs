//! docs/reference.md, written from the catalog: signatures, columns, defaults and comments as they are.

use std::fmt::Write as _;

use postgres::Client;

use crate::support::table;

/// The document as it should be.
pub fn reference(admin: &mut Client) -> String {
    // Settings that the library defines are known once it is loaded.
    table(admin, "SELECT docperm.whoami()");
    let mut text = HEAD.to_owned();
    functions(admin, &mut text);
    tables(admin, &mut text);
    settings(admin, &mut text);
    text
}

const HEAD: &str = "# Reference

Written from the catalog by a test (`docs::the_reference_is_what_the_catalog_says`): every function, table, view and setting of
docperm, with the comments that `\\df+`, `\\d+` and `SHOW` give as well. The README has [those that one needs first](../README.md#reference).

## Functions

All in the schema `docperm`. Arguments are called by name. *Everybody* may call what says so; it looks at who is acting. The
others are granted to nobody at first.

";

/// In a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn functions(admin: &mut Client, text: &mut String) {
    let sql = r"
        SELECT p.proname || '(' || pg_get_function_arguments(p.oid) || ')',
               CASE WHEN p.proretset THEN regexp_replace(pg_get_function_result(p.oid), '^(TABLE|SETOF )', 'table ') ELSE pg_get_function_result(p.oid) END,
               CASE WHEN has_function_privilege('public', p.oid, 'EXECUTE') THEN 'everybody' ELSE '' END,
               obj_description(p.oid, 'pg_proc')
          FROM pg_proc p
         WHERE p.pronamespace = 'docperm'::regnamespace AND p.proname !~ '^_' AND p.prokind IN ('f', 'p')
         ORDER BY p.proname, p.pronargs";
    text.push_str("| function | returns | who | what it does |\n|---|---|---|---|\n");
    for row in table(admin, sql) {
        let signature = row[0]
            .replace("::text[]", "")
            .replace("::text", "")
            .replace("::name", "")
            .replace("NULL::", "NULL ")
            .replace(" DEFAULT ", " = ");
        let signature = without_types_of_null(&signature);
        let _ =
            writeln!(text, "| `{}` | {} | {} | {} |", cell(&signature), cell(&row[1]), row[2], cell(&row[3]));
    }
}

/// `NULL timestamp with time zone` is NULL.
fn without_types_of_null(signature: &str) -> String {
    let mut parts = signature.split("NULL ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("NULL");
        text.push_str(part.find([',', ')']).map_or("", |end| &part[end..]));
    }
    text
}

fn tables(admin: &mut Client, text: &mut String) {
    text.push_str(
        "\n## Tables and views\n\nThey are the truth: plain INSERT, UPDATE and DELETE is a supported way to administer. Nobody but superusers has\nprivileges on them until you grant some ([`grant_administration`](#functions) does).\n",
    );
    let sql = "SELECT c.relname, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END, obj_description(c.oid, 'pg_class')
                 FROM pg_class c
                WHERE c.relnamespace = 'docperm'::regnamespace AND c.relkind IN ('r', 'v', 'p') AND c.relname !~ '^_'
                ORDER BY c.relname";
    for found in table(admin, sql) {
        let [name, kind, comment] = &found[..] else { unreachable!() };
        let _ =
            writeln!(text, "\n### {name}\n\n{}: {comment}.\n", if kind == "view" { "View" } else { "Table" });
        text.push_str("| column | type | meaning |\n|---|---|---|\n");
        let columns = format!(
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod),
                    CASE WHEN a.attgenerated = '' AND a.attidentity = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
                    col_description(a.attrelid, a.attnum)
               FROM pg_attribute a
               LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
              WHERE a.attrelid = 'docperm.{name}'::regclass AND a.attnum > 0 AND NOT a.attisdropped
              ORDER BY a.attnum"
        );
        for column in table(admin, &columns) {
            let value = if column[2] == "NULL" { String::new() } else { format!(" = {}", plain(&column[2])) };
            let _ =
                writeln!(text, "| `{}{}` | {} | {} |", column[0], cell(&value), column[1], cell(&column[3]));
        }
    }
}

/// A default without the casts that PostgreSQL adds.
fn plain(expression: &str) -> String {
    match expression.strip_prefix('\'').and_then(|rest| rest.split_once("'::")) {
        Some((value, _)) => format!("'{value}'"),
        None => expression.to_owned(),
    }
}

fn settings(admin: &mut Client, text: &mut String) {
    text.push_str("\n## Settings of the server\n\n| setting | who may set it | meaning |\n|---|---|---|\n");
    let sql = "SELECT name, CASE context WHEN 'superuser' THEN 'superusers' WHEN 'user' THEN 'everybody' ELSE context END,
                      concat_ws('. ', short_desc, extra_desc)
                 FROM pg_settings WHERE name LIKE 'docperm.%' ORDER BY name";
    for row in table(admin, sql) {
        let _ = writeln!(text, "| `{}` | {} | {} |", row[0], row[1], cell(&row[2]));
    }
}
