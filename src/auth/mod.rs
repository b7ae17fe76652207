//! Proving who somebody is: passwords, and how strong they are.
//!
//! `password` and `strength` are plain Rust; `concealment` keeps what was typed out of the server's log.

pub mod concealment;
#[forbid(unsafe_code)]
pub mod password;
#[forbid(unsafe_code)]
pub mod strength;
