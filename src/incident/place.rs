//! Where a finding belongs: to the incident of the same thing, to one it shares enough with, to a storm, or to a new one.

use std::collections::BTreeSet;

use super::{Settings, Written, keys, lifecycle, refresh, weigh};
use crate::{
    model::{Finding, FindingStatus, Incident, IncidentId},
    store::{
        StoreError, Transaction,
        finding::Changed,
        incident::{self, Key},
    },
};

/// Incidents joined into one because a finding belongs to all of them.
const BRIDGED_MAX: usize = 4;

/// What placing collects.
pub(super) struct Outcome<'a> {
    /// Incidents whose row must be made again.
    pub touched: &'a mut BTreeSet<(i64, IncidentId)>,
    pub written: &'a mut Written,
}

/// Places one finding. Placing it again changes nothing.
pub(super) fn place(
    tx: &Transaction<'_>,
    settings: &Settings,
    changed: &Changed,
    outcome: &mut Outcome<'_>,
) -> Result<(), StoreError> {
    let (tenant, finding) = (changed.tenant, &changed.finding);
    let keys = keys::keys(finding);
    incident::put_keys(tx, tenant, finding, &keys)?;
    let is_open = is_open(finding.status);
    let mut own = match &finding.incident_id {
        Some(id) => incident::get(tx, tenant, id)?,
        None => same_thing(tx, settings, tenant, finding, outcome)?,
    };
    let is_free = is_open && own.as_ref().is_none_or(|own| is_open_incident(own) && !own.is_storm);
    if is_free {
        let mut found = weigh::belongs_to(tx, tenant, finding, &keys, settings)?.into_iter();
        own = own.or_else(|| found.next());
        if let Some(main) = own.take() {
            // A finding without an address may fit two attackers; that does not make them one.
            let fits =
                |other: &Incident| other.id != main.id && !weigh::differ(&main.source_ips, &other.source_ips);
            let others = found.filter(fits).take(BRIDGED_MAX).collect();
            own = Some(merge_all(tx, tenant, main, others, outcome)?);
        }
    }
    let own = match own {
        Some(own) => own,
        None => begin(tx, tenant, finding, outcome)?,
    };
    if finding.incident_id.as_ref() != Some(&own.id) {
        incident::join(tx, &finding.id, &own.id)?;
    }
    if own.is_storm {
        // Its many findings are added up once per batch.
        outcome.touched.insert((tenant, own.id.clone()));
        return Ok(());
    }
    if refresh::refresh(tx, tenant, &own.id, finding.updated_at)? {
        outcome.written.incidents.insert((tenant, own.id.clone()));
    }
    if is_free && is_of_kind(tx, &own, finding.kind())? {
        storm(tx, settings, (tenant, finding), own, outcome)?;
    }
    Ok(())
}

/// The incident of the same thing, opened again if it ended lately.
fn same_thing(
    tx: &Transaction<'_>,
    settings: &Settings,
    tenant: i64,
    finding: &Finding,
    outcome: &mut Outcome<'_>,
) -> Result<Option<Incident>, StoreError> {
    let Some(id) = incident::of_fingerprint(tx, tenant, &finding.fingerprint, &finding.id)? else {
        return Ok(None);
    };
    let Some(mut known) = incident::get(tx, tenant, &id)? else { return Ok(None) };
    if is_open_incident(&known) {
        return Ok(Some(known));
    }
    let ended = known.closed_at.unwrap_or(known.active_at);
    let is_late = finding.created_at.since(ended) > settings.reopen_within;
    if known.status == FindingStatus::FalsePositive || is_late || !is_open(finding.status) {
        return Ok(None);
    }
    lifecycle::reopen(&mut known, finding.created_at);
    incident::put(tx, tenant, &known, incident::kind(tx, &id)?.as_deref())?;
    outcome.written.events.push("reopened");
    Ok(Some(known))
}

/// A new incident of this one finding.
fn begin(
    tx: &Transaction<'_>,
    tenant: i64,
    finding: &Finding,
    outcome: &mut Outcome<'_>,
) -> Result<Incident, StoreError> {
    let now = finding.updated_at;
    let mut new = Incident {
        id: incident::new_id(now),
        tenant: finding.tenant.clone(),
        title: finding.title.clone(),
        summary: finding.summary.clone(),
        severity: finding.severity,
        status: finding.status,
        is_flapping: false,
        is_storm: false,
        muted: finding.muted,
        categories: BTreeSet::from([finding.category]),
        hosts: finding.hosts.clone(),
        users: finding.users.clone(),
        source_ips: finding.source_ips.clone(),
        affected_services: finding.affected_service.iter().cloned().collect(),
        first_seen: finding.first_seen,
        last_seen: finding.last_seen,
        count: 0,
        findings: 0,
        timeline: Vec::new(),
        fingerprints: BTreeSet::from([finding.fingerprint.clone()]),
        reopened: 0,
        merged_into: None,
        note: None,
        active_at: now,
        closed_at: (!is_open(finding.status)).then_some(now),
        created_at: now,
        updated_at: now,
        audit: Vec::new(),
    };
    incident::record(&mut new, "correlation", "opened".to_owned(), now);
    incident::put(tx, tenant, &new, Some(finding.kind()))?;
    outcome.written.events.push("opened");
    Ok(new)
}

/// Joins incidents into the eldest of them.
fn merge_all(
    tx: &Transaction<'_>,
    tenant: i64,
    main: Incident,
    others: Vec<Incident>,
    outcome: &mut Outcome<'_>,
) -> Result<Incident, StoreError> {
    if others.is_empty() {
        return Ok(main);
    }
    let mut all = others;
    all.push(main);
    all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    let mut all = all.into_iter();
    let Some(mut eldest) = all.next() else { return Err(StoreError::Closed) };
    for other in all {
        absorb(tx, tenant, &mut eldest, other, outcome)?;
    }
    Ok(eldest)
}

/// Makes one incident a part of another.
fn absorb(
    tx: &Transaction<'_>,
    tenant: i64,
    into: &mut Incident,
    mut other: Incident,
    outcome: &mut Outcome<'_>,
) -> Result<(), StoreError> {
    let now = into.active_at.max(other.active_at);
    incident::move_members(tx, &other.id, &into.id)?;
    if other.status == FindingStatus::Open {
        into.status = FindingStatus::Open;
    }
    (into.reopened, into.is_flapping) =
        (into.reopened + other.reopened, into.is_flapping | other.is_flapping);
    into.note = into.note.take().or_else(|| other.note.clone());
    incident::record(into, "correlation", format!("took in incident {}", other.id.0), now);
    incident::record(&mut other, "correlation", format!("became a part of incident {}", into.id.0), now);
    other.merged_into = Some(into.id.clone());
    other.status = FindingStatus::Resolved;
    other.closed_at = Some(now);
    incident::put(tx, tenant, &other, None)?;
    incident::put(tx, tenant, into, None)?;
    outcome.touched.remove(&(tenant, other.id.clone()));
    outcome.touched.insert((tenant, into.id.clone()));
    outcome.written.incidents.insert((tenant, other.id));
    outcome.written.events.push("merged");
    Ok(())
}

/// Folds the incident into a storm of its kind, if there is one or this makes it one.
fn storm(
    tx: &Transaction<'_>,
    settings: &Settings,
    (tenant, finding): (i64, &Finding),
    own: Incident,
    outcome: &mut Outcome<'_>,
) -> Result<(), StoreError> {
    if !finding.kind().contains('/') || own.status != FindingStatus::Open {
        return Ok(());
    }
    let key = Key { kind: keys::KIND, value: finding.kind().to_owned() };
    let near = incident::near(tx, tenant, &key, finding, settings.span)?;
    let ids: BTreeSet<&IncidentId> = near.iter().filter_map(|sharer| sharer.incident.as_ref()).collect();
    let blowing = near.iter().find(|sharer| sharer.is_storm).and_then(|sharer| sharer.incident.clone());
    if blowing.is_none() && near.len() + 1 < settings.storm.max(2) || ids.iter().all(|id| **id == own.id) {
        return Ok(());
    }
    let mut folded = match blowing {
        Some(id) => incident::get(tx, tenant, &id)?.into_iter().collect::<Vec<_>>(),
        None => Vec::new(),
    };
    if folded.is_empty() {
        for id in ids.into_iter().filter(|id| **id != own.id) {
            let other = incident::get(tx, tenant, id)?;
            // Somebody is on one that is acknowledged.
            if let Some(other) = other.filter(|other| other.status == FindingStatus::Open)
                && is_of_kind(tx, &other, finding.kind())?
            {
                folded.push(other);
            }
        }
        if folded.len() + 1 < settings.storm.max(2) / 2 {
            return Ok(()); // many findings, but of few things
        }
    }
    let mut all = merge_all(tx, tenant, own, folded, outcome)?;
    if !all.is_storm {
        all.is_storm = true;
        let now = all.active_at;
        incident::record(
            &mut all,
            "correlation",
            "folded into one: many of one kind at one time".to_owned(),
            now,
        );
        outcome.written.events.push("storm");
    }
    incident::put(tx, tenant, &all, Some(finding.kind()))?;
    outcome.touched.insert((tenant, all.id));
    Ok(())
}

fn is_open(status: FindingStatus) -> bool {
    matches!(status, FindingStatus::Open | FindingStatus::Acknowledged)
}

fn is_open_incident(incident: &Incident) -> bool {
    is_open(incident.status) && incident.merged_into.is_none()
}

/// Whether all findings of the incident are of this kind.
fn is_of_kind(tx: &Transaction<'_>, incident: &Incident, kind: &str) -> Result<bool, StoreError> {
    Ok(incident::kind(tx, &incident.id)?.as_deref() == Some(kind))
}
