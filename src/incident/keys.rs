//! What a finding may share with others: addresses, accounts on hosts, services on hosts, request ids, its kind.
//!
//! Everything here is taken from the finding alone and bounded: senders choose what is in it.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    model::{Category, Finding, Role},
    store::incident::Key,
};

/// A source address.
pub(super) const IP: &str = "ip";
/// An account that acted on a host.
pub(super) const ACCOUNT: &str = "account";
/// A service on a host.
pub(super) const SERVICE: &str = "service";
/// A request id.
pub(super) const REQUEST: &str = "request";
/// A host on which somebody is inside.
pub(super) const INSIDE: &str = "inside";
/// What the finding is a case of.
pub(super) const KIND: &str = "kind";

/// A finding of more addresses is about none of them.
const MAX_IPS: usize = 3;
/// Hosts and accounts of one finding that are looked at.
const MAX_HOSTS: usize = 4;
const MAX_ACTORS: usize = 3;
/// Request ids of one finding.
const MAX_REQUESTS: usize = 4;

/// The keys of a finding.
pub(super) fn keys(finding: &Finding) -> Vec<Key> {
    let mut keys = BTreeSet::new();
    if finding.source_ips.len() <= MAX_IPS {
        let ips = finding.source_ips.iter().filter(|ip| !is_own(ip));
        keys.extend(ips.map(|ip| Key { kind: IP, value: ip.clone() }));
    }
    let role = Role::of(finding.category);
    for host in finding.hosts.iter().take(MAX_HOSTS) {
        if is_inside(role) {
            keys.insert(Key { kind: INSIDE, value: host.clone() });
            let actors = actors(finding).into_iter();
            keys.extend(actors.map(|user| Key { kind: ACCOUNT, value: format!("{user}@{host}") }));
        }
        if let (Role::Fault, Some(service)) = (role, &finding.affected_service) {
            keys.insert(Key { kind: SERVICE, value: format!("{service}@{host}") });
        }
    }
    let ids: BTreeSet<&str> =
        finding.evidence.iter().filter_map(|line| request_id(&line.line)).take(MAX_REQUESTS).collect();
    keys.extend(ids.into_iter().map(|id| Key { kind: REQUEST, value: id.to_owned() }));
    if finding.kind().contains('/') {
        keys.insert(Key { kind: KIND, value: finding.kind().to_owned() });
    }
    keys.into_iter().collect()
}

/// The accounts that did something, as opposed to those that were tried: an attacker guesses many names, and uses one.
pub(super) fn actors(finding: &Finding) -> Vec<&str> {
    let words: BTreeSet<&str> =
        finding.title.split(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | ';')).collect();
    let named: Vec<&str> = finding
        .users
        .iter()
        .map(String::as_str)
        .filter(|user| words.contains(user))
        .take(MAX_ACTORS)
        .collect();
    if named.is_empty() && finding.users.len() <= MAX_ACTORS {
        return finding.users.iter().map(String::as_str).collect();
    }
    named
}

/// The part that findings of this kind play; a kind begins with its category.
pub(super) fn role_of_kind(kind: &str) -> Role {
    let category = kind.split_once('/').map_or(kind, |(category, _)| category);
    Category::parse(category).map_or(Role::Fault, Role::of)
}

/// Whether somebody is inside already.
pub(super) fn is_inside(role: Role) -> bool {
    matches!(role, Role::Entry | Role::Privilege | Role::Foothold)
}

/// Whether an address belongs to a private network: often that of a proxy, behind which there are many.
pub(super) fn is_private(ip: &str) -> bool {
    match ip.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => false,
    }
}

fn is_own(ip: &str) -> bool {
    ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

/// The request or trace id that a line names.
fn request_id(line: &str) -> Option<&str> {
    const NAMES: [&str; 7] =
        ["request_id", "request-id", "requestid", "req_id", "trace_id", "traceid", "correlation_id"];
    /// Shorter ones are numbers that come again.
    const SHORTEST: usize = 8;
    const LONGEST: usize = 64;
    let lower = line.to_ascii_lowercase();
    NAMES.iter().find_map(|name| {
        let at = lower.find(name)? + name.len();
        let rest = line.get(at..)?.trim_start_matches(['"', '\'']).trim_start();
        let rest = rest.strip_prefix(['=', ':'])?.trim_start_matches([' ', '"', '\'']);
        let is_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let end = rest.find(|c| !is_id(c)).unwrap_or(rest.len());
        rest.get(..end).filter(|id| (SHORTEST..=LONGEST).contains(&id.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_found_in_text_and_in_json() {
        assert_eq!(request_id("GET /x request_id=7f3a9c1e-22 took 3ms"), Some("7f3a9c1e-22"));
        assert_eq!(
            request_id(r#"{"level":"error","trace_id": "4bf92f3577b34da6"}"#),
            Some("4bf92f3577b34da6")
        );
        assert_eq!(request_id("X-Request-Id: abcdef012345"), Some("abcdef012345"));
        assert_eq!(request_id("request_id=7"), None);
        assert_eq!(request_id("no request_id here"), None);
    }

    #[test]
    fn loopback_is_nobody_and_private_networks_are_told_apart() {
        assert!(is_own("127.0.0.1") && is_own("::1") && !is_own("192.0.2.1"));
        assert!(is_private("10.1.2.3") && is_private("fd00::1") && !is_private("203.0.113.5"));
    }
}
