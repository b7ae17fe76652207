//! The other ways to write the filter as a row-level security policy.

use crate::data::LINKS;
use crate::wire::{Failure, Wire};

/// One of them.
pub struct Rival {
    /// How the report calls it.
    pub title: &'static str,
    /// The role that its policies apply to.
    pub role: &'static str,
    /// The condition on one column; `<column>` and `<link>` are replaced.
    condition: &'static str,
}

/// All of them.
pub const RIVALS: [Rival; 5] = [
    Rival {
        title: "`= ANY ((SELECT f()))`",
        role: "bench_any",
        condition: "<column> = ANY ((SELECT rls.<link>_array())::<type>[])",
    },
    Rival {
        title: "`IN (SELECT f())`",
        role: "bench_in",
        condition: "<column> IN (SELECT rls.<link>_set())",
    },
    Rival {
        title: "EXISTS",
        role: "bench_exists",
        condition: "EXISTS (SELECT FROM rls.permitted_<link> p \
                             WHERE p.user_name = current_setting('app.user') AND p.value = <column>)",
    },
    Rival {
        title: "PL/pgSQL per row",
        role: "bench_plpgsql",
        condition: "rls.sees_<link>_plpgsql(<column>)",
    },
    Rival { title: "SQL function per row", role: "bench_sql", condition: "rls.sees_<link>_sql(<column>)" },
];

/// The user that the application names, for users with `size` permitted values.
pub fn user(size: usize) -> String {
    format!("n_{size}")
}

/// Replaces the policies by those for `links` restricted links. Only with `open` do they let an unrestricted user
/// through: a policy in real use has to, but the escape costs the restricted users their index scans, and here the
/// rivals are shown at their best.
pub fn install(admin: &mut Wire, links: usize, open: bool) -> Result<(), Failure> {
    for rival in &RIVALS {
        for table in ["sales_order", "ledger_entry", "customer"] {
            let restricted: Vec<_> = match table {
                "customer" => vec![rival.condition("customer", "text", "customer.name")],
                _ => LINKS[..links]
                    .iter()
                    .map(|link| {
                        let column = format!("{table}.{}", link.column);
                        let condition = rival.condition(link.column, link.key_type, &column);
                        format!("({column} IS NULL OR {condition})")
                    })
                    .collect(),
            };
            let escape = if open { "(SELECT rls.is_unrestricted()) OR " } else { "" };
            let role = rival.role;
            let filter = restricted.join(" AND ");
            admin.run(&format!(
                "DROP POLICY IF EXISTS {role} ON rls.{table};
                 CREATE POLICY {role} ON rls.{table} FOR SELECT TO {role} USING ({escape}({filter}))"
            ))?;
        }
    }
    Ok(())
}

impl Rival {
    fn condition(&self, link: &str, key_type: &str, column: &str) -> String {
        self.condition.replace("<column>", column).replace("<link>", link).replace("<type>", key_type)
    }
}
