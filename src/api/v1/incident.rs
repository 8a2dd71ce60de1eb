//! `GET` and `PATCH /api/v1/incidents/{id}`: one incident with its timeline; a person says where it stands.
//!
//! The status of an incident and those of its findings change in one transaction.

use axum::{
    Json,
    extract::{Path, Request, State},
};
use serde::Deserialize;

use crate::{
    api::{Api, body, caller::Admin, caller::Reader, error::ApiError, params::Params},
    model::{FindingId, FindingStatus, Incident, IncidentId, Timestamp},
    store::{
        Change, StoreError, Transaction,
        incident::{self, IncidentChange},
    },
};

/// Findings that are announced one by one; who shows more reads again.
const ANNOUNCED_MAX: usize = 50;

/// Shows an incident.
pub async fn one(
    State(api): State<Api>,
    Reader(tenant): Reader,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Incident>, ApiError> {
    params.end()?;
    let found = api.query.incident(&tenant, IncidentId(id)).await?;
    found.map(Json).ok_or(ApiError::NotFound("incident"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    status: Option<FindingStatus>,
    note: Option<String>,
}

/// Changes status, note or both. An empty note removes it.
pub async fn change(
    State(api): State<Api>,
    Admin(tenant): Admin,
    Path(id): Path<String>,
    params: Params,
    request: Request,
) -> Result<Json<Incident>, ApiError> {
    params.end()?;
    let wanted: Wanted = body::json(request).await?;
    if wanted.status.is_none() && wanted.note.is_none() {
        return Err(ApiError::BadBody("nothing to change; give 'status', 'note' or both".to_owned()));
    }
    body::check_note(wanted.note.as_deref())?;
    let wanted = IncidentChange { status: wanted.status, note: wanted.note };
    let (number, now) = (api.query.tenant_number(&tenant), api.query.now());
    match api.store.write(move |tx| apply(tx, number, &IncidentId(id), &wanted, now)).await? {
        Outcome::Changed(incident, findings) => {
            for id in findings.into_iter().take(ANNOUNCED_MAX) {
                api.store.announce(Change::Finding { tenant: number, id });
            }
            api.store.announce(Change::Taught);
            api.store.announce(Change::Incident { tenant: number, id: incident.id.clone() });
            Ok(Json(*incident))
        }
        Outcome::Refused { from, to } => Err(ApiError::BadTransition { what: "incident", from, to }),
        Outcome::Merged(into) => Err(ApiError::Merged { into }),
        Outcome::Missing => Err(ApiError::NotFound("incident")),
    }
}

enum Outcome {
    Changed(Box<Incident>, Vec<FindingId>),
    Refused { from: FindingStatus, to: FindingStatus },
    Merged(IncidentId),
    Missing,
}

fn apply(
    tx: &Transaction<'_>,
    tenant: i64,
    id: &IncidentId,
    wanted: &IncidentChange,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let Some(current) = incident::get(tx, tenant, id)? else { return Ok(Outcome::Missing) };
    if let Some(into) = current.merged_into {
        return Ok(Outcome::Merged(into));
    }
    if let Some(to) = wanted.status
        && !current.status.may_become(to)
    {
        return Ok(Outcome::Refused { from: current.status, to });
    }
    let changed = incident::change(tx, tenant, id, wanted, ("person", now))?;
    Ok(changed
        .map_or(Outcome::Missing, |(incident, findings)| Outcome::Changed(Box::new(incident), findings)))
}
