//! The data, and who may see how much of it.

use crate::Result;
use crate::options::Options;
use crate::queries::{Handwritten, Table};
use crate::server::Server;
use crate::wire::Wire;

/// Documents that links point to, of each kind.
pub const TARGETS: usize = 200_000;

/// A link column of the documents.
pub struct Link {
    /// Its name in the tables; the target table has the same.
    pub column: &'static str,
    /// The target's key type.
    pub key_type: &'static str,
    /// The target's doctype.
    pub doctype: &'static str,
}

/// The links, in the order in which they are restricted.
pub const LINKS: [Link; 3] = [
    Link { column: "customer", key_type: "text", doctype: "Customer" },
    Link { column: "project", key_type: "integer", doctype: "Project" },
    Link { column: "territory", key_type: "text", doctype: "Territory" },
];

/// The values of one link that a user is permitted.
pub struct Permitted {
    /// Which link.
    pub link: &'static Link,
    /// How many values.
    pub size: usize,
    /// The values, as they stand in an array literal.
    pub values: String,
}

/// Makes the tables, their twins, the permissions and the helper functions of the rivals.
pub fn load(server: &Server, options: &Options) -> Result {
    let largest = options.sizes.iter().max().copied().unwrap_or(0);
    if largest > TARGETS {
        return Err(format!("--sizes: at most {TARGETS}").into());
    }
    let restricted: Vec<_> = options.sizes.iter().filter(|size| **size > 0).map(usize::to_string).collect();
    let variables = [
        ("rows", options.rows.to_string()),
        ("targets", TARGETS.to_string()),
        ("seed", options.seed.to_string()),
        ("sizes", format!("{{{}}}", restricted.join(","))),
    ];
    server.script(include_str!("data.sql"), &variables)?;
    server.script(include_str!("rivals.sql"), &variables)
}

/// What a user with `size` values for each of the first `links` links is permitted.
pub fn permitted(admin: &mut Wire, links: usize, size: usize) -> Result<Vec<Permitted>> {
    LINKS[..links]
        .iter()
        .map(|link| {
            let values = admin.value(&format!(
                "SELECT string_agg(value::text, ',' ORDER BY rank) FROM permit.{} WHERE rank <= {size}",
                link.column
            ))?;
            Ok(Permitted { link, size, values })
        })
        .collect()
}

/// Ids of sales orders for the lookups by primary key: without blank links, which would spare some forms the work; and
/// permitted ones, so that a row is returned. With few values there may be none; then not permitted ones.
pub fn ids(admin: &mut Wire, links: usize, permitted: &[Permitted]) -> Result<Vec<String>> {
    let filled: Vec<_> = LINKS[..links].iter().map(|link| format!("{} IS NOT NULL", link.column)).collect();
    let permitted = Handwritten::Literal(permitted).conditions(Table::Document, "o");
    for conditions in [[filled.clone(), permitted].concat(), filled] {
        let ids = admin.query(&format!(
            "SELECT id FROM (SELECT id FROM erp.sales_order o WHERE {} ORDER BY created DESC LIMIT 20000) o \
              ORDER BY permit.pick(id, 99, 1::bigint << 60) LIMIT 64",
            conditions.join(" AND ")
        ))?;
        if !ids.is_empty() {
            return Ok(ids.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect());
        }
    }
    Err("there is no sales order without blank links".into())
}
