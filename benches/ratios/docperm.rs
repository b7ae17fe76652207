//! docperm itself: the same rules, told to the extension.

use crate::Result;
use crate::data::LINKS;
use crate::options::Options;
use crate::wire::Wire;

/// The database role, and through `users.db_role` the user, with `size` values for each of `links` links.
pub fn role(links: usize, size: usize) -> String {
    format!("bench_{links}_{size}")
}

/// The name of that user.
pub fn user(links: usize, size: usize) -> String {
    format!("bench_{links}_{size}@example.com")
}

/// Installs the extension, protects the tables, and makes a user for each measured case.
pub fn install(admin: &mut Wire, options: &Options) -> Result {
    if admin.value("SELECT count(*) FROM pg_available_extensions WHERE name = 'docperm'")? == "0" {
        return Err("docperm is not installed in this PostgreSQL: bin/install, or --without-docperm".into());
    }
    admin.run("CREATE EXTENSION docperm")?;
    admin.run("INSERT INTO docperm.roles (name) VALUES ('Bench Reader')")?;
    let documents = [("sales_order", "Sales Order"), ("ledger_entry", "Ledger Entry")];
    for (table, doctype) in LINKS.iter().map(|link| (link.column, link.doctype)).chain(documents) {
        admin.run(&format!(
            "SELECT docperm.protect('erp.{table}', '{doctype}');
             INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('{doctype}', 'Bench Reader', '{{read}}')"
        ))?;
    }
    for links in options.links.iter().filter(|_| options.wants_links()) {
        for size in &options.sizes {
            let (role, user) = (role(*links, *size), user(*links, *size));
            add_user(admin, &role, true)?;
            for link in &LINKS[..*links] {
                admin.run(&format!(
                    "INSERT INTO docperm.user_permissions (user_name, allow, for_value)
                     SELECT '{user}', '{}', value::text FROM permit.{} WHERE rank <= {size} ORDER BY rank",
                    link.doctype, link.column
                ))?;
            }
        }
    }
    admin.run("VACUUM (ANALYZE)")?;
    Ok(())
}

/// Makes a database role and the user whom docperm takes it for, with the role that may read everything or without any.
pub fn add_user(admin: &mut Wire, role: &str, reads: bool) -> Result {
    let user = format!("{role}@example.com");
    admin.run(&format!(
        "CREATE ROLE {role} LOGIN;
         GRANT USAGE ON SCHEMA erp TO {role};
         GRANT SELECT ON ALL TABLES IN SCHEMA erp TO {role};
         INSERT INTO docperm.users (name, email, db_role) VALUES ('{user}', '{user}', '{role}')"
    ))?;
    if reads {
        admin.run(&format!(
            "INSERT INTO docperm.user_roles (user_name, role) VALUES ('{user}', 'Bench Reader')"
        ))?;
    }
    Ok(())
}

/// Takes the customer of the highest rank away from a user, or gives it back.
pub fn change(admin: &mut Wire, links: usize, size: usize, give: bool) -> Result {
    let user = user(links, size);
    let value = format!("(SELECT value FROM permit.customer WHERE rank = {size})");
    admin.run(&match give {
        true => format!(
            "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('{user}', 'Customer', {value})"
        ),
        false => format!(
            "DELETE FROM docperm.user_permissions
              WHERE user_name = '{user}' AND allow = 'Customer' AND for_value = {value}"
        ),
    })?;
    Ok(())
}
