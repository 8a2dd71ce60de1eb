//! IP addresses in free text.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
    sync::LazyLock,
};

use regex::Regex;

/// An address and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The bytes it stands in.
    pub range: Range<usize>,
    /// The address.
    pub ip: IpAddr,
}

#[expect(clippy::expect_used, reason = "a constant pattern, compiled by a test")]
static CANDIDATE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[0-9A-Fa-f:.]{2,}").expect("valid pattern"));

/// Every address in the text, in order. Times, MAC addresses, paths of code (`a::b`) are not addresses.
pub fn addresses(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for candidate in CANDIDATE.find_iter(text) {
        let run = candidate.as_str();
        let start = candidate.start();
        let before = text.get(..start).and_then(|head| head.chars().next_back());
        let after = text.get(candidate.end()..).and_then(|tail| tail.chars().next());
        let glued = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        if !glued(before)
            && !glued(after)
            && let Some((range, ip)) = ipv6(run)
        {
            found.push(Found { range: start + range.start..start + range.end, ip: IpAddr::V6(ip) });
            continue;
        }
        found.extend(
            ipv4(run).map(|(range, ip)| Found {
                range: start + range.start..start + range.end,
                ip: IpAddr::V4(ip),
            }),
        );
    }
    found
}

/// Four numbers between dashes, with what stands around them.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled by a test")]
static DASHED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:^|[^0-9A-Za-z-]|[A-Za-z][0-9A-Za-z]*-)(\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3})")
        .expect("valid pattern")
});

/// IPv4 addresses that are part of a host's name (`ec2-203-0-113-5.…`, `203-0-113-5.static.…`).
pub fn in_host_names(text: &str) -> impl Iterator<Item = Found> {
    DASHED.captures_iter(text).filter_map(|found| {
        let inner = found.get(1)?;
        let after = text.get(inner.end()..)?.chars().next();
        if after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-') {
            return None;
        }
        let ip = inner.as_str().replace('-', ".").parse().ok()?;
        Some(Found { range: inner.range(), ip: IpAddr::V4(ip) })
    })
}

/// A whole run as an IPv6 address, but for punctuation of the sentence at either end.
fn ipv6(run: &str) -> Option<(Range<usize>, Ipv6Addr)> {
    let trimmed = run.trim_end_matches('.');
    let trimmed = if trimmed.ends_with("::") { trimmed } else { trimmed.trim_end_matches(':') };
    let start =
        if trimmed.starts_with("::") { 0 } else { trimmed.len() - trimmed.trim_start_matches(':').len() };
    let inner = trimmed.get(start..)?;
    if inner.matches(':').count() < 2 || !inner.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    inner.parse().ok().map(|ip| (start..start + inner.len(), ip))
}

/// Runs of exactly four decimal parts (a longer dotted run is a version or an OID).
fn ipv4(run: &str) -> impl Iterator<Item = (Range<usize>, Ipv4Addr)> {
    let mut at = 0;
    run.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(move |part| {
        let start = at;
        at += part.len() + 1;
        let inner = part.trim_matches('.');
        let start = start + (part.len() - part.trim_start_matches('.').len());
        inner.parse().ok().map(|ip| (start..start + inner.len(), ip))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<_> = addresses(text).into_iter().map(|found| found.ip.to_string()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn addresses_are_found_in_the_usual_company() {
        check("from 203.0.113.5 port 22, 10.0.0.1:80.", &["203.0.113.5", "10.0.0.1"]);
        check("[2001:db8::1]:443 fe80::1. and ::1", &["2001:db8::1", "fe80::1", "::1"]);
        check("rhost=198.51.100.7: denied 2001:db8::2:", &["198.51.100.7", "2001:db8::2"]);
    }

    #[test]
    fn times_macs_versions_and_code_are_not_addresses() {
        check("12:30:45 aa:bb:cc:dd:ee:ff 1.2.3.4.5 std::io a::b 999.1.1.1", &[]);
    }
}
