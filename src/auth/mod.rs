//! Proving who somebody is.
//!
//! - Plain Rust, without PostgreSQL: [`password`] hashes and verifies, [`strength`] measures, [`one_time_code`] and [`sealed`]
//!   are the second factor, and [`id_token`] is a third party's word, all but finding the user.
//! - A login is an attempt ([`attempt`]) that a background worker makes ([`worker`]), in transactions of its own, so that
//!   nothing that the caller does undoes what was counted and written down. [`ask`] starts it; a [`request`] and its answer
//!   pass through a `mailbox` in shared memory; a [`turn`] lets attempts on one account be made one after another.
//! - [`login`], [`provider_login`] and [`impersonation`] say what is verified and in which order; [`new_session`] opens what
//!   is proved. What a token opens later is read by `catalog::session` and judged by `identity::session`.

pub mod ask;
pub mod attempt;
pub mod id_token;
pub mod impersonation;
pub mod key_file;
pub mod login;
mod mailbox;
pub mod new_session;
#[forbid(unsafe_code)]
pub mod one_time_code;
pub mod owner;
#[forbid(unsafe_code)]
pub mod password;
pub mod provider_login;
pub mod random;
pub mod request;
#[forbid(unsafe_code)]
pub mod sealed;
#[forbid(unsafe_code)]
pub mod strength;
pub mod token;
pub mod turn;
pub mod two_factor;
pub mod worker;
