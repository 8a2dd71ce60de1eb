//! Routing: which channels are told of an incident.

use std::time::Duration;

use crate::model::{Category, Finding, Incident, Selector, Severity, TenantId};

/// Who is told what. Every condition that is set must hold; empty ones always do.
#[derive(Clone, Debug)]
pub struct Route {
    /// These channels; empty means all.
    pub channels: Vec<String>,
    /// At least this bad.
    pub severity: Severity,
    /// One of these categories.
    pub categories: Vec<Category>,
    /// On one of these hosts.
    pub hosts: Vec<String>,
    /// Of one of these tenants.
    pub tenants: Vec<TenantId>,
    /// The worst finding shows a line of such a stream.
    pub selector: Option<Selector>,
    /// Whether the end is told, too.
    pub resolved: bool,
    /// What goes on and nobody has acknowledged is told again after so long; zero means never.
    pub repeat: Duration,
}

impl Default for Route {
    fn default() -> Self {
        Route {
            channels: Vec::new(),
            severity: Severity::Medium,
            categories: Vec::new(),
            hosts: Vec::new(),
            tenants: Vec::new(),
            selector: None,
            resolved: true,
            repeat: Duration::from_secs(4 * 3_600),
        }
    }
}

impl Route {
    /// Whether a channel is told of an incident; `worst` is its worst finding.
    pub(super) fn matches(&self, channel: &str, incident: &Incident, worst: &Finding) -> bool {
        (self.channels.is_empty() || self.channels.iter().any(|name| name == channel))
            && incident.severity >= self.severity
            && (self.categories.is_empty() || self.categories.iter().any(|c| incident.categories.contains(c)))
            && (self.hosts.is_empty() || self.hosts.iter().any(|host| incident.hosts.contains(host)))
            && (self.tenants.is_empty() || self.tenants.contains(&incident.tenant))
            && self
                .selector
                .as_ref()
                .is_none_or(|selector| worst.evidence.iter().any(|line| selector.matches(&line.stream)))
    }
}
