//! Reversible pseudonyms for addresses, consistent within one call.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Redacted, Redactor, Spread, address};

/// Distinct addresses of one kind per session; the pseudonyms of one kind come from a range of 65,536.
const ADDRESSES_MAX: usize = 60_000;

/// What an address becomes when the session has no pseudonym left.
const NO_PSEUDONYM: &str = "[ip]";

/// Redacts the texts of one call. Public addresses become 198.18.x.y or 2001:2::n, private ones 198.19.x.y or
/// 2001:2:0:1::n (ranges set aside for benchmarks, never seen on the net); loopback stays.
#[derive(Debug)]
pub struct Session {
    redactor: Redactor,
    known: Spread,
    pseudonyms: HashMap<IpAddr, IpAddr>,
    originals: HashMap<IpAddr, IpAddr>,
}

impl Session {
    pub(super) fn new(redactor: Redactor) -> Self {
        Session { redactor, known: Spread::default(), pseudonyms: HashMap::new(), originals: HashMap::new() }
    }

    /// Looks for secrets in texts that will be redacted, so that each is masked in all of them.
    pub fn learn<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) {
        let redactor = self.redactor;
        self.known.learn(texts.into_iter().flat_map(|text| redactor.secrets(text)));
    }

    /// Masks secrets and, where configured, replaces addresses.
    pub fn redact(&mut self, text: &str) -> Redacted {
        let masked = self.redactor.redact_also(text, &self.known);
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
    let plain = address::addresses(text).into_iter().map(|found| (found, false));
    let mut found: Vec<_> = plain.chain(address::in_host_names(text).map(|found| (found, true))).collect();
    found.sort_by_key(|(found, _)| found.range.start);
    for (address::Found { range, ip }, in_name) in found {
        let Some(between) = text.get(at..range.start) else { continue };
        out.push_str(between);
        let instead = with(ip).unwrap_or_else(|| NO_PSEUDONYM.to_owned());
        out.push_str(&if in_name { instead.replace('.', "-") } else { instead });
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
    fn addresses_inside_host_names_are_the_same_pseudonym_and_come_back() {
        let mut session = session();
        let line =
            "203.0.113.5 is ec2-203-0-113-5.compute.example and 203-0-113-5.static.example, not ip-10-0-0-7";
        let sent = session.redact(line);
        assert_eq!(
            sent.as_str(),
            "198.18.0.1 is ec2-198-18-0-1.compute.example and 198-18-0-1.static.example, not ip-198-19-0-2"
        );
        assert_eq!(session.restore(sent.as_str()), line);
        let both = session.redact("192-0-2-1 192-0-2-2");
        assert_eq!(session.restore(both.as_str()), "192-0-2-1 192-0-2-2");
        assert!(!both.as_str().contains("192-0"));
        let others = "at 2026-11-21-05-06, uuid 1-2-3-4-5, 300-1-1-1, v1-2-3-4b";
        assert_eq!(session.redact(others).as_str(), others);
    }

    #[test]
    fn a_secret_of_one_text_is_masked_in_all_of_them() {
        let mut session = session();
        let lines =
            ["login with password=hunter2!", "Failed password for invalid user Hunter2! from 203.0.113.5"];
        session.learn(lines);
        assert_eq!(
            session.redact(lines[1]).as_str(),
            "Failed password for invalid user [secret] from 198.18.0.1"
        );
        assert_eq!(session.redact("q=1&x=hunter2!&y").as_str(), "q=1&x=[secret]&y");
    }

    #[test]
    fn short_words_and_addresses_given_out_as_secrets_hide_nothing() {
        let mut session = session();
        session.learn(["password=root token=203.0.113.5"]);
        assert_eq!(session.redact("root from 203.0.113.5").as_str(), "root from 198.18.0.1");
    }

    #[test]
    fn without_pseudonyms_addresses_stay() {
        let mut session = Redactor::new(Settings::default()).session();
        assert_eq!(session.redact("203.0.113.5").as_str(), "203.0.113.5");
    }
}
