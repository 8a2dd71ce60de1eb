//! Sigyn's own metrics and logging. All metric names live here, one file per room that reports.

mod alert;
mod analyze;
mod forward;
mod http;
mod incident;
mod ingest;
mod llm;
mod store;

pub use alert::AlertMetrics;
pub use analyze::AnalyzeMetrics;
pub use forward::ForwardMetrics;
pub use http::HttpMetrics;
pub use incident::IncidentMetrics;
pub use ingest::{IngestMetrics, TenantIngestMetrics};
pub use llm::{CountedCall, LlmMetrics};
pub use store::StoreMetrics;

use prometheus::{Encoder, Registry, TextEncoder};

/// Every metric of the process. Cheap to clone; made once and passed down.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// What the push path took in and refused.
    pub ingest: IngestMetrics,
    /// Requests to the HTTP server.
    pub http: HttpMetrics,
    /// The database.
    pub store: StoreMetrics,
    /// Windows and findings.
    pub analyze: AnalyzeMetrics,
    /// Incidents.
    pub incident: IncidentMetrics,
    /// Messages to people.
    pub alert: AlertMetrics,
    /// Model calls.
    pub llm: LlmMetrics,
    /// Forwarding to a Loki.
    pub forward: ForwardMetrics,
}

impl Metrics {
    /// Registers everything in a registry of its own. Fails only when two metrics share a name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        Ok(Metrics {
            ingest: IngestMetrics::register(&registry)?,
            http: HttpMetrics::register(&registry)?,
            store: StoreMetrics::register(&registry)?,
            analyze: AnalyzeMetrics::register(&registry)?,
            incident: IncidentMetrics::register(&registry)?,
            alert: AlertMetrics::register(&registry)?,
            llm: LlmMetrics::register(&registry)?,
            forward: ForwardMetrics::register(&registry)?,
            registry,
        })
    }

    /// The Prometheus text form.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
