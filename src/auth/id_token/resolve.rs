//! Which user an ID token is about.

use std::time::{SystemTime, UNIX_EPOCH};

use pgrx::spi::{Spi, SpiClient};

use super::jwks::Keys;
use super::{Claims, Provider, Refusal, email, verify};
use crate::fault::{Fault, SqlState};
use crate::rules::model::{ADMINISTRATOR, GUEST};

/// As long as a name is stored.
const MAX_NAME_LENGTH: usize = 140;

/// Whom a token is about.
#[derive(Debug, PartialEq, Eq)]
pub struct ResolvedUser {
    /// The user's name.
    pub user: String,
    /// The user has been made just now.
    pub is_new: bool,
}

/// A row of docperm.login_providers.
struct Registered {
    provider: Provider,
    allow_signup: bool,
    require_nonce: bool,
}

/// Verifies a token of a provider and finds its user: by what the provider calls him, at the first time by his e-mail
/// address, and where the provider lets new users in, by making one without roles.
///
/// To be called with the privileges of docperm's owner, in a transaction that commits. Whether the user may log in here and
/// now is for the caller to ask; disabled users are refused here.
///
/// # Errors
/// The outer one is docperm's own trouble, the inner one the reason why the token opens nothing.
pub fn resolve(
    provider: &str,
    token: &str,
    nonce: Option<&str>,
) -> Result<Result<ResolvedUser, Refusal>, Fault> {
    Spi::connect_mut(|client| {
        let Some(registered) = registered(client, provider)? else { return Ok(Err(Refusal::Provider)) };
        let nonce = nonce.filter(|nonce| !nonce.is_empty());
        if registered.require_nonce && nonce.is_none() {
            return Ok(Err(Refusal::Nonce));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        match verify(token, &registered.provider, nonce, now) {
            Ok(claims) => user_of(client, provider, &claims, registered.allow_signup),
            Err(refusal) => Ok(Err(refusal)),
        }
    })
}

fn registered(client: &mut SpiClient<'_>, name: &str) -> Result<Option<Registered>, Fault> {
    let sql = "SELECT p.issuer, p.client_id, p.jwks::text, p.allow_signup, p.require_nonce
                 FROM docperm.login_providers AS p
                WHERE p.name = $1 AND p.enabled";
    let Some(row) = client.update(sql, None, &[name.into()])?.next() else { return Ok(None) };
    let jwks: String = row.get(3)?.unwrap_or_default();
    // The table has checked them; a later version may know better.
    let keys = Keys::parse(&jwks).map_err(|_| {
        Fault::new(
            SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("the keys of login provider \"{name}\" cannot be used"),
        )
        .hint("Copy the provider's JWKS into docperm.login_providers again.")
    })?;
    let provider = Provider {
        issuer: row.get(1)?.unwrap_or_default(),
        client_id: row.get(2)?.unwrap_or_default(),
        keys,
    };
    Ok(Some(Registered {
        provider,
        allow_signup: row.get(4)?.unwrap_or(false),
        require_nonce: row.get(5)?.unwrap_or(true),
    }))
}

fn user_of(
    client: &mut SpiClient<'_>,
    provider: &str,
    claims: &Claims,
    allow_signup: bool,
) -> Result<Result<ResolvedUser, Refusal>, Fault> {
    if let Some(user) = known(client, provider, &claims.subject)? {
        return Ok(user.may_log_in().map(|user| ResolvedUser { user, is_new: false }));
    }
    let address = match claims.email.as_deref() {
        Some(_) if !claims.email_verified => return Ok(Err(Refusal::EmailNotVerified)),
        Some(address) => email::plain(address),
        None => None,
    };
    let Some(address) = address else { return Ok(Err(Refusal::Email)) };
    // Twice, if somebody else makes the user at this moment: then he is there when the INSERT has waited.
    for _ in 0..2 {
        match of_address(client, &address)? {
            Err(Refusal::NoSuchUser) if allow_signup => {
                if sign_up(client, &address, claims)? {
                    let linked = link(client, provider, claims, &address)?;
                    return Ok(linked.map(|()| ResolvedUser { user: address, is_new: true }));
                }
            }
            Err(refusal) => return Ok(Err(refusal)),
            Ok(user) => {
                let linked = link(client, provider, claims, &user)?;
                return Ok(linked.map(|()| ResolvedUser { user, is_new: false }));
            }
        }
    }
    Ok(Err(Refusal::NoSuchUser))
}

/// A user that has been found.
struct Found {
    name: String,
    enabled: bool,
}

impl Found {
    fn may_log_in(self) -> Result<String, Refusal> {
        if [ADMINISTRATOR, GUEST].contains(&&*self.name) {
            Err(Refusal::Reserved)
        } else if !self.enabled {
            Err(Refusal::Disabled)
        } else {
            Ok(self.name)
        }
    }
}

/// The user who has come with this subject before.
fn known(client: &mut SpiClient<'_>, provider: &str, subject: &str) -> Result<Option<Found>, Fault> {
    let sql = "SELECT u.name, u.enabled
                 FROM docperm.user_identities AS i
                 JOIN docperm.users           AS u ON u.name = i.user_name
                WHERE i.provider = $1 AND i.subject = $2";
    let Some(row) = client.update(sql, None, &[provider.into(), subject.into()])?.next() else {
        return Ok(None);
    };
    Ok(Some(Found { name: row.get(1)?.unwrap_or_default(), enabled: row.get(2)?.unwrap_or(false) }))
}

/// The user with this address: as a name, otherwise as the only one with it.
fn of_address(client: &mut SpiClient<'_>, address: &str) -> Result<Result<String, Refusal>, Fault> {
    let sql = "SELECT u.name, u.enabled
                 FROM docperm.users AS u
                WHERE u.name = $1 OR u.email = $1
                ORDER BY u.name = $1 DESC
                LIMIT 2";
    let mut found = vec![];
    for row in client.update(sql, None, &[address.into()])? {
        found.push(Found { name: row.get(1)?.unwrap_or_default(), enabled: row.get(2)?.unwrap_or(false) });
    }
    let is_clear = found.len() == 1 || found.first().is_some_and(|first| first.name == address);
    Ok(match found.into_iter().next() {
        None => Err(Refusal::NoSuchUser),
        Some(_) if !is_clear => Err(Refusal::SeveralUsers),
        Some(user) => user.may_log_in(),
    })
}

/// Makes a user without roles; not if somebody else has just done so.
fn sign_up(client: &mut SpiClient<'_>, address: &str, claims: &Claims) -> Result<bool, Fault> {
    let short = |name: &Option<String>| {
        name.as_deref().map(|name| name.chars().take(MAX_NAME_LENGTH).collect::<String>())
    };
    let first_name = short(&claims.given_name).or_else(|| short(&claims.name));
    let last_name = claims.given_name.as_ref().and_then(|_| short(&claims.family_name));
    let sql = "INSERT INTO docperm.users (name, email, first_name, last_name)
               VALUES ($1, $1, $2, $3)
               ON CONFLICT DO NOTHING
               RETURNING name";
    let made = client.update(sql, None, &[address.into(), first_name.into(), last_name.into()])?;
    Ok(!made.is_empty())
}

/// Remembers who comes with this subject. Not if the user has come with another one: then the address has changed hands at
/// the provider, and an administrator has to say whose it is now.
fn link(
    client: &mut SpiClient<'_>,
    provider: &str,
    claims: &Claims,
    user: &str,
) -> Result<Result<(), Refusal>, Fault> {
    let sql = "INSERT INTO docperm.user_identities (provider, subject, user_name)
               VALUES ($1, $2, $3)
               ON CONFLICT DO NOTHING
               RETURNING true";
    let arguments = [provider.into(), claims.subject.as_str().into(), user.into()];
    if !client.update(sql, None, &arguments)?.is_empty() {
        return Ok(Ok(()));
    }
    // Somebody else may have done it meanwhile.
    let known = known(client, provider, &claims.subject)?;
    Ok(if known.is_some_and(|known| known.name == user) { Ok(()) } else { Err(Refusal::OtherSubject) })
}

/// What the client is told. What a provider vouches for is the token holder's own affair; whether others exist is not, so
/// all of these are one.
impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::EmailNotVerified
            | Refusal::Email
            | Refusal::NoSuchUser
            | Refusal::SeveralUsers
            | Refusal::OtherSubject
            | Refusal::Reserved
            | Refusal::Disabled => Fault::new(
                SqlState::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
                "nobody can log in here with this account of the provider",
            )
            .hint("Ask an administrator, who finds the reason in docperm.activity_log."),
            _ => Fault::new(SqlState::ERRCODE_INVALID_PASSWORD, "the ID token is not valid").hint(
                "Log in at the provider again. An administrator finds the reason in docperm.activity_log.",
            ),
        }
    }
}
