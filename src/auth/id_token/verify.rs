//! Whether a token is the provider's, meant for us, and good now. OpenID Connect Core 3.1.3.7, RFC 8725.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::Refusal;
use super::json::Members;
use super::jwks::Keys;

/// In bytes. Those of large providers have one or two thousand.
const MAX_LENGTH: usize = 16 * 1024;

/// By how many seconds clocks may differ.
const LEEWAY: i64 = 60;

/// As much as OpenID Connect allows.
const MAX_SUBJECT_LENGTH: usize = 255;

/// What is known about a provider.
#[derive(Debug)]
pub struct Provider {
    /// The issuer, exactly as in tokens.
    pub issuer: String,
    /// What the provider calls this application.
    pub client_id: String,
    /// Its public keys.
    pub keys: Keys,
}

/// What the provider says about whoever logged in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who it is, for ever, at this provider.
    pub subject: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// The provider has made sure that it is theirs.
    pub email_verified: bool,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// The whole name.
    pub name: Option<String>,
}

/// Verifies a token, with the nonce that was sent to the provider if one is demanded, at the time `now` in seconds since
/// 1970.
///
/// # Errors
/// Why it is not good.
pub fn verify(token: &str, provider: &Provider, nonce: Option<&str>, now: i64) -> Result<Claims, Refusal> {
    let payload = signed_payload(token, &provider.keys)?;
    let claims = Members::parse(&payload).ok_or(Refusal::Malformed)?;
    check_audience(&claims, provider)?;
    check_time(&claims, now)?;
    if nonce.is_some_and(|nonce| nonce.is_empty() || text(&claims, "nonce") != Ok(Some(nonce))) {
        return Err(Refusal::Nonce);
    }
    // A token that says that somebody has logged out looks like one that says who has logged in.
    if claims.get("events").is_some() {
        return Err(Refusal::Type);
    }
    let is_storable = |text: &&str| !text.is_empty() && !text.contains(char::is_control);
    let subject = text(&claims, "sub")?.filter(is_storable).filter(|text| text.len() <= MAX_SUBJECT_LENGTH);
    let owned = |name: &str| Ok(text(&claims, name)?.filter(is_storable).map(str::to_owned));
    Ok(Claims {
        subject: subject.ok_or(Refusal::Subject)?.to_owned(),
        email: owned("email")?,
        // Some providers write it as a text.
        email_verified: claims.get("email_verified").is_some_and(|value| *value == true || *value == "true"),
        given_name: owned("given_name")?,
        family_name: owned("family_name")?,
        name: owned("name")?,
    })
}

/// What is signed, if one of the keys has signed it.
pub(super) fn signed_payload(token: &str, keys: &Keys) -> Result<Vec<u8>, Refusal> {
    if token.len() > MAX_LENGTH {
        return Err(Refusal::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(Refusal::Malformed)?;
    // Canonical base64url without padding; a dot is none, so there are exactly three parts.
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed);
    let header = Members::parse(&decode(header)?).ok_or(Refusal::Malformed)?;
    let payload = decode(payload)?;
    decode(signature)?;

    let kind = text(&header, "typ")?.unwrap_or("JWT");
    if !kind.eq_ignore_ascii_case("JWT") {
        return Err(Refusal::Type);
    }
    if header.get("crit").is_some() {
        return Err(Refusal::Critical);
    }
    // Keys that the token brings along (jwk, x5c) or points to (jku, x5u) are none of the provider's.
    let algorithm = text(&header, "alg")?.ok_or(Refusal::Malformed)?;
    let id = text(&header, "kid")?;
    let mut named = keys.named(id).peekable();
    if named.peek().is_none() {
        return Err(Refusal::UnknownKey);
    }
    let candidates: Vec<_> = named.filter_map(|key| Some((key, key.algorithm(algorithm)?))).collect();
    match candidates.len() {
        0 => return Err(Refusal::Algorithm),
        // Without a name it has to be clear which key is meant.
        2.. if id.is_none() => return Err(Refusal::UnknownKey),
        _ => {}
    }
    let is_signed =
        candidates.into_iter().any(|(key, algorithm)| key.has_signed(message, signature, algorithm));
    is_signed.then_some(payload).ok_or(Refusal::Signature)
}

fn check_audience(claims: &Members, provider: &Provider) -> Result<(), Refusal> {
    if text(claims, "iss")? != Some(&provider.issuer) || provider.issuer.is_empty() {
        return Err(Refusal::Issuer);
    }
    let is_us = |value: &Value| !provider.client_id.is_empty() && value.as_str() == Some(&provider.client_id);
    let is_for_several = match claims.get("aud") {
        Some(Value::Array(several)) if several.iter().any(is_us) => several.len() > 1,
        Some(one) if is_us(one) => false,
        _ => return Err(Refusal::Audience),
    };
    match claims.get("azp") {
        Some(party) if is_us(party) => Ok(()),
        None if !is_for_several => Ok(()),
        _ => Err(Refusal::Audience),
    }
}

fn check_time(claims: &Members, now: i64) -> Result<(), Refusal> {
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            value.as_f64().filter(|seconds| seconds.is_finite()).map(Some).ok_or(Refusal::Malformed)
        }
    };
    let (now, leeway) = (now as f64, LEEWAY as f64);
    let expires = time("exp")?.ok_or(Refusal::Expired)?;
    if now >= expires + leeway {
        return Err(Refusal::Expired);
    }
    let issued = time("iat")?.ok_or(Refusal::NotYetValid)?;
    let begins = time("nbf")?.unwrap_or(issued);
    if now + leeway < issued.max(begins) {
        return Err(Refusal::NotYetValid);
    }
    Ok(())
}

/// A member that is a text, if it is there.
fn text<'a>(members: &'a Members, name: &str) -> Result<Option<&'a str>, Refusal> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(Refusal::Malformed),
    }
}
