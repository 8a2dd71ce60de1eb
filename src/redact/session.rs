//! Reversible pseudonyms for addresses, consistent within one call.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Redacted, Redactor, address, addresses};

/// Distinct addresses of one kind per session; the pseudonyms of one kind come from a range of 65,536.
const ADDRESSES_MAX: usize = 60_000;

/// What an address becomes when the session has no pseudonym left.
const NO_PSEUDONYM: &str = "[ip]";

/// Redacts the texts of one call. Public addresses become 198.18.x.y or 2001:2::n, private ones 198.19.x.y or
/// 2001:2:0:1::n (ranges set aside for benchmarks, never seen on the net); loopback stays.
#[derive(Debug)]
pub struct Session {
    redactor: Redactor,
    pseudonyms: HashMap<IpAddr, IpAddr>,
    originals: HashMap<IpAddr, IpAddr>,
}

impl Session {
    pub(super) fn new(redactor: Redactor) -> Self {
        Session { redactor, pseudonyms: HashMap::new(), originals: HashMap::new() }
    }

    /// Masks secrets and, where configured, replaces addresses.
    pub fn redact(&mut self, text: &str) -> Redacted {
        let masked = self.redactor.redact(text);
        if !self.redactor.pseudonymises() {
            return masked;
        }
        Redacted::trusted(replace(masked.as_str(), |ip| self.pseudonym(ip)))
    }

    /// Turns pseudonyms in an answer back. Addresses the session did not hand out stay as they are.
    pub fn restore(&self, text: &str) -> String {
        if self.originals.is_empty() {
            return text.to_owned();
        }
        replace(text, |ip| Some(self.originals.get(&ip).unwrap_or(&ip).to_string()))
    }

    fn pseudonym(&mut self, ip: IpAddr) -> Option<String> {
        if stays(ip) {
            return Some(ip.to_string());
        }
        if let Some(known) = self.pseudonyms.get(&ip) {
            return Some(known.to_string());
        }
        let nth =
            u16::try_from(self.pseudonyms.len() + 1).ok().filter(|n| usize::from(*n) <= ADDRESSES_MAX)?;
        let [high, low] = nth.to_be_bytes();
        let pseudonym = match (ip, is_private(ip)) {
            (IpAddr::V4(_), false) => IpAddr::V4(Ipv4Addr::new(198, 18, high, low)),
            (IpAddr::V4(_), true) => IpAddr::V4(Ipv4Addr::new(198, 19, high, low)),
            (IpAddr::V6(_), false) => IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, nth)),
            (IpAddr::V6(_), true) => IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 1, 0, 0, 0, nth)),
        };
        self.pseudonyms.insert(ip, pseudonym);
        self.originals.insert(pseudonym, ip);
        Some(pseudonym.to_string())
    }
}

fn replace(text: &str, mut with: impl FnMut(IpAddr) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for address::Found { range, ip } in addresses(text) {
        out.push_str(text.get(at..range.start).unwrap_or_default());
        out.push_str(with(ip).as_deref().unwrap_or(NO_PSEUDONYM));
        at = range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// Addresses that say nothing about anybody.
fn stays(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Settings;

    fn session() -> Session {
        Redactor::new(Settings { pseudonymise_ips: true }).session()
    }

    #[test]
    fn pseudonyms_are_consistent_and_come_back() {
        let mut session = session();
        let line = "203.0.113.5 tried, 10.0.0.7 and 2001:db8::9 saw 203.0.113.5 via 127.0.0.1";
        let sent = session.redact(line);
        assert_eq!(sent.as_str(), "198.18.0.1 tried, 198.19.0.2 and 2001:2::3 saw 198.18.0.1 via 127.0.0.1");
        assert_eq!(session.restore(sent.as_str()), line);
    }

    #[test]
    fn a_real_address_of_the_pseudonym_range_is_not_confused() {
        let mut session = session();
        let sent = session.redact("198.18.0.2 and 198.18.0.1");
        assert_eq!(sent.as_str(), "198.18.0.1 and 198.18.0.2");
        assert_eq!(session.restore("198.18.0.1"), "198.18.0.2");
        assert_eq!(session.restore("198.18.9.9"), "198.18.9.9");
    }

    #[test]
    fn without_pseudonyms_addresses_stay() {
        let mut session = Redactor::new(Settings::default()).session();
        assert_eq!(session.redact("203.0.113.5").as_str(), "203.0.113.5");
    }
}
