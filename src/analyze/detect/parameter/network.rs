//! Addresses as the networks they belong to: /24 of IPv4, /48 of IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of an address, and whether the address is one of the public internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    base: IpAddr,
    pub(super) is_public: bool,
}

impl Network {
    /// Reads an address; a prefix length behind it is left aside.
    pub(super) fn of(text: &str) -> Option<Network> {
        if let Some(address) = v4(text.as_bytes()) {
            return Some(Network::of_v4(address));
        }
        let address: Ipv6Addr = text.split(['/', '%']).next()?.trim_matches(['[', ']']).parse().ok()?;
        if let Some(mapped) = address.to_ipv4_mapped() {
            return Some(Network::of_v4(mapped));
        }
        let base = Ipv6Addr::from_bits(address.to_bits() >> 80 << 80);
        let is_local = address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local();
        let is_public = !is_local && !address.is_multicast() && !address.is_unspecified();
        Some(Network { base: IpAddr::V6(base), is_public })
    }

    fn of_v4(address: Ipv4Addr) -> Network {
        let [a, b, c, _] = address.octets();
        let is_shared = a == 100 && b & 0xC0 == 64;
        let is_local = address.is_private() || address.is_loopback() || address.is_link_local() || is_shared;
        let is_public = !is_local && a != 0 && a < 224;
        Network { base: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), is_public }
    }

    /// A number that stands for the network.
    pub(super) fn key(&self) -> u64 {
        let (bits, family) = match self.base {
            IpAddr::V4(base) => (u64::from(base.to_bits()), 4),
            IpAddr::V6(base) => ((base.to_bits() >> 64) as u64, 6),
        };
        // Spread over all bits, so that it meets no hash of a word but by chance.
        (bits ^ family)
            .wrapping_add(0x9E37_79B9_7F4A_7C15)
            .wrapping_mul(0xD6E8_FEB8_6659_FD93)
            .rotate_left(29)
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, if self.base.is_ipv4() { 24 } else { 48 })
    }
}

fn v4(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut bits, mut part, mut digits, mut parts) = (0u32, 0u32, 0, 1);
    for byte in text {
        match byte {
            b'0'..=b'9' if digits < 3 => {
                part = part * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && parts < 4 && part < 256 => {
                bits = bits << 8 | part;
                (part, digits, parts) = (0, 0, parts + 1);
            }
            b'/' if parts == 4 => break,
            _ => return None,
        }
    }
    (parts == 4 && digits > 0 && part < 256).then(|| Ipv4Addr::from_bits(bits << 8 | part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_a_network_that_is_public_or_not() {
        for (text, network, is_public) in [
            ("203.0.113.77", "203.0.113.0/24", true),
            ("10.1.2.3", "10.1.2.0/24", false),
            ("172.31.0.9/16", "172.31.0.0/24", false),
            ("100.64.1.1", "100.64.1.0/24", false),
            ("127.0.0.1", "127.0.0.0/24", false),
            ("::ffff:198.51.100.4", "198.51.100.0/24", true),
            ("2001:db8:1:2::3", "2001:db8:1::/48", true),
            ("[2001:db8:1:ff::3]", "2001:db8:1::/48", true),
            ("fe80::1%eth0", "fe80::/48", false),
            ("::1", "::/48", false),
        ] {
            let found = Network::of(text).unwrap();
            assert_eq!((found.to_string().as_str(), found.is_public), (network, is_public), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_an_address_is_none() {
        for text in ["1.2.3", "1.2.3.256", "1.2.3.4.5", "1..2.3", "", "::gg", "1.2.3.4x", "9999.1.1.1"] {
            assert_eq!(Network::of(text), None, "{text}");
        }
    }

    #[test]
    fn networks_are_told_apart_by_their_keys() {
        let key = |text| Network::of(text).unwrap().key();
        assert_eq!(key("203.0.113.1"), key("203.0.113.254"));
        assert_ne!(key("203.0.113.1"), key("203.0.114.1"));
        assert_ne!(key("::1"), key("0.0.0.0"));
    }
}
