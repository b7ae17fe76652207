//! How users prove who they are.
//!
//! What is decided without PostgreSQL is plain Rust in files of its own: [`one_time_code`], [`sealed`], and in [`id_token`]
//! all but finding the user.

pub mod id_token;
pub mod key_file;
#[forbid(unsafe_code)]
pub mod one_time_code;
pub mod owner;
pub mod random;
#[forbid(unsafe_code)]
pub mod sealed;
pub mod two_factor;
