//! Bodies of `/api/v1`: small, strict JSON.

use std::time::Duration;

use axum::{body::to_bytes, extract::Request};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A note is a paragraph, not a document.
const NOTE_MAX_BYTES: usize = 8 * 1024;
/// The note, escaped, and the rest of the JSON.
const BODY_MAX_BYTES: usize = 64 * 1024;

/// Reads a body.
pub async fn json<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    let body = to_bytes(request.into_body(), BODY_MAX_BYTES)
        .await
        .map_err(|_| ApiError::BadBody(format!("larger than {BODY_MAX_BYTES} bytes, or cut off")))?;
    serde_json::from_slice(&body).map_err(|error| ApiError::BadBody(error.to_string()))
}

/// Refuses a note that is too long.
pub fn check_note(note: Option<&str>) -> Result<(), ApiError> {
    if note.is_some_and(|note| note.len() > NOTE_MAX_BYTES) {
        return Err(ApiError::BadBody(format!("'note' is longer than {NOTE_MAX_BYTES} bytes")));
    }
    Ok(())
}

/// Reads a span of time such as `30m`, `12h` or `7d`; a day has 24 hours.
pub fn span(name: &str, text: &str) -> Result<Duration, ApiError> {
    let read = || {
        let span: jiff::Span = text.parse().ok()?;
        let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
        Duration::try_from(length).ok().filter(|length| !length.is_zero())
    };
    read()
        .ok_or_else(|| ApiError::BadBody(format!("'{name}': '{text}' is no duration; write 30m, 12h or 7d")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        assert_eq!(span("x", "7d").unwrap(), Duration::from_secs(7 * 86_400));
        assert_eq!(span("x", "1h 30m").unwrap(), Duration::from_secs(5_400));
        for text in ["", "0s", "-1h", "soon", "7"] {
            assert!(span("x", text).is_err(), "{text}");
        }
    }
}
