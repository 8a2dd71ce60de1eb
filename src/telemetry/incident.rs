//! Metrics of incidents.

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, Opts, Registry, register_int_counter_vec_with_registry,
    register_int_counter_with_registry, register_int_gauge_with_registry,
};

/// Counters of what happens to incidents.
#[derive(Clone)]
pub struct IncidentMetrics {
    /// Findings placed in an incident, new or changed.
    pub findings: IntCounter,
    /// Findings passed over because placing them failed.
    pub failed: IntCounter,
    /// Incidents open or acknowledged.
    pub open: IntGauge,
    events: IntCounterVec,
}

impl IncidentMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(IncidentMetrics {
            findings: register_int_counter_with_registry!(
                Opts::new("sigyn_incident_findings_total", "Findings placed in an incident, new or changed"),
                registry
            )?,
            failed: register_int_counter_with_registry!(
                Opts::new("sigyn_incident_failed_total", "Findings that could not be placed in an incident"),
                registry
            )?,
            open: register_int_gauge_with_registry!(
                Opts::new("sigyn_incidents_open", "Incidents open or acknowledged"),
                registry
            )?,
            events: register_int_counter_vec_with_registry!(
                Opts::new(
                    "sigyn_incident_events_total",
                    "Incidents opened, reopened, merged, folded as a storm, and resolved by silence"
                ),
                &["event"],
                registry
            )?,
        })
    }

    /// Counts an event.
    pub fn count(&self, event: &str) {
        self.events.with_label_values(&[event]).inc();
    }
}
