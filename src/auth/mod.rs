//! Proving who somebody is.
//!
//! What is decided without PostgreSQL is plain Rust in files of its own: [`password`], [`strength`], [`one_time_code`],
//! [`sealed`], and in [`id_token`] all but finding the user. [`concealment`] keeps what was typed out of the server's log.

pub mod concealment;
pub mod id_token;
pub mod key_file;
#[forbid(unsafe_code)]
pub mod one_time_code;
pub mod owner;
#[forbid(unsafe_code)]
pub mod password;
pub mod random;
#[forbid(unsafe_code)]
pub mod sealed;
#[forbid(unsafe_code)]
pub mod strength;
pub mod two_factor;
