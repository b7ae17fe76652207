//! docperm.version().

/// The version of the library, which is that of the extension unless an update is outstanding.
#[pgrx::pg_extern(sql = false)]
fn docperm_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
