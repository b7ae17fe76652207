//! Random tokens.

use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use super::random;
use crate::fault::OrRaise;

/// A token of 256 random bits: 43 letters, digits, `-` and `_` (RFC 4648, section 5, without padding).
pub fn new_token() -> Zeroizing<String> {
    Zeroizing::new(Base64UrlUnpadded::encode_string(
        Zeroizing::new(random::bytes::<32>().or_raise()).as_slice(),
    ))
}
