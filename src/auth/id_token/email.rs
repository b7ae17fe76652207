//! E-mail addresses from elsewhere.

/// As much as SMTP can carry.
const MAX_LENGTH: usize = 254;

/// An address in lower case, as names of users are; `None` for what no user's name should be found by.
///
/// Only ASCII is made lower case. In the whole of Unicode different addresses become the same: that of the Kelvin sign is a
/// k, and its owner must not become the user whose address has the k.
#[must_use]
pub fn plain(address: &str) -> Option<String> {
    let (local, domain) = address.split_once('@')?;
    let is_plain =
        |c: char| !c.is_control() && !c.is_whitespace() && (c.is_ascii() || c.to_lowercase().eq([c]));
    let is_address = !local.is_empty() && !domain.is_empty() && !domain.contains('@');
    (is_address && address.len() <= MAX_LENGTH && address.chars().all(is_plain))
        .then(|| address.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn addresses_are_made_lower_case() {
        assert_eq!(plain("Ann.Lee+x@ERP.test").as_deref(), Some("ann.lee+x@erp.test"));
        assert_eq!(plain("jörg@erp.test").as_deref(), Some("jörg@erp.test"));
    }

    #[test]
    fn what_is_none_or_would_become_anothers_is_refused() {
        let long = format!("{}@erp.test", "x".repeat(250));
        for address in [
            "",
            "@",
            "a@",
            "@b",
            "ann",
            "Administrator",
            "a@b@c",
            "a b@c",
            " a@b",
            "a@b ",
            "a@b\n",
            "a\u{0}@b",
            "a\u{a0}@b",
            "\u{212a}im@erp.test",
            "JÖRG@erp.test",
            "İ@erp.test",
            &long,
        ] {
            assert_eq!(plain(address), None, "{address:?}");
        }
    }
}
