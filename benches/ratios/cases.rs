//! The wider permission model: child tables and shares, alone and beside user permissions; readable views.
//!
//! Each case is one kind of user with the queries that show what it costs. What an expert writes by hand for it is one
//! more condition of the query, often in two ways of which the faster counts.

use crate::Result;
use crate::contest::{Contest, Form};
use crate::data::{self, LINKS};
use crate::docperm;
use crate::options::Options;
use crate::queries::{CHILD_QUERIES, Handwritten, PARENT_QUERIES, QUERIES, Query, READABLE_QUERIES, Table};
use crate::server::Server;
use crate::wire::Wire;

/// A semi-join is tried beside a literal array from this size on.
const SEMI_JOIN_FROM: usize = 1_000;

/// What docperm may take, in times of the hand-written query.
pub const MOST: f64 = 1.10;

/// What a readable view may take.
pub const MOST_OF_VIEWS: f64 = 1.05;

/// One kind of user.
pub struct Case {
    /// How the command line calls it, with others.
    pub key: &'static str,
    /// How the report calls it.
    pub title: &'static str,
    /// How many values are permitted, or documents shared.
    pub size: usize,
    /// The database role that docperm knows as that user.
    pub role: String,
    /// The ways to write it by hand: a condition, or none.
    pub conditions: Vec<(Form, Option<String>)>,
    /// What is asked.
    pub queries: Vec<&'static Query>,
    /// Where docperm's role finds the table.
    pub search_path: &'static str,
    /// What docperm may take.
    pub most: f64,
    /// The table that it is asked of.
    table: &'static str,
}

/// The keys of all cases.
pub const KEYS: [&str; 3] = ["children", "shares", "readable"];

/// Whether any case is to be measured, and whether churn, which needs their data, is.
pub fn wanted(options: &Options) -> bool {
    options.docperm && KEYS.iter().chain(&["churn"]).any(|key| options.wants(key))
}

/// Makes the tables, protects them, and makes the users of all cases.
pub fn install(server: &Server, admin: &mut Wire, options: &Options) -> Result<Vec<Case>> {
    let variables = [("rows", options.rows.to_string()), ("targets", data::TARGETS.to_string())];
    server.script(include_str!("cases.sql"), &variables)?;
    admin.run(
        "SELECT docperm.protect('erp.delivery', 'Delivery');
         SELECT docperm.protect('erp.delivery_item', 'Delivery Item', parent_doctype => 'Delivery', parent_column => 'parent');
         INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Delivery', 'Bench Reader', '{read}')",
    )?;
    let mut cases = children(admin)?;
    cases.extend(shares(admin, options)?);
    cases.extend(readable(admin)?);
    admin.run("GRANT SELECT ON ALL TABLES IN SCHEMA permit TO bench_plain")?;
    admin.run("VACUUM (ANALYZE) docperm.users, docperm.user_permissions, docperm.shares")?;
    Ok(cases)
}

/// Reading child rows, which follow their document, and documents, which follow the links in their rows.
fn children(admin: &mut Wire) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for size in [0, 100, 10_000] {
        let role = format!("bench_children_{size}");
        docperm::add_user(admin, &role, true)?;
        permit(admin, &role, 1, size)?;
        let exists =
            |own: &str| format!("EXISTS (SELECT FROM delivery p WHERE p.id = delivery_item.parent{own})");
        let conditions = if size == 0 {
            vec![(Form::SemiJoin, Some(exists("")))]
        } else {
            let mut ways = links(admin, 1, size, "p")?;
            for (_, condition) in &mut ways {
                *condition = exists(&format!(" AND {condition}"));
            }
            some(ways)
        };
        let title =
            if size == 0 { "child rows, unrestricted" } else { "child rows, parent's link restricted" };
        let table = "delivery_item";
        let queries = CHILD_QUERIES.iter().collect();
        let role_of_rows = role.clone();
        cases.push(Case {
            key: "children",
            title,
            size,
            role: role_of_rows,
            conditions,
            queries,
            table,
            ..in_erp()
        });
        if size == 0 {
            cases.push(Case {
                key: "children",
                title: "parents, no child column restricted",
                size,
                role,
                conditions: vec![(Form::Plain, None)],
                queries: PARENT_QUERIES.iter().collect(),
                table: "delivery",
                ..in_erp()
            });
        }
    }
    for size in [100, 10_000] {
        let role = format!("bench_items_{size}");
        docperm::add_user(admin, &role, true)?;
        // 95 of the 100 projects that items are of; the others are found in no item.
        admin.run(&format!(
            "CREATE TABLE permit.{role} AS SELECT id AS value FROM erp.project WHERE id <= 95 OR id BETWEEN 101 AND {size} + 5;
             ALTER TABLE permit.{role} ADD PRIMARY KEY (value);
             ANALYZE permit.{role};
             INSERT INTO docperm.user_permissions (user_name, allow, for_value)
             SELECT '{role}@example.com', 'Project', value::text FROM permit.{role}"
        ))?;
        let list = admin.value(&format!("SELECT string_agg(value::text, ',') FROM permit.{role}"))?;
        let not_exists = |refused: &str| {
            format!(
                "NOT EXISTS (SELECT FROM delivery_item i WHERE i.parent = delivery.id \
                   AND NOT ({refused} OR i.project IS NULL))"
            )
        };
        let mut ways =
            vec![(Form::AntiJoin, not_exists(&format!("i.project = ANY ('{{{list}}}'::integer[])")))];
        if size >= SEMI_JOIN_FROM {
            let set = format!("i.project IN (SELECT value FROM permit.{role})");
            ways.push((Form::SemiJoin, not_exists(&set)));
        }
        cases.push(Case {
            key: "children",
            title: "parents, child column restricted",
            size,
            role,
            conditions: some(ways),
            queries: PARENT_QUERIES.iter().collect(),
            table: "delivery",
            ..in_erp()
        });
    }
    Ok(cases)
}

/// Documents that are shared: with a user who has no role, beside one restricted link, beside three.
fn shares(admin: &mut Wire, options: &Options) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let none = "shares only, no role";
    let one = "shares, and one link restricted to 100 values";
    let three = "shares, and three links restricted to 1,000 values each";
    let largest = (options.rows / 10).max(1_000);
    for (title, links_restricted, values, size) in [
        (none, 0, 0, 0),
        (none, 0, 0, 10),
        (none, 0, 0, 1_000),
        (none, 0, 0, largest),
        (one, 1, 100, 10),
        (one, 1, 100, 1_000),
        (three, 3, 1_000, 1_000),
    ] {
        let role = format!("bench_shares_{links_restricted}_{size}");
        if cases.iter().any(|case: &Case| case.role == role) {
            // A small data set has no more documents to share.
            continue;
        }
        docperm::add_user(admin, &role, links_restricted > 0)?;
        permit(admin, &role, links_restricted, values)?;
        admin.run(&format!(
            "INSERT INTO docperm.shares (doctype, document, user_name, rights)
             SELECT 'Sales Order', value::text, '{role}@example.com', '{{read}}' FROM permit.shared WHERE rank <= {size};
             CREATE TABLE permit.{role} AS SELECT value FROM permit.shared WHERE rank <= {size};
             ALTER TABLE permit.{role} ADD PRIMARY KEY (value);
             ANALYZE permit.{role}"
        ))?;
        let restricted = match links_restricted {
            0 => String::new(),
            _ => format!("({}) OR ", links(admin, links_restricted, values, "sales_order")?[0].1),
        };
        let mut ways = Vec::new();
        if size == 0 {
            ways.push((Form::Literal, "false".to_string()));
        } else {
            let list = admin.value(&format!("SELECT string_agg(value::text, ',') FROM permit.{role}"))?;
            ways.push((
                Form::Literal,
                format!("({restricted}sales_order.id = ANY ('{{{list}}}'::bigint[]))"),
            ));
        }
        if size >= SEMI_JOIN_FROM {
            let set = format!("sales_order.id IN (SELECT value FROM permit.{role})");
            ways.push((Form::SemiJoin, format!("({restricted}{set})")));
        }
        cases.push(Case {
            key: "shares",
            title,
            size,
            role,
            conditions: some(ways),
            queries: QUERIES
                .iter()
                .filter(|query| ["count", "latest", "pk", "filter"].contains(&query.key))
                .collect(),
            table: "sales_order",
            ..in_erp()
        });
    }
    Ok(cases)
}

/// Contracts by way of a readable view in which one column is closed, unrestricted and with a restricted link. By hand that is
/// the query on the table.
fn readable(admin: &mut Wire) -> Result<Vec<Case>> {
    admin.run(
        "CREATE TABLE erp.contract AS SELECT id, customer, posted, grand_total, 'remark ' || id AS remarks FROM erp.delivery;
         ALTER TABLE erp.contract ADD PRIMARY KEY (id);
         CREATE INDEX contract_customer ON erp.contract (customer);
         CREATE INDEX contract_posted   ON erp.contract (posted);
         ALTER TABLE erp.contract ADD FOREIGN KEY (customer) REFERENCES erp.customer;
         GRANT SELECT ON erp.contract TO bench_plain;
         CREATE SCHEMA readable;
         SELECT docperm.protect('erp.contract', 'Contract');
         SELECT docperm.set_field('Contract', 'remarks', permlevel => 1);
         SELECT docperm.create_readable_view('Contract', 'readable.contract');
         INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Contract', 'Bench Reader', '{read}')",
    )?;
    admin.run("VACUUM (ANALYZE, FREEZE) erp.contract")?;
    let mut cases = Vec::new();
    for size in [0, 100] {
        let role = format!("bench_readable_{size}");
        docperm::add_user(admin, &role, true)?;
        permit(admin, &role, 1, size)?;
        admin.run(&format!(
            "REVOKE ALL ON erp.contract FROM {role};
             GRANT USAGE ON SCHEMA readable TO {role};
             GRANT SELECT ON readable.contract TO {role}"
        ))?;
        let conditions = match size {
            0 => vec![(Form::Plain, None)],
            _ => some(links(admin, 1, size, "contract")?),
        };
        cases.push(Case {
            key: "readable",
            title: if size == 0 {
                "readable view, unrestricted"
            } else {
                "readable view, one link restricted"
            },
            size,
            role,
            conditions,
            queries: READABLE_QUERIES.iter().collect(),
            table: "contract",
            search_path: "readable",
            most: MOST_OF_VIEWS,
        });
    }
    Ok(cases)
}

/// What most cases have in common.
fn in_erp() -> Case {
    Case {
        key: "",
        title: "",
        size: 0,
        role: String::new(),
        conditions: Vec::new(),
        queries: Vec::new(),
        search_path: "erp",
        most: MOST,
        table: "",
    }
}

/// Permits a user the first `size` values of each of the first `links` links.
fn permit(admin: &mut Wire, role: &str, links: usize, size: usize) -> Result {
    for link in &LINKS[..links] {
        admin.run(&format!(
            "INSERT INTO docperm.user_permissions (user_name, allow, for_value)
             SELECT '{role}@example.com', '{}', value::text FROM permit.{} WHERE rank <= {size}",
            link.doctype, link.column
        ))?;
    }
    Ok(())
}

/// The condition on the links by hand: as a literal array and, if there are many values, as a semi-join.
fn links(admin: &mut Wire, links: usize, size: usize, alias: &str) -> Result<Vec<(Form, String)>> {
    let permitted = data::permitted(admin, links, size)?;
    let literal = Handwritten::Literal(&permitted).conditions(Table::Document, alias).join(" AND ");
    let mut ways = vec![(Form::Literal, literal)];
    if size > SEMI_JOIN_FROM {
        for link in &LINKS[..links] {
            let column = link.column;
            admin.run(&format!(
                "CREATE TABLE IF NOT EXISTS permit.{column}_{size} AS SELECT value FROM permit.{column} WHERE rank <= {size};
                 ANALYZE permit.{column}_{size}"
            ))?;
        }
        let semi_join = Handwritten::SemiJoin(&permitted).conditions(Table::Document, alias).join(" AND ");
        ways.push((Form::SemiJoin, semi_join));
    }
    Ok(ways)
}

fn some(ways: Vec<(Form, String)>) -> Vec<(Form, Option<String>)> {
    ways.into_iter().map(|(form, condition)| (form, Some(condition))).collect()
}

impl Case {
    /// Connects docperm and the hand-written forms.
    pub fn open(&self, server: &Server, admin: &mut Wire) -> Result<Contest> {
        let conditions = self.conditions.iter().filter_map(|(_, condition)| condition.as_deref());
        let permitted = conditions.map(|condition| format!("WHERE {condition}")).next_back();
        let table = self.table;
        let mut ids = Vec::new();
        // Where nothing is permitted, what is not.
        for condition in [permitted.unwrap_or_default(), String::new()] {
            if ids.is_empty() {
                ids = admin.query(&format!(
                    "SET search_path = erp;
                     SELECT id FROM (SELECT id FROM {table} {condition} LIMIT 20000) t
                      ORDER BY permit.pick(id, 99, 1::bigint << 60) LIMIT 64;
                     RESET search_path"
                ))?;
            }
        }
        let ids = ids.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
        Contest::of_case(server, self, ids)
    }
}
