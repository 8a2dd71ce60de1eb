//! `/api/v1/knowledge`: the operator's notes, which the model is shown where they fit. Reading needs the read role,
//! writing the admin role; files of the knowledge folder are listed too and changed there.

use axum::{
    Json,
    body::to_bytes,
    extract::{Path, Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::Value;

use super::{DEFAULT_PAGE, page};
use crate::{
    api::{
        Api,
        caller::{Admin, Reader},
        cursor,
        error::ApiError,
        params::Params,
    },
    model::{NOTE_BODY_MAX, Note, NoteDraft, NoteId},
    store::note::{self, NOTES_MAX, NoteChanged},
};

/// Notes of a page at most: each may be as long as a file.
const MAX_PAGE: usize = 100;
/// A note with every character escaped.
const BODY_MAX_BYTES: usize = 8 * NOTE_BODY_MAX;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    title: String,
    body: String,
}

/// Lists notes in order of number.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    mut params: Params,
) -> Result<Json<Value>, ApiError> {
    let after = cursor::param(&mut params)?;
    let limit = params.count("limit", DEFAULT_PAGE, MAX_PAGE)?;
    params.end()?;
    Ok(Json(page("notes", &api.query.notes(&tenant, after, limit).await?)))
}

/// Shows one note.
pub async fn one(
    State(api): State<Api>,
    Reader(tenant): Reader,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Note>, ApiError> {
    params.end()?;
    let note = api.query.note(&tenant, number(&id)?).await?;
    note.map(Json).ok_or(ApiError::NotFound("note"))
}

/// Writes a new note.
pub async fn add(
    State(api): State<Api>,
    Admin(tenant): Admin,
    params: Params,
    request: Request,
) -> Result<(StatusCode, Json<Note>), ApiError> {
    params.end()?;
    let (note, now) = (read(request).await?, api.query.now());
    // Notes may be written before the first line of the tenant has come.
    let tenant = api.store.streams().tenant_number(&tenant);
    let changed = api.store.write(move |tx| note::add(tx, tenant, &note, now)).await?;
    Ok((StatusCode::CREATED, Json(done(changed)?)))
}

/// Replaces the words of a note.
pub async fn replace(
    State(api): State<Api>,
    Admin(tenant): Admin,
    Path(id): Path<String>,
    params: Params,
    request: Request,
) -> Result<Json<Note>, ApiError> {
    params.end()?;
    let (id, note, now) = (number(&id)?, read(request).await?, api.query.now());
    let tenant = api.query.tenant_number(&tenant);
    let changed = api.store.write(move |tx| note::replace(tx, tenant, id, &note, now)).await?;
    Ok(Json(done(changed)?))
}

/// Deletes a note; shows it a last time.
pub async fn delete(
    State(api): State<Api>,
    Admin(tenant): Admin,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Note>, ApiError> {
    params.end()?;
    let (id, tenant) = (number(&id)?, api.query.tenant_number(&tenant));
    Ok(Json(done(api.store.write(move |tx| note::delete(tx, tenant, id)).await?)?))
}

fn done(changed: NoteChanged) -> Result<Note, ApiError> {
    match changed {
        NoteChanged::Done(note) => Ok(*note),
        NoteChanged::Missing => Err(ApiError::NotFound("note")),
        NoteChanged::IsFile => Err(ApiError::NoteIsFile),
        NoteChanged::TooMany => Err(ApiError::TooManyNotes { limit: NOTES_MAX }),
    }
}

fn number(id: &str) -> Result<NoteId, ApiError> {
    id.parse().map(NoteId).map_err(|_| ApiError::NotFound("note"))
}

async fn read(request: Request) -> Result<NoteDraft, ApiError> {
    let body = to_bytes(request.into_body(), BODY_MAX_BYTES)
        .await
        .map_err(|_| ApiError::BadBody(format!("larger than {BODY_MAX_BYTES} bytes, or cut off")))?;
    let wanted: Wanted =
        serde_json::from_slice(&body).map_err(|error| ApiError::BadBody(error.to_string()))?;
    NoteDraft::new(&wanted.title, &wanted.body).map_err(|error| ApiError::BadBody(error.to_string()))
}
