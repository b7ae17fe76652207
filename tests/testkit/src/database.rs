//! One test's own database.

use crate::server::Server;
use postgres::Client;
use std::sync::Mutex;

/// A database that is dropped, with its login roles, when it goes out of scope.
pub struct Database {
    server: &'static Server,
    name: String,
    roles: Mutex<Vec<String>>,
}

impl Database {
    pub(crate) fn create(server: &'static Server, template: Option<&str>) -> Database {
        let name = format!("test_{}", server.next_number());
        let template = template.unwrap_or("template1");
        crate::run(&mut server.maintenance(), &format!("CREATE DATABASE {name} TEMPLATE {template}"));
        Database { server, name, roles: Mutex::default() }
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection of the superuser `postgres`.
    #[track_caller]
    pub fn admin(&self) -> Client {
        self.connect_as("postgres")
    }

    /// A connection of that database role.
    #[track_caller]
    pub fn connect_as(&self, role: &str) -> Client {
        self.server.connect(role, &self.name, None)
    }

    /// A connection that asks for settings at its start, such as `-c work_mem=64kB`, as PGOPTIONS does.
    #[track_caller]
    pub fn connect_with(&self, role: &str, options: &str) -> Client {
        self.server.connect(role, &self.name, Some(options))
    }

    /// A new login role without any privilege of its own. The hint makes its name readable; the name is returned, and
    /// needs no quoting if the hint is a plain identifier.
    pub fn login_role(&self, hint: &str) -> String {
        let role = format!("{hint}_{}", self.server.next_number());
        crate::run(&mut self.server.maintenance(), &format!("CREATE ROLE {} LOGIN", quoted(&role)));
        self.roles.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(role.clone());
        role
    }
}

impl Drop for Database {
    /// Best effort: what is left goes away with the server.
    fn drop(&mut self) {
        let mut client = self.server.maintenance();
        let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        for role in self.roles.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            let _ = client.batch_execute(&format!("DROP ROLE IF EXISTS {}", quoted(role)));
        }
    }
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
