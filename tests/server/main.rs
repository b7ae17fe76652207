//! Everything that only real connections can show, one subject a module.
//!
//! Each test has a database of its own, cloned from a template on one throwaway server. A test that needs a
//! small ERP takes [`support::World`]; those on real data take Northwind.

mod acceptance;
mod access_review;
mod administration;
mod attacks;
mod attempts;
mod bad_input;
mod chance;
mod child_tables;
mod conformance;
mod crash_and_standby;
mod delegates;
mod docs;
mod doctor;
mod doctor_faults;
mod dump_restore;
mod errors;
mod hardening;
mod levels;
mod levels_acceptance;
mod levels_attacks;
mod link_options;
mod link_targets;
mod log_secrecy;
mod login;
mod login_cases;
mod login_providers;
mod login_steps;
mod models;
mod modules;
mod northwind;
mod ownership;
mod pages_and_reports;
mod passwords;
mod permission_log;
mod permission_reports;
mod plan_cache;
mod plans;
mod planted_identity;
mod pooling;
mod profiles;
mod protection;
mod random_walk;
mod readable_views;
mod related_rows;
mod revocation;
mod rules_rows;
mod schema_lint;
mod sessions;
mod shares;
mod support;
mod two_factor;
mod users;
