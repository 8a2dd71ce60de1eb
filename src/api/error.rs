//! What goes wrong for a caller of `/api/v1`, and how it is told: `{"error": {"code", "message"}}`.
//!
//! Status codes live here only. What is our own fault is logged and answered without detail.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    model::{FindingStatus, IncidentId},
    query::QueryError,
    store::StoreError,
};

/// Seconds after which a caller may try again when the server is busy.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request to `/api/v1` was refused.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// A parameter's value makes no sense.
    #[error("parameter '{name}': {reason}")]
    BadParameter {
        /// Which one.
        name: String,
        /// What it should be.
        reason: String,
    },
    /// Parameters that this endpoint does not have.
    #[error("unknown parameter{} {}; known: {known}", if .names.contains(',') { "s" } else { "" }, .names)]
    UnknownParameters {
        /// Which ones, quoted.
        names: String,
        /// Which ones there are.
        known: String,
    },
    /// The query string is not one.
    #[error("the query string is not readable: {0}")]
    BadQueryString(String),
    /// The body is not what the endpoint takes.
    #[error("body: {0}")]
    BadBody(String),
    /// No such thing, or not this tenant's.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// A finding or incident cannot go from the one status to the other.
    #[error("the {what} is {} and cannot become {}", .from.as_str(), .to.as_str())]
    BadTransition {
        /// What it is.
        what: &'static str,
        /// Its status.
        from: FindingStatus,
        /// The wanted one.
        to: FindingStatus,
    },
    /// A note of the knowledge folder is changed there.
    #[error("this note is a file of the knowledge folder: change it there")]
    NoteIsFile,
    /// No further note is taken.
    #[error("there are {limit} notes, no more are kept: delete some")]
    TooManyNotes {
        /// How many are kept.
        limit: usize,
    },
    /// The incident has become a part of another.
    #[error("the incident has become a part of incident {}", .into.0)]
    Merged {
        /// Of which.
        into: IncidentId,
    },
    /// A list that people fill is full.
    #[error("there are {limit} {what} already; remove some first")]
    TooMany {
        /// What they are.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Every place of the event stream is taken.
    #[error("too many listeners: {limit} are served at a time")]
    TooManyListeners {
        /// How many places there are.
        limit: usize,
    },
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Metrics could not be written; two metrics disagree.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let QueryError::Store(error) = error;
        ApiError::Store(error)
    }
}

impl ApiError {
    /// Status, code and whether trying again makes sense.
    fn classify(&self) -> (StatusCode, &'static str, bool) {
        use ApiError as E;
        match self {
            E::BadParameter { .. } => (StatusCode::BAD_REQUEST, "bad_parameter", false),
            E::UnknownParameters { .. } => (StatusCode::BAD_REQUEST, "unknown_parameter", false),
            E::BadQueryString(_) => (StatusCode::BAD_REQUEST, "bad_query_string", false),
            E::BadBody(_) => (StatusCode::BAD_REQUEST, "bad_body", false),
            E::NotFound(_) => (StatusCode::NOT_FOUND, "not_found", false),
            E::BadTransition { .. } => (StatusCode::CONFLICT, "bad_transition", false),
            E::NoteIsFile => (StatusCode::CONFLICT, "note_is_file", false),
            E::TooManyNotes { .. } => (StatusCode::CONFLICT, "too_many_notes", false),
            E::Merged { .. } => (StatusCode::CONFLICT, "merged", false),
            E::TooMany { .. } => (StatusCode::CONFLICT, "too_many", false),
            E::TooManyListeners { .. } => (StatusCode::SERVICE_UNAVAILABLE, "too_many_listeners", true),
            E::Store(StoreError::Busy) => (StatusCode::SERVICE_UNAVAILABLE, "busy", true),
            E::Store(StoreError::Unavailable(_) | StoreError::Closed) => {
                (StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", true)
            }
            E::Store(_) | E::Metrics(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", false),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code, again) = self.classify();
        let message = if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self, "request failed");
            "something went wrong here; the log says what".to_owned()
        } else {
            self.to_string()
        };
        let mut response = answer(status, code, &message);
        if again {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

/// An error in the shape of `/api/v1`.
pub fn answer(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}
