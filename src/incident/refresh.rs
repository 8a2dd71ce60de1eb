//! An incident's row, made from its findings: whatever was done to them, the row says what they say now.

use super::tell;
use crate::{
    model::{Finding, Incident, IncidentId, Role, TimelineEntry, Timestamp},
    store::{
        StoreError, Transaction,
        incident::{self, Totals},
    },
};

/// Findings in the timeline: so many first ones and as many of the newest.
const TIMELINE_ENDS: usize = 50;
/// Addresses, users, hosts, services and fingerprints named by an incident, each.
const SET_MAX: usize = 100;

/// Makes the row again; says whether it has changed.
pub(super) fn refresh(
    tx: &Transaction<'_>,
    tenant: i64,
    id: &IncidentId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(known) = incident::get(tx, tenant, id)? else { return Ok(false) };
    let Some(totals) = incident::totals(tx, id)? else { return Ok(false) };
    let members = incident::members(tx, id, TIMELINE_ENDS)?;
    let hosts = if known.is_storm { incident::count_hosts(tx, id)? } else { 0 };
    let told = tell::tell(&members, &totals, known.is_storm.then_some(hosts));
    let mut new = gathered(known.clone(), &members, &totals);
    (new.title, new.summary) = (told.title, told.summary);
    if new.severity > known.severity && known.findings > 0 {
        let what = format!("now {}, was {}", new.severity.as_str(), known.severity.as_str());
        incident::record(&mut new, "correlation", what, totals.updated);
    }
    if new == known {
        return Ok(false);
    }
    new.updated_at = now.max(known.updated_at);
    let kind = members.first().map(Finding::kind);
    let kind = kind.filter(|kind| members.iter().all(|member| member.kind() == *kind));
    incident::put(tx, tenant, &new, kind)?;
    Ok(true)
}

/// The facts of the findings in the place of those the incident had.
fn gathered(known: Incident, members: &[Finding], totals: &Totals) -> Incident {
    let has_news = totals.count > known.count || totals.findings > known.findings;
    let mut new = Incident {
        severity: totals.severity,
        muted: totals.muted,
        first_seen: totals.first,
        last_seen: totals.last,
        count: totals.count,
        findings: totals.findings,
        active_at: if has_news { known.active_at.max(totals.updated) } else { known.active_at },
        timeline: members.iter().map(entry).collect(),
        ..known
    };
    new.categories = members.iter().map(|member| member.category).collect();
    new.hosts = members.iter().flat_map(|member| &member.hosts).take(SET_MAX).cloned().collect();
    new.users = members.iter().flat_map(|member| &member.users).take(SET_MAX).cloned().collect();
    new.source_ips = members.iter().flat_map(|member| &member.source_ips).take(SET_MAX).cloned().collect();
    let services = members.iter().filter_map(|member| member.affected_service.as_ref());
    new.affected_services = services.cloned().collect();
    new.fingerprints = members.iter().map(|member| member.fingerprint.clone()).collect();
    new
}

fn entry(finding: &Finding) -> TimelineEntry {
    TimelineEntry {
        finding: finding.id.clone(),
        role: Role::of(finding.category),
        title: finding.title.clone(),
        severity: finding.severity,
        category: finding.category,
        count: finding.count,
        first_seen: finding.first_seen,
        last_seen: finding.last_seen,
    }
}
