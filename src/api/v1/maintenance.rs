//! Maintenance windows: `POST` and `GET /api/v1/maintenance`, `DELETE /api/v1/maintenance/{id}`.

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::{
        Api, body,
        caller::{Admin, Reader},
        error::ApiError,
        params::Params,
        v1::untaught,
    },
    model::{MAINTENANCE_MAX, Maintenance, Selector, SelectorError, Timestamp, Weekly},
    store::{Change, maintenance},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    selector: String,
    from: Option<Timestamp>,
    to: Timestamp,
    weekly: Option<Weekly>,
    note: Option<String>,
}

/// Enters a window.
pub async fn add(
    State(api): State<Api>,
    Admin(tenant): Admin,
    params: Params,
    request: Request,
) -> Result<(StatusCode, Json<Maintenance>), ApiError> {
    params.end()?;
    let wanted: Wanted = body::json(request).await?;
    let new = window_of(wanted, api.query.now())?;
    let (number, stored) = (api.store.streams().tenant_number(&tenant), new.clone());
    if !api.store.write(move |tx| maintenance::add(tx, number, &stored)).await? {
        let limit = maintenance::MAINTENANCE_WINDOWS_MAX;
        return Err(ApiError::TooMany { what: "maintenance windows", limit });
    }
    api.store.announce(Change::Taught);
    Ok((StatusCode::CREATED, Json(new)))
}

/// Lists windows, past ones, too.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    params.end()?;
    Ok(Json(json!({ "maintenance": api.query.maintenance(&tenant).await? })))
}

/// Removes a window.
pub async fn remove(
    State(api): State<Api>,
    Admin(tenant): Admin,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode, ApiError> {
    params.end()?;
    untaught::remove(&api, &tenant, "maintenance window", move |tx, number| {
        maintenance::remove(tx, number, &id)
    })
    .await
}

fn window_of(wanted: Wanted, now: Timestamp) -> Result<Maintenance, ApiError> {
    let bad = |problem: &str| Err(ApiError::BadBody(problem.to_owned()));
    wanted
        .selector
        .parse::<Selector>()
        .map_err(|error: SelectorError| ApiError::BadBody(error.to_string()))?;
    body::check_note(wanted.note.as_deref())?;
    let from = wanted.from.unwrap_or(now);
    if wanted.to <= from {
        return bad("'to' must be after 'from'");
    }
    if wanted.to.since(from) > MAINTENANCE_MAX {
        return bad("longer than a year: enter it again when it is over");
    }
    if wanted.weekly.as_ref().is_some_and(|weekly| !weekly.is_sound()) {
        return bad("'weekly' needs at least one of 'days', and 'minutes' from 1 to 1440");
    }
    Ok(Maintenance {
        id: maintenance::new_id(now),
        selector: wanted.selector,
        from,
        to: wanted.to,
        weekly: wanted.weekly,
        note: wanted.note.filter(|note| !note.is_empty()),
        created_at: now,
    })
}
