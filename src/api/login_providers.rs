//! What docperm.login_providers needs: keys checked, tokens resolved.

use pgrx::iter::TableIterator;
use pgrx::name;

use super::required;
use crate::auth::id_token::jwks::{BadKeys, Keys};
use crate::auth::id_token::resolve;
use crate::fault::{Fault, OrRaise};

/// Refuses a set of keys that is no use.
#[pgrx::pg_extern(sql = false)]
fn docperm_require_jwks(jwks: &str) {
    let Err(why) = Keys::parse(jwks) else { return };
    let detail = match why {
        BadKeys::NoSet => "It is no object with an array \"keys\".".to_owned(),
        BadKeys::TooMany => "It holds too many keys.".to_owned(),
        BadKeys::Secret(number) => {
            format!("Key {number} is secret: a private key, or one that both sides share.")
        }
        BadKeys::Malformed(number) => format!("Key {number} is malformed."),
        BadKeys::Weak(number) => {
            format!("Key {number} is an RSA key of another length than 2048 to 4096 bits.")
        }
        BadKeys::NoneUsable => {
            "No key is for signatures by RSA, by ECDSA with P-256 or P-384, or by Ed25519.".to_owned()
        }
    };
    Fault::bad_argument("jwks is no set of public keys that signatures can be verified with")
        .detail(detail)
        .hint("Copy what the provider publishes at the jwks_uri of its /.well-known/openid-configuration.")
        .raise();
}

/// Whom a token is about, or why it opens nothing.
#[pgrx::pg_extern(sql = false)]
#[allow(clippy::type_complexity, reason = "pgrx reads the columns from the type")]
fn docperm_resolve_id_token(
    provider: Option<&str>,
    id_token: Option<&str>,
    nonce: Option<&str>,
) -> TableIterator<
    'static,
    (name!(user_name, Option<String>), name!(is_new, Option<bool>), name!(refusal, Option<&'static str>)),
> {
    let (provider, id_token) = (required(provider, "provider"), required(id_token, "id_token"));
    let row = match resolve(provider, id_token, nonce).or_raise() {
        Ok(resolved) => (Some(resolved.user), Some(resolved.is_new), None),
        Err(refusal) => (None, None, Some(refusal.code())),
    };
    TableIterator::once(row)
}
