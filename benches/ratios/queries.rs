//! The measured queries, and the WHERE clause that an expert writes by hand for them.

use crate::data::Permitted;

/// The tables that take part, by what restricts them.
#[derive(Clone, Copy)]
pub enum Table {
    /// Restricted by its links; may be blank.
    Document,
    /// A link's target: restricted by its own name.
    Customer,
}

/// What a query looks for; `$1`, `$2` in its text.
pub struct Argument {
    /// As a parameter of the extended protocol.
    pub text: String,
    /// As written in SQL.
    pub literal: String,
}

/// One measured query.
pub struct Query {
    /// How the command line calls it.
    pub key: &'static str,
    /// How the report calls it.
    pub title: &'static str,
    select: &'static str,
    tables: &'static [(Table, &'static str)],
    condition: &'static str,
    tail: &'static str,
    arguments: Arguments,
}

#[derive(Clone, Copy)]
enum Arguments {
    None,
    /// One of the permitted ids, another one in each repetition.
    Id,
    Fixed(&'static [&'static str]),
}

/// All queries. LIKE keeps its pattern as a constant also when prepared: with a parameter PostgreSQL cannot use an
/// index for it in any form.
pub const QUERIES: &[Query] = &[
    Query {
        key: "count",
        title: "count + sum",
        select: "SELECT count(*), sum(grand_total) FROM sales_order",
        tables: &[(Table::Document, "sales_order")],
        condition: "",
        tail: "",
        arguments: Arguments::None,
    },
    Query {
        key: "latest",
        title: "latest 20",
        select: "SELECT id, title, customer, created, grand_total FROM sales_order",
        tables: &[(Table::Document, "sales_order")],
        condition: "",
        tail: " ORDER BY created DESC LIMIT 20",
        arguments: Arguments::None,
    },
    Query {
        key: "pk",
        title: "primary key",
        select: "SELECT id, title, customer, grand_total FROM sales_order",
        tables: &[(Table::Document, "sales_order")],
        condition: "id = $1",
        tail: "",
        arguments: Arguments::Id,
    },
    Query {
        key: "filter",
        title: "other indexed column",
        select: "SELECT count(*), sum(grand_total) FROM sales_order",
        tables: &[(Table::Document, "sales_order")],
        condition: "sales_person = $1",
        tail: "",
        arguments: Arguments::Fixed(&["person 42"]),
    },
    Query {
        key: "like",
        title: "LIKE prefix",
        select: "SELECT count(*), sum(grand_total) FROM sales_order",
        tables: &[(Table::Document, "sales_order")],
        condition: "title LIKE 'ab3%'",
        tail: "",
        arguments: Arguments::None,
    },
    Query {
        key: "numeric",
        title: "numeric range",
        select: "SELECT count(*), sum(grand_total) FROM sales_order",
        tables: &[(Table::Document, "sales_order")],
        condition: "grand_total BETWEEN $1 AND $2",
        tail: "",
        arguments: Arguments::Fixed(&["50000", "50050"]),
    },
    Query {
        key: "join",
        title: "join of two protected",
        select: "SELECT c.customer_group, count(*), sum(o.grand_total) \
                   FROM sales_order o JOIN customer c ON c.name = o.customer",
        tables: &[(Table::Document, "o"), (Table::Customer, "c")],
        condition: "c.customer_group IN ('group 7', 'group 8')",
        tail: " GROUP BY 1 ORDER BY 1",
        arguments: Arguments::None,
    },
    Query {
        key: "partitioned",
        title: "partitioned table",
        select: "SELECT count(*), sum(amount) FROM ledger_entry",
        tables: &[(Table::Document, "ledger_entry")],
        condition: "posted BETWEEN $1 AND $2",
        tail: "",
        arguments: Arguments::Fixed(&["2021-01-01", "2021-03-31"]),
    },
];

/// Queries of a child table, whose rows follow their document.
pub const CHILD_QUERIES: &[Query] = &[
    Query {
        key: "child-count",
        title: "count + sum of child rows",
        select: "SELECT count(*), sum(amount) FROM delivery_item",
        tables: &[(Table::Document, "delivery_item")],
        condition: "",
        tail: "",
        arguments: Arguments::None,
    },
    Query {
        key: "child-latest",
        title: "latest 20 child rows",
        select: "SELECT id, parent, project, amount FROM delivery_item",
        tables: &[(Table::Document, "delivery_item")],
        condition: "",
        tail: " ORDER BY id DESC LIMIT 20",
        arguments: Arguments::None,
    },
    Query {
        key: "child-pk",
        title: "child row by primary key",
        select: "SELECT id, parent, project, amount FROM delivery_item",
        tables: &[(Table::Document, "delivery_item")],
        condition: "id = $1",
        tail: "",
        arguments: Arguments::Id,
    },
];

/// Queries of documents that have child rows.
pub const PARENT_QUERIES: &[Query] = &[
    Query {
        key: "parent-count",
        title: "count + sum",
        select: "SELECT count(*), sum(grand_total) FROM delivery",
        tables: &[(Table::Document, "delivery")],
        condition: "",
        tail: "",
        arguments: Arguments::None,
    },
    Query {
        key: "parent-latest",
        title: "latest 20",
        select: "SELECT id, customer, posted, grand_total FROM delivery",
        tables: &[(Table::Document, "delivery")],
        condition: "",
        tail: " ORDER BY posted DESC LIMIT 20",
        arguments: Arguments::None,
    },
    Query {
        key: "parent-pk",
        title: "primary key",
        select: "SELECT id, customer, posted, grand_total FROM delivery",
        tables: &[(Table::Document, "delivery")],
        condition: "id = $1",
        tail: "",
        arguments: Arguments::Id,
    },
];

/// Queries of a table that is read through a readable view.
pub const READABLE_QUERIES: &[Query] = &[
    Query {
        key: "view-count",
        title: "count + sum",
        select: "SELECT count(*), sum(grand_total) FROM contract",
        tables: &[(Table::Document, "contract")],
        condition: "",
        tail: "",
        arguments: Arguments::None,
    },
    Query {
        key: "view-latest",
        title: "latest 20",
        select: "SELECT id, customer, posted, grand_total FROM contract",
        tables: &[(Table::Document, "contract")],
        condition: "",
        tail: " ORDER BY posted DESC LIMIT 20",
        arguments: Arguments::None,
    },
    Query {
        key: "view-pk",
        title: "primary key",
        select: "SELECT id, customer, posted, grand_total FROM contract",
        tables: &[(Table::Document, "contract")],
        condition: "id = $1",
        tail: "",
        arguments: Arguments::Id,
    },
    Query {
        key: "view-filter",
        title: "other indexed column",
        select: "SELECT count(*), sum(grand_total) FROM contract",
        tables: &[(Table::Document, "contract")],
        condition: "posted BETWEEN $1 AND $2",
        tail: "",
        arguments: Arguments::Fixed(&["2020-03-01", "2020-03-10"]),
    },
];

/// How the hand-written WHERE says what is permitted.
#[derive(Clone, Copy)]
pub enum Handwritten<'a> {
    /// Not at all.
    Nothing,
    /// `customer = ANY ('{...}')`.
    Literal(&'a [Permitted]),
    /// `customer IN (SELECT value FROM ...)`.
    SemiJoin(&'a [Permitted]),
    /// By this condition.
    Condition(&'a str),
}

impl Query {
    /// Whether it looks up one row.
    pub fn is_lookup(&self) -> bool {
        matches!(self.arguments, Arguments::Id)
    }

    /// The text with `$1`, `$2` in it.
    pub fn text(&self, handwritten: Handwritten<'_>) -> String {
        let own = (!self.condition.is_empty()).then(|| self.condition.to_string());
        let permitted = self.tables.iter().flat_map(|(table, alias)| handwritten.conditions(*table, alias));
        let conditions: Vec<_> = own.into_iter().chain(permitted).collect();
        let clause = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        format!("{}{clause}{}", self.select, self.tail)
    }

    /// What the `repetition`-th run looks for.
    pub fn arguments(&self, ids: &[String], repetition: usize) -> Vec<Argument> {
        match self.arguments {
            Arguments::None => Vec::new(),
            Arguments::Id => {
                let id = &ids[repetition % ids.len()];
                vec![Argument { text: id.clone(), literal: id.clone() }]
            }
            Arguments::Fixed(texts) => texts
                .iter()
                .map(|text| Argument { text: text.to_string(), literal: format!("'{text}'") })
                .collect(),
        }
    }
}

/// `text` with its `$1`, `$2` replaced by literals.
pub fn inline(text: &str, arguments: &[Argument]) -> String {
    let mut inlined = text.to_string();
    for (position, argument) in arguments.iter().enumerate() {
        inlined = inlined.replacen(&format!("${}", position + 1), &argument.literal, 1);
    }
    inlined
}

impl Handwritten<'_> {
    /// The conditions for one table, none when everything is permitted.
    pub fn conditions(&self, table: Table, alias: &str) -> Vec<String> {
        let (permitted, set): (_, fn(&Permitted) -> String) = match self {
            Handwritten::Nothing => return Vec::new(),
            Handwritten::Condition(condition) => return vec![condition.to_string()],
            Handwritten::Literal(permitted) => {
                (*permitted, |link| format!("= ANY ('{{{}}}'::{}[])", link.values, link.link.key_type))
            }
            Handwritten::SemiJoin(permitted) => (*permitted, |link| {
                format!("IN (SELECT value FROM permit.{}_{})", link.link.column, link.size)
            }),
        };
        match table {
            Table::Document => permitted
                .iter()
                .map(|link| {
                    let column = link.link.column;
                    format!("({alias}.{column} {} OR {alias}.{column} IS NULL)", set(link))
                })
                .collect(),
            Table::Customer => vec![format!("{alias}.name {}", set(&permitted[0]))],
        }
    }
}
