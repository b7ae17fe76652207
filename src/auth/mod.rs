//! Proving who somebody is: passwords, and how strong they are.

#[forbid(unsafe_code)]
pub mod password;
#[forbid(unsafe_code)]
pub mod strength;
