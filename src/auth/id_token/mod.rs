//! ID tokens of OpenID Connect, verified without asking the provider: against the keys that a DBA has copied from it.
//!
//! [`verify`] is plain Rust and decides whether a token is the provider's, meant for us, and good at this moment;
//! [`resolve()`] finds the user whom it is about.

pub mod email;
pub mod json;
pub mod jwks;
mod resolve;
#[cfg(test)]
pub mod test_keys;
mod verify;
#[cfg(test)]
mod verify_test;

pub use resolve::{ResolvedUser, resolve};
pub use verify::{Claims, Provider, verify};

/// Why somebody does not get in with a token.
///
/// The code is for the log. To the client all of them look alike, but for what the token's holder knows anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Longer than a token is.
    TooLong,
    /// No signed token in compact form, or a member twice, or of the wrong type.
    Malformed,
    /// It says that it is another kind of token.
    Type,
    /// It demands an extension of the format.
    Critical,
    /// No signature algorithm, or not one that the key is for.
    Algorithm,
    /// Signed with a key that the provider has not published.
    UnknownKey,
    /// Not signed by the provider, or changed since.
    Signature,
    /// From another issuer.
    Issuer,
    /// For another application.
    Audience,
    /// Past its time.
    Expired,
    /// Before its time.
    NotYetValid,
    /// Not for this attempt to log in.
    Nonce,
    /// Whose it is does not become clear.
    Subject,
    /// No such provider, or not enabled.
    Provider,
    /// The provider does not vouch for the e-mail address.
    EmailNotVerified,
    /// There is no e-mail address, or none that a user can have.
    Email,
    /// No user has the address, and the provider does not let new ones in.
    NoSuchUser,
    /// Several users have the address.
    SeveralUsers,
    /// The user logs in as somebody else at this provider.
    OtherSubject,
    /// Administrator and Guest do not log in by a provider.
    Reserved,
    /// The user is disabled.
    Disabled,
}

impl Refusal {
    /// For the log.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Refusal::TooLong => "token_too_long",
            Refusal::Malformed => "token_malformed",
            Refusal::Type => "token_of_another_type",
            Refusal::Critical => "token_with_critical_extension",
            Refusal::Algorithm => "algorithm_not_allowed",
            Refusal::UnknownKey => "unknown_key",
            Refusal::Signature => "wrong_signature",
            Refusal::Issuer => "wrong_issuer",
            Refusal::Audience => "wrong_audience",
            Refusal::Expired => "token_expired",
            Refusal::NotYetValid => "token_not_yet_valid",
            Refusal::Nonce => "wrong_nonce",
            Refusal::Subject => "no_subject",
            Refusal::Provider => "provider_unknown_or_disabled",
            Refusal::EmailNotVerified => "email_not_verified",
            Refusal::Email => "no_usable_email",
            Refusal::NoSuchUser => "no_such_user",
            Refusal::SeveralUsers => "several_users_with_that_email",
            Refusal::OtherSubject => "user_has_another_subject",
            Refusal::Reserved => "reserved_user",
            Refusal::Disabled => "user_disabled",
        }
    }
}
