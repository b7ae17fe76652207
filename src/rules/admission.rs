//! Whether a user may be here now: enabled, at this hour, from this address.
//! (Frappe: sections 8.4 and 8.5 of its behaviour; addresses are networks, not string prefixes.)

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What a user's record says about when and from where the user may work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// A disabled user is never admitted.
    pub enabled: bool,
    /// The first full hour of the day, 0 to 24; 0 is the same as none.
    pub login_after: u8,
    /// The hour from which on the user is not admitted any more, 0 to 24; 0 is the same as none.
    pub login_before: u8,
    /// The networks from which the user may come; from anywhere if there are none.
    pub restrict_ip: Vec<Network>,
}

/// Why a user is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotAdmitted {
    /// The user is disabled.
    Disabled,
    /// Not from this address, or the address is not known.
    Address,
    /// Not at this hour.
    Hour,
}

impl Admission {
    /// Checks enabled, then address, then hour (0 to 23).
    ///
    /// # Errors
    /// The first of them that fails.
    pub fn check(&self, hour: u8, address: Option<IpAddr>) -> Result<(), NotAdmitted> {
        if !self.enabled {
            return Err(NotAdmitted::Disabled);
        }
        let is_listed = |address| self.restrict_ip.iter().any(|network| network.contains(address));
        if !self.restrict_ip.is_empty() && !address.is_some_and(is_listed) {
            return Err(NotAdmitted::Address);
        }
        let too_late = self.login_before != 0 && hour >= self.login_before;
        let too_early = self.login_after != 0 && hour < self.login_after;
        if too_late || too_early { Err(NotAdmitted::Hour) } else { Ok(()) }
    }

    /// The hour decides, so the answer may be another from the next full hour on.
    pub fn depends_on_hour(&self) -> bool {
        self.login_after != 0 || self.login_before != 0
    }
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotAdmitted::Disabled => "the user is disabled",
            NotAdmitted::Address => "not from this address",
            NotAdmitted::Hour => "not at this hour",
        })
    }
}

/// A network: all addresses that begin with the same bits. The text form of PostgreSQL's `cidr` is read by [`Self::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `192.168.1.0/24`, `2001:db8::/32`, or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(longest);
        (bits <= longest).then_some(Network { address, bits })
    }

    /// Whether the address belongs to it. An IPv4 address may be written as an IPv6 one (`::ffff:192.168.1.7`).
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = u32::from(network) ^ u32::from(address);
                differing.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = u128::from(network) ^ u128::from(address);
                differing.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_with_its_bits() {
        for (net, inside, outside) in [
            ("192.168.1.0/24", "192.168.1.10", "192.168.2.1"),
            ("192.168.1.1", "192.168.1.1", "192.168.1.10"),
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.168.1.128/25", "192.168.1.128", "192.168.1.127"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("192.168.1.0/24", "::ffff:192.168.1.7", "::1"),
        ] {
            assert!(network(net).contains(address(inside)), "{inside} in {net}");
            assert!(!network(net).contains(address(outside)), "{outside} in {net}");
        }
        assert!(network("0.0.0.0/0").contains(address("8.8.8.8")));
        assert!(!network("0.0.0.0/0").contains(address("::1")));
        assert!(network("::/0").contains(address("::1")));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "/", "192.168.1", "192.168.1.0/33", "::/129", "host", "10.0.0.0/", "10.0.0.0/-1"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn hours_are_counted_from_the_first_to_before_the_last() {
        let office = Admission { enabled: true, login_after: 9, login_before: 17, ..Default::default() };
        let at = |hour| office.check(hour, None);
        assert_eq!(
            (at(8), at(9), at(16), at(17)),
            (Err(NotAdmitted::Hour), Ok(()), Ok(()), Err(NotAdmitted::Hour))
        );
    }

    #[test]
    fn zero_is_no_hour_and_nothing_wraps_over_midnight() {
        let always = Admission { enabled: true, ..Default::default() };
        assert!((0..24).all(|hour| always.check(hour, None) == Ok(())));
        let never = Admission { enabled: true, login_after: 22, login_before: 6, ..Default::default() };
        assert!((0..24).all(|hour| never.check(hour, None) == Err(NotAdmitted::Hour)));
    }

    #[test]
    fn who_may_only_come_from_somewhere_may_not_come_from_nowhere() {
        let home =
            Admission { enabled: true, restrict_ip: vec![network("10.1.0.0/16")], ..Default::default() };
        assert_eq!(home.check(0, Some(address("10.1.2.3"))), Ok(()));
        assert_eq!(home.check(0, Some(address("10.2.2.3"))), Err(NotAdmitted::Address));
        assert_eq!(home.check(0, None), Err(NotAdmitted::Address));
    }

    #[test]
    fn a_disabled_user_is_not_told_more() {
        let nobody = Admission { login_after: 23, ..Default::default() };
        assert_eq!(nobody.check(0, None), Err(NotAdmitted::Disabled));
    }
}
