//! Everything that only real connections can show, one subject a module.
//!
//! Each test has a database of its own, cloned from a template on one throwaway server. A test that needs a
//! small ERP takes [`support::World`]; those on real data take Northwind.

mod acceptance;
mod administration;
mod attacks;
mod bad_input;
mod chance;
mod conformance;
mod dump_restore;
mod hardening;
mod models;
mod northwind;
mod plan_cache;
mod plans;
mod planted_identity;
mod protection;
mod random_walk;
mod related_rows;
mod rules_rows;
mod schema_lint;
mod support;
