//! `PATCH /api/v1/findings/{id}`: a person says what became of a finding.
//!
//! The check of the transition and the change are one transaction, so two people cannot both win.

use axum::{
    Json,
    extract::{Path, Request, State},
};
use serde::Deserialize;

use crate::{
    api::{Api, body, caller::Admin, error::ApiError, params::Params},
    model::{Finding, FindingId, FindingStatus, Timestamp},
    store::{
        Change, StoreError, Transaction, feedback,
        finding::{self, FindingChange},
        incident,
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    status: Option<FindingStatus>,
    note: Option<String>,
    verdict: Option<Verdict>,
}

/// What a person thinks of a detector's finding; that it was none is said by the status `false_positive`.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Real,
}

/// Changes status or note, or books a verdict. An empty note removes it.
pub async fn change(
    State(api): State<Api>,
    Admin(tenant): Admin,
    Path(id): Path<String>,
    params: Params,
    request: Request,
) -> Result<Json<Finding>, ApiError> {
    params.end()?;
    let (wanted, verdict) = read(request).await?;
    let number = api.query.tenant_number(&tenant);
    let (key, now) = (FindingId(id), api.query.now());
    let id = key.clone();
    let speaks = verdict.is_some() || wanted.status.is_some();
    match api.store.write(move |tx| apply(tx, number, &key, (&wanted, verdict), now)).await? {
        Outcome::Changed(finding) => {
            api.store.announce(Change::Finding { tenant: number, id });
            if speaks {
                api.store.announce(Change::Taught);
            }
            if let Some(id) = finding.incident_id.clone() {
                api.store.announce(Change::Incident { tenant: number, id });
            }
            Ok(Json(*finding))
        }
        Outcome::Refused { from, to } => Err(ApiError::BadTransition { what: "finding", from, to }),
        Outcome::Missing => Err(ApiError::NotFound("finding")),
    }
}

async fn read(request: Request) -> Result<(FindingChange, Option<Verdict>), ApiError> {
    let wanted: Wanted = body::json(request).await?;
    if wanted.status.is_none() && wanted.note.is_none() && wanted.verdict.is_none() {
        let problem = "nothing to change; give 'status', 'note', 'verdict' or several of them";
        return Err(ApiError::BadBody(problem.to_owned()));
    }
    body::check_note(wanted.note.as_deref())?;
    Ok((FindingChange { status: wanted.status, note: wanted.note }, wanted.verdict))
}

enum Outcome {
    Changed(Box<Finding>),
    Refused { from: FindingStatus, to: FindingStatus },
    Missing,
}

fn apply(
    tx: &Transaction<'_>,
    tenant: i64,
    id: &FindingId,
    (wanted, verdict): (&FindingChange, Option<Verdict>),
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let Some(current) = finding::get(tx, tenant, id)? else { return Ok(Outcome::Missing) };
    if let Some(to) = wanted.status
        && !current.status.may_become(to)
    {
        return Ok(Outcome::Refused { from: current.status, to });
    }
    let changed = finding::change(tx, tenant, id, wanted, now)?;
    if let (Some(finding), Some(Verdict::Real)) = (&changed, verdict) {
        feedback::hear(tx, tenant, finding, true, now)?;
    }
    if let Some(incident) = changed.as_ref().and_then(|finding| finding.incident_id.as_ref())
        && wanted.status.is_some()
    {
        incident::follow_findings(tx, tenant, incident, "person", now)?;
    }
    Ok(changed.map_or(Outcome::Missing, |finding| Outcome::Changed(Box::new(finding))))
}
