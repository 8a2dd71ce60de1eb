//! `POST /loki/api/v1/push`, `/api/prom/push` and OpenTelemetry's `/otlp/v1/logs`: the body is read with a cap,
//! everything else is `ingest`'s.

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::caller::Pusher;
use crate::{
    ingest::{InFlight, Ingest, PushRefused},
    wire::{
        otlp,
        push::{DecodeError, Format},
    },
};

/// What is set aside for a body before its bytes arrive; a longer announcement is believed when it comes true.
const FIRST_RESERVE: usize = 256 * 1024;

/// OpenTelemetry's paths: Loki's, and what exporters make of an address without a path.
const OTLP_PATHS: [&str; 2] = ["/otlp/v1/logs", "/v1/logs"];

/// The push routes.
pub fn routes(ingest: Ingest) -> Router {
    Router::new()
        .route("/loki/api/v1/push", post(push))
        .route("/api/prom/push", post(push_legacy))
        .route(OTLP_PATHS[0], post(push_otlp))
        .route(OTLP_PATHS[1], post(push_otlp))
        .layer(DefaultBodyLimit::disable())
        .with_state(ingest)
}

async fn push(State(ingest): State<Ingest>, pusher: Pusher, request: Request) -> Response {
    let format = format(request.headers(), |kind, encoding| Format::from_headers(kind, encoding, false));
    answer(&ingest, accept(&ingest, pusher, format, request).await, plain)
}

async fn push_legacy(State(ingest): State<Ingest>, pusher: Pusher, request: Request) -> Response {
    let format = format(request.headers(), |kind, encoding| Format::from_headers(kind, encoding, true));
    answer(&ingest, accept(&ingest, pusher, format, request).await, plain)
}

async fn push_otlp(State(ingest): State<Ingest>, pusher: Pusher, request: Request) -> Response {
    let format = format(request.headers(), Format::from_otlp_headers);
    answer(&ingest, accept(&ingest, pusher, format, request).await, otlp_status)
}

/// Answers even a panic in OpenTelemetry's way.
pub async fn otlp_failures(request: Request, next: Next) -> Response {
    let is_otlp = OTLP_PATHS.contains(&request.uri().path());
    let response = next.run(request).await;
    match response.status() {
        status @ StatusCode::INTERNAL_SERVER_ERROR if is_otlp => otlp_status(status, "internal error"),
        _ => response,
    }
}

/// Why a push is not stored.
enum Failed {
    /// Refused while its body was being received.
    Early(PushRefused),
    /// Refused by the push path, which counted it.
    Late(PushRefused),
    /// The client went away or was too slow.
    Cut,
}

async fn accept(
    ingest: &Ingest,
    Pusher(tenant): Pusher,
    format: Result<Format, DecodeError>,
    request: Request,
) -> Result<(), Failed> {
    let (head, body) = request.into_parts();
    let format = format.map_err(|error| Failed::Early(error.into()))?;
    let mut in_flight = ingest.in_flight();
    let body = receive(body, &head.headers, ingest.max_body_bytes(), &mut in_flight).await?;
    ingest.accept(&tenant, format, body).await.map(|_| ()).map_err(Failed::Late)
}

/// What the content type and encoding of a body say.
fn format(
    headers: &HeaderMap,
    read: impl FnOnce(Option<&[u8]>, Option<&[u8]>) -> Result<Format, DecodeError>,
) -> Result<Format, DecodeError> {
    let value = |name| headers.get(name).map(HeaderValue::as_bytes);
    read(value(header::CONTENT_TYPE), value(header::CONTENT_ENCODING))
}

/// Reads a body of at most `max` bytes, counting them while they arrive.
async fn receive(
    mut body: Body,
    headers: &HeaderMap,
    max: usize,
    in_flight: &mut InFlight,
) -> Result<Bytes, Failed> {
    let too_large = |size| Failed::Early(DecodeError::TooLarge { size, max }.into());
    let announced: Option<usize> = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    if let Some(size) = announced.filter(|size| *size > max) {
        return Err(too_large(size));
    }
    let mut received = BytesMut::with_capacity(announced.unwrap_or(0).min(FIRST_RESERVE));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Failed::Cut)?.into_data() else { continue };
        if received.len() + data.len() > max {
            return Err(too_large(received.len() + data.len()));
        }
        if !in_flight.grow(data.len()) {
            return Err(Failed::Early(PushRefused::Busy));
        }
        received.extend_from_slice(&data);
    }
    Ok(received.freeze())
}

/// The answer; `tell` makes one of a status and a text.
fn answer(ingest: &Ingest, result: Result<(), Failed>, tell: fn(StatusCode, &str) -> Response) -> Response {
    let refused = match result {
        Ok(()) => return StatusCode::NO_CONTENT.into_response(),
        Err(Failed::Cut) => return tell(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive"),
        Err(Failed::Late(refused)) => refused,
        Err(Failed::Early(refused)) => {
            ingest.count_refused(&refused);
            refused
        }
    };
    if let PushRefused::Unavailable(cause) = &refused {
        tracing::warn!(%cause, "a push could not be stored");
    }
    let status = status(&refused);
    let mut response = tell(status, &refused.to_string());
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        let seconds = ingest.retry_after().as_secs().max(1);
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn status(refused: &PushRefused) -> StatusCode {
    match refused {
        PushRefused::Body(error) if error.is_size() => StatusCode::PAYLOAD_TOO_LARGE,
        PushRefused::Body(_) | PushRefused::Labels(_) | PushRefused::Invalid(_) => StatusCode::BAD_REQUEST,
        PushRefused::NoStreams => StatusCode::UNPROCESSABLE_ENTITY,
        PushRefused::TooFast(_) | PushRefused::Busy => StatusCode::TOO_MANY_REQUESTS,
        PushRefused::Blocked { status, .. } => StatusCode::from_u16(*status).unwrap_or(StatusCode::FORBIDDEN),
        PushRefused::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// An error as Loki's clients know it: one line of plain text.
fn plain(status: StatusCode, text: &str) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, format!("{text}\n")).into_response()
}

/// An error as OpenTelemetry's exporters know it. They never send again what was answered 500.
fn otlp_status(status: StatusCode, text: &str) -> Response {
    let status = match status {
        StatusCode::INTERNAL_SERVER_ERROR => StatusCode::SERVICE_UNAVAILABLE,
        status => status,
    };
    let headers =
        [(header::CONTENT_TYPE, otlp::STATUS_CONTENT_TYPE), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, otlp::status(text)).into_response()
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;
    use tower::ServiceExt;

    use super::*;
    use crate::{store::StoreError, wire::labels};

    #[test]
    fn every_refusal_has_the_status_clients_act_on() {
        let labels = labels::parse(b"{a=b}").unwrap_err();
        let too_large = DecodeError::TooLarge { size: 2, max: 1 };
        for (refused, expected) in [
            (PushRefused::Body(DecodeError::Snappy), 400),
            (PushRefused::Body(too_large), 413),
            (PushRefused::Labels(labels), 400),
            (PushRefused::NoStreams, 422),
            (PushRefused::Invalid(String::new()), 400),
            (PushRefused::TooFast(String::new()), 429),
            (PushRefused::Busy, 429),
            (PushRefused::Unavailable(StoreError::Closed), 503),
        ] {
            assert_eq!(status(&refused).as_u16(), expected, "{refused:?}");
        }
    }

    #[tokio::test]
    async fn an_exporter_that_met_a_panic_is_asked_to_come_again() {
        let failing = || async { StatusCode::INTERNAL_SERVER_ERROR };
        let router: Router = Router::new()
            .route("/v1/logs", post(failing))
            .route("/loki/api/v1/push", post(failing))
            .layer(axum::middleware::from_fn(otlp_failures));
        for (path, expected) in [("/v1/logs", 503), ("/loki/api/v1/push", 500)] {
            let request = Request::post(path).body(Body::empty()).unwrap();
            assert_eq!(router.clone().oneshot(request).await.unwrap().status().as_u16(), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_cap_whatever_it_announces() {
        let metrics = crate::telemetry::IngestMetrics::register(&Registry::new()).unwrap();
        let mut in_flight = InFlight::unlimited(metrics);
        let body = || Body::from("0123456789");
        let read = receive(body(), &HeaderMap::new(), 10, &mut in_flight).await;
        assert!(matches!(read, Ok(bytes) if bytes == "0123456789"));
        let cut = receive(body(), &HeaderMap::new(), 9, &mut in_flight).await;
        let expected = DecodeError::TooLarge { size: 10, max: 9 };
        assert!(matches!(cut, Err(Failed::Early(PushRefused::Body(error))) if error == expected));
        let announced = HeaderMap::from_iter([(header::CONTENT_LENGTH, 1_000_001.into())]);
        let refused = receive(Body::empty(), &announced, 1_000_000, &mut in_flight).await;
        assert!(matches!(refused, Err(Failed::Early(PushRefused::Body(error))) if error.to_string()
            == "request body too large: message size too large than max (1000001 vs 1000000)"));
    }
}
