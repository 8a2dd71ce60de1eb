//! An incident in plain words: the chain of an attack, a storm with its numbers, or the worst finding with its company.

use std::collections::BTreeSet;

use super::keys;
use crate::{
    model::{Category, Finding, Role, Severity},
    store::incident::Totals,
};

/// Findings named in a summary.
const NAMED_MAX: usize = 6;

/// What an incident says of itself.
pub(super) struct Told {
    pub title: String,
    pub summary: String,
}

/// Tells the findings (in order of time). A storm is told by its numbers: it was seen on so many hosts.
pub(super) fn tell(members: &[Finding], totals: &Totals, storm_hosts: Option<u64>) -> Told {
    let Some(worst) = members.iter().max_by_key(|member| (member.severity, member.last_seen)) else {
        return Told { title: String::new(), summary: String::new() };
    };
    if let Some(hosts) = storm_hosts {
        return storm(worst, totals, hosts);
    }
    let prints: BTreeSet<&str> = members.iter().map(|member| member.fingerprint.as_str()).collect();
    if prints.len() == 1 {
        let newest = members.last().unwrap_or(worst);
        return Told { title: newest.title.clone(), summary: newest.summary.clone() };
    }
    let title = attack(members).unwrap_or_else(|| {
        let others = totals.findings.saturating_sub(1);
        format!("{}, with {others} related finding{}", worst.title, plural(others))
    });
    Told { title, summary: in_order(members, totals) }
}

fn storm(worst: &Finding, totals: &Totals, hosts: u64) -> Told {
    let (count, kind) = (totals.findings, worst.category.as_str().replace('_', " "));
    let place = format!("{hosts} host{}", plural(hosts));
    Told {
        title: format!(
            "{count} findings of one kind ({kind}) on {place} at one time, such as: {}",
            worst.title
        ),
        summary: format!(
            "The same kind of thing was found {count} times on {place} within a short time: probably one cause, such as \
             a change that was rolled out, or something all of them depend on. {}",
            worst.summary
        ),
    }
}

/// The chain of an attack, if these findings are one.
fn attack(members: &[Finding]) -> Option<String> {
    let with = |role: Role| members.iter().filter(move |member| Role::of(member.category) == role);
    let entry = with(Role::Entry).max_by_key(|member| (member.severity, member.count));
    let failures = failures(members);
    if let Some(entry) = entry {
        // A rule may only dislike how somebody logged in.
        let verb = if entry.severity >= Severity::High { "broke into" } else { "logged in to" };
        let who = one_of(&entry.source_ips, "addresses").unwrap_or_else(|| "somebody".to_owned());
        let mut title =
            format!("{who} {verb} {}", one_of(&entry.hosts, "hosts").unwrap_or_else(|| "a host".to_owned()));
        let actors: BTreeSet<String> = keys::actors(entry).into_iter().map(str::to_owned).collect();
        if let Some(user) = one_of(&actors, "accounts") {
            title.push_str(&format!(" as {user}"));
        }
        let before = [
            with(Role::Scan).next().map(|_| "a scan".to_owned()),
            (failures > 1).then(|| format!("{failures} failed logins")),
        ];
        let before: Vec<String> = before.into_iter().flatten().collect();
        if !before.is_empty() {
            title.push_str(&format!(" after {}", before.join(" and ")));
        }
        let after = afterwards(members, entry);
        if !after.is_empty() {
            title.push_str(&format!(", then {}", after.join(", ")));
        }
        return Some(title);
    }
    let roles: BTreeSet<Role> = members.iter().map(|member| Role::of(member.category)).collect();
    if !roles.is_subset(&BTreeSet::from([Role::Scan, Role::Attempt])) {
        return None;
    }
    let ips: BTreeSet<String> = members.iter().flat_map(|member| member.source_ips.clone()).collect();
    let hosts: BTreeSet<String> = members.iter().flat_map(|member| member.hosts.clone()).collect();
    let mut did = Vec::new();
    if roles.contains(&Role::Scan) {
        did.push("scanned it".to_owned());
    }
    if failures > 0 {
        did.push(format!("tried {failures} login{}", plural(failures)));
    }
    if with(Role::Attempt).any(|member| member.category == Category::WebAttack) {
        did.push("attacked its web applications".to_owned());
    }
    let others =
        with(Role::Attempt).any(|m| !matches!(m.category, Category::WebAttack | Category::BruteForce));
    if others {
        did.push("misused its services".to_owned());
    }
    let who = one_of(&ips, "addresses")?;
    Some(format!("{who} against {}: {}", one_of(&hosts, "hosts")?, did.join(", ")))
}

/// Failed logins of the chain. A break-in tells of the failures before it, too, so the larger number is what surely was.
fn failures(members: &[Finding]) -> u64 {
    let of = |category: Category| members.iter().filter(move |member| member.category == category);
    let tried = of(Category::BruteForce).map(|member| member.count).sum::<u64>();
    tried.max(of(Category::AuthCompromise).map(|member| member.count).max().unwrap_or(0))
}

/// What was done inside, each thing once, in order.
fn afterwards(members: &[Finding], entry: &Finding) -> Vec<&'static str> {
    let mut done = Vec::new();
    for member in members.iter().filter(|member| member.last_seen >= entry.first_seen) {
        let what = match member.category {
            Category::PrivilegeEscalation if member.kind().ends_with("/sudo-after-break-in") => "used sudo",
            Category::PrivilegeEscalation => "tried to get more rights",
            Category::Persistence => "changed accounts or jobs",
            Category::Malware => "ran code from elsewhere",
            _ => continue,
        };
        if !done.contains(&what) {
            done.push(what);
        }
    }
    done
}

/// The titles in order of time.
fn in_order(members: &[Finding], totals: &Totals) -> String {
    let mut titles: Vec<&str> = Vec::new();
    for member in members {
        if !titles.contains(&member.title.as_str()) {
            titles.push(&member.title);
        }
    }
    let left = titles.len().saturating_sub(NAMED_MAX);
    titles.truncate(NAMED_MAX);
    let mut text = format!("{} findings belong together: {}", totals.findings, titles.join("; "));
    if left > 0 {
        text.push_str(&format!("; and {left} more"));
    }
    text.push('.');
    text
}

fn one_of(set: &BTreeSet<String>, noun: &str) -> Option<String> {
    match set.len() {
        0 => None,
        1 => set.first().cloned(),
        n => Some(format!("{n} {noun}")),
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}
