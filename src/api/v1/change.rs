//! `PATCH /api/v1/findings/{id}`: a person says what became of a finding.
//!
//! The check of the transition and the change are one transaction, so two people cannot both win.

use axum::{
    Json,
    body::to_bytes,
    extract::{Path, Request, State},
};
use serde::Deserialize;

use crate::{
    api::{Api, caller::Admin, error::ApiError, params::Params},
    model::{Finding, FindingId, FindingStatus, Timestamp},
    store::{
        Change, StoreError, Transaction,
        finding::{self, FindingChange},
    },
};

/// A note is a paragraph, not a document.
const NOTE_MAX_BYTES: usize = 8 * 1024;
/// The note, escaped, and the rest of the JSON.
const BODY_MAX_BYTES: usize = 64 * 1024;

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
) -> Result<Json<Finding>, ApiError> {
    params.end()?;
    let wanted = read(request).await?;
    let number = api.query.tenant_number(&tenant);
    let (key, now) = (FindingId(id), api.query.now());
    let id = key.clone();
    match api.store.write(move |tx| apply(tx, number, &key, &wanted, now)).await? {
        Outcome::Changed(finding) => {
            api.store.announce(Change::Finding { tenant: number, id });
            Ok(Json(*finding))
        }
        Outcome::Refused { from, to } => Err(ApiError::BadTransition { from, to }),
        Outcome::Missing => Err(ApiError::NotFound("finding")),
    }
}

async fn read(request: Request) -> Result<FindingChange, ApiError> {
    let body = to_bytes(request.into_body(), BODY_MAX_BYTES)
        .await
        .map_err(|_| ApiError::BadBody(format!("larger than {BODY_MAX_BYTES} bytes, or cut off")))?;
    let wanted: Wanted =
        serde_json::from_slice(&body).map_err(|error| ApiError::BadBody(error.to_string()))?;
    if wanted.status.is_none() && wanted.note.is_none() {
        return Err(ApiError::BadBody("nothing to change; give 'status', 'note' or both".to_owned()));
    }
    if wanted.note.as_ref().is_some_and(|note| note.len() > NOTE_MAX_BYTES) {
        return Err(ApiError::BadBody(format!("'note' is longer than {NOTE_MAX_BYTES} bytes")));
    }
    Ok(FindingChange { status: wanted.status, note: wanted.note })
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
    wanted: &FindingChange,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let Some(current) = finding::get(tx, tenant, id)? else { return Ok(Outcome::Missing) };
    if let Some(to) = wanted.status
        && !current.status.may_become(to)
    {
        return Ok(Outcome::Refused { from: current.status, to });
    }
    let changed = finding::change(tx, tenant, id, wanted, now)?;
    Ok(changed.map_or(Outcome::Missing, |finding| Outcome::Changed(Box::new(finding))))
}
