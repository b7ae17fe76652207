//! The one form in which a password is hashed and judged.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// The password in normal form NFKC (NIST SP 800-63B): composed and decomposed, full and half width become the same.
#[must_use]
pub fn normal_form(password: &str) -> Zeroizing<String> {
    // Measured before, so that it does not grow and leave copies behind.
    let length = password.nfkc().map(char::len_utf8).sum();
    let mut normal = Zeroizing::new(String::with_capacity(length));
    normal.extend(password.nfkc());
    normal
}
