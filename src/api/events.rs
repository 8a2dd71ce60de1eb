//! `GET /api/v1/events`: findings, incidents and windows as they change, as server-sent events.
//!
//! An event is a hint with the current state attached; the store stays the truth. Whoever may have missed something
//! (fell behind, came back) is told to `resync`. The number of listeners is bounded.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use super::{Api, caller::Reader, error::ApiError, params::Params};
use crate::{
    model::{TenantId, WindowState},
    query::Query,
    store::Change,
};

/// Each listener costs a connection and reads the store at every change.
pub const MAX_LISTENERS: usize = 64;

/// Shorter than the idle time after which common proxies cut a connection (60 s).
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Streams changes of the caller's tenant until the client or the server goes.
pub async fn events(
    State(api): State<Api>,
    Reader(tenant): Reader,
    params: Params,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    params.end()?;
    let place = Arc::clone(&api.listeners)
        .try_acquire_owned()
        .map_err(|_| ApiError::TooManyListeners { limit: MAX_LISTENERS })?;
    let listener = Listener {
        changes: api.store.changes(),
        query: api.query.clone(),
        tenant,
        missed: headers.contains_key("last-event-id"),
        seat: Seat::take(place, api.metrics.http.event_listeners.clone()),
    };
    let stop = api.stop.clone();
    let events = stream::unfold(listener, move |mut listener| {
        let stop = stop.clone();
        async move {
            let event = tokio::select! {
                () = stop.cancelled() => None,
                event = listener.next() => event,
            };
            event.map(|event| (Ok(event), listener))
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// One open event stream.
struct Listener {
    changes: broadcast::Receiver<Change>,
    query: Query,
    tenant: TenantId,
    missed: bool,
    seat: Seat,
}

impl Listener {
    /// The next event for this tenant; `None` when the store is gone.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if std::mem::take(&mut self.missed) {
                return Some(resync());
            }
            match self.changes.recv().await {
                Ok(change) => {
                    if let Some(event) = self.describe(change).await {
                        return Some(event);
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => self.missed = true,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The event of a change, if it is this tenant's and still there. A store that cannot be read costs a `resync`.
    async fn describe(&self, change: Change) -> Option<Event> {
        let _ = &self.seat;
        match change {
            Change::Finding { tenant, id } if self.query.is_tenant(&self.tenant, tenant) => {
                match self.query.finding(&self.tenant, id).await {
                    Ok(Some(finding)) => {
                        let is_new = finding.created_at == finding.updated_at;
                        let name = if is_new { "finding_created" } else { "finding_updated" };
                        Some(event(name, &finding.updated_at.as_nanos().to_string(), &finding))
                    }
                    Ok(None) => None,
                    Err(_) => Some(resync()),
                }
            }
            Change::Window { tenant, id } if self.query.is_tenant(&self.tenant, tenant) => {
                match self.query.window(&self.tenant, id).await {
                    Ok(Some(window)) if window.state != WindowState::Open => {
                        Some(event("window_ended", &window.closed_at.as_nanos().to_string(), &window))
                    }
                    Ok(_) => None,
                    Err(_) => Some(resync()),
                }
            }
            Change::Incident { tenant, id } if self.query.is_tenant(&self.tenant, tenant) => {
                match self.query.incident(&self.tenant, id).await {
                    Ok(Some(incident)) => {
                        let is_new = incident.created_at == incident.updated_at;
                        let name = if is_new { "incident_created" } else { "incident_updated" };
                        Some(event(name, &incident.updated_at.as_nanos().to_string(), &incident))
                    }
                    Ok(None) => None,
                    Err(_) => Some(resync()),
                }
            }
            Change::Finding { .. } | Change::Incident { .. } | Change::Window { .. } | Change::Taught => None,
        }
    }
}

/// A place among the listeners, given back when the stream ends.
struct Seat {
    _place: OwnedSemaphorePermit,
    gauge: IntGauge,
}

impl Seat {
    fn take(place: OwnedSemaphorePermit, gauge: IntGauge) -> Self {
        gauge.inc();
        Seat { _place: place, gauge }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// Something may have been missed: read again what is shown.
fn resync() -> Event {
    Event::default().event("resync").data("{}")
}

fn event(name: &str, id: &str, data: &impl serde::Serialize) -> Event {
    // Serialising our own types does not fail; if it did, reading again is the honest answer.
    Event::default().event(name).id(id).json_data(data).unwrap_or_else(|_| resync())
}
