//! How strongly a finding belongs to an incident: what they share, weighed by how rare that is.
//!
//! A shared address counts fully while it is new; one that has been seen in findings of many kinds, or in many at this
//! very time (a NAT, a monitoring host), counts for little. Two known and different addresses speak against belonging
//! together whatever else is shared: two attackers may use one account.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Settings,
    keys::{self, ACCOUNT, INSIDE, IP, KIND, REQUEST, SERVICE},
};
use crate::{
    model::{Finding, Incident, IncidentId, Role, Timestamp},
    store::{
        Connection, StoreError,
        incident::{self, Key, Sharer},
    },
};

/// From this weight on they belong together.
const ENOUGH: f64 = 1.0;
/// Incidents weighed for one finding: those that share most recently.
const CANDIDATES_MAX: usize = 8;
/// An incident of more findings takes no further ones by what they share.
const FINDINGS_MAX: u64 = 200;
/// Other findings at this time that share a key before it begins to count as common.
const CROWD: usize = 8;

/// The incidents the finding belongs to, strongest first.
pub(super) fn belongs_to(
    conn: &Connection,
    tenant: i64,
    finding: &Finding,
    keys: &[Key],
    settings: &Settings,
) -> Result<Vec<Incident>, StoreError> {
    let shared = shared(conn, tenant, finding, keys, settings)?;
    let mut newest: Vec<(Timestamp, IncidentId)> = shared
        .iter()
        .map(|(id, ties)| (ties.iter().map(|tie| tie.sharer.last).max().unwrap_or_default(), id.clone()))
        .collect();
    newest.sort_unstable();
    let mut found = Vec::new();
    for (last, id) in newest.into_iter().rev().take(CANDIDATES_MAX) {
        let (Some(incident), Some(ties)) = (incident::get(conn, tenant, &id)?, shared.get(&id)) else {
            continue;
        };
        let weight = weigh(finding, &incident, ties);
        if weight >= ENOUGH && incident.findings < FINDINGS_MAX {
            found.push((weight, last, incident));
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(a.2.id.cmp(&b.2.id)));
    Ok(found.into_iter().map(|(_, _, incident)| incident).collect())
}

/// One thing shared with one finding of an incident.
struct Tie<'a> {
    key: &'a Key,
    /// 1 for what is seen for the first time, towards 0 for what is always there.
    rarity: f64,
    sharer: Sharer,
}

/// What the finding shares with the findings of each open incident.
fn shared<'a>(
    conn: &Connection,
    tenant: i64,
    finding: &Finding,
    keys: &'a [Key],
    settings: &Settings,
) -> Result<BTreeMap<IncidentId, Vec<Tie<'a>>>, StoreError> {
    let mut shared: BTreeMap<IncidentId, Vec<Tie<'a>>> = BTreeMap::new();
    for key in keys.iter().filter(|key| key.kind != KIND) {
        let near = incident::near(conn, tenant, key, finding, settings.span)?;
        let crowd = near.iter().filter(|sharer| sharer.story != finding.kind()).count();
        let elsewhere = match near.is_empty() {
            true => continue,
            false => incident::elsewhere(conn, tenant, key, finding, settings.span)?,
        };
        let rarity = 1.0 / (1.0 + elsewhere as f64 / 4.0 + crowd.saturating_sub(CROWD) as f64 / 8.0);
        for sharer in near.into_iter().filter(|sharer| !sharer.is_storm) {
            if let Some(id) = &sharer.incident {
                shared.entry(id.clone()).or_default().push(Tie { key, rarity, sharer });
            }
        }
    }
    Ok(shared)
}

/// The strongest tie of each kind, added up, less what speaks against it.
fn weigh(finding: &Finding, incident: &Incident, ties: &[Tie<'_>]) -> f64 {
    let mut strongest: BTreeMap<&str, f64> = BTreeMap::new();
    for tie in ties {
        let weight = tie.rarity * (base(tie.key) + bonus(finding, incident, tie));
        let known = strongest.entry(tie.key.kind).or_default();
        *known = known.max(weight);
    }
    strongest.values().sum::<f64>() - conflict(finding, incident)
}

/// What a shared thing weighs by itself.
fn base(key: &Key) -> f64 {
    match key.kind {
        REQUEST => 1.5,
        IP if keys::is_private(&key.value) => 0.6,
        ACCOUNT if is_busy(&key.value) => 0.6,
        ACCOUNT => 0.8,
        INSIDE => 0.7,
        IP | SERVICE => 1.0,
        _ => 0.0,
    }
}

/// Accounts that every host has and many processes use.
fn is_busy(account: &str) -> bool {
    const BUSY: [&str; 8] = ["root", "admin", "nobody", "www-data", "nginx", "postgres", "mysql", "git"];
    account.split_once('@').is_some_and(|(user, _)| BUSY.contains(&user))
}

/// What makes a tie stronger: one host, one kind, an attack that goes on in the right order.
fn bonus(finding: &Finding, incident: &Incident, tie: &Tie<'_>) -> f64 {
    let is_same_kind = tie.sharer.story == finding.kind();
    let is_same_host = tie.key.kind == IP && !incident.hosts.is_disjoint(&finding.hosts);
    let goes_on = {
        let (mine, theirs) = (Role::of(finding.category), keys::role_of_kind(&tie.sharer.story));
        let is_attack = mine != Role::Fault && theirs != Role::Fault;
        is_attack
            && (theirs < mine && tie.sharer.first <= finding.last_seen
                || mine < theirs && finding.first_seen <= tie.sharer.last)
    };
    let same_kind = match tie.key.kind {
        IP | REQUEST => 0.6,
        // Two of one kind on one host are two things unless more is shared.
        _ => 0.0,
    };
    f64::from(u8::from(is_same_kind)) * same_kind
        + f64::from(u8::from(is_same_host)) * 0.5
        + f64::from(u8::from(goes_on)) * if tie.key.kind == ACCOUNT { 0.4 } else { 0.3 }
}

/// What speaks against it.
fn conflict(finding: &Finding, incident: &Incident) -> f64 {
    let actors: BTreeSet<String> = match keys::is_inside(Role::of(finding.category)) {
        true => keys::actors(finding).into_iter().map(str::to_owned).collect(),
        false => BTreeSet::new(),
    };
    let ips = if differ(&finding.source_ips, &incident.source_ips) { 1.0 } else { 0.0 };
    ips + if differ(&actors, &incident.users) { 0.5 } else { 0.0 }
}

/// Whether both are known and have nothing in common.
pub(super) fn differ(mine: &BTreeSet<String>, theirs: &BTreeSet<String>) -> bool {
    !mine.is_empty() && !theirs.is_empty() && mine.is_disjoint(theirs)
}
