//! Reading for the doors: findings with the lines around them, streams, entries, and how the server itself is doing.
//!
//! Every function is about one tenant and reads only what is committed. Nothing here writes, and no answer is larger
//! than its limit.

mod context;
mod deliveries;
mod detectors;
mod entries;
mod findings;
mod incidents;
mod status;
mod streams;
mod usage;

use std::sync::Arc;

pub use self::{
    context::{ContextLine, EvidenceContext, FindingContext, MAX_CONTEXT_LINES},
    detectors::{DetectorView, GroupName},
    entries::{Entries, EntriesQuery, EntryView, MAX_ENTRIES},
    findings::Page,
    status::{AnalysisStatus, DatabaseStatus, ForwardStatus, IntakeStatus, ModelStatus, Status, Verdict},
    streams::{HostView, StreamView, StreamsQuery},
    usage::{ModelUsage, UsageReport},
};
pub use crate::model::{Selector, SelectorError};
use crate::{
    model::{Budget, TenantId, Timestamp},
    runtime::Clock,
    store::{Store, StoreError},
};

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the assembly knows and a reader may ask for.
#[derive(Clone, Debug)]
pub struct About {
    /// When the server started.
    pub started: Timestamp,
    /// Provider and model that explains; `None` when no model is configured.
    pub model: Option<String>,
    /// What model calls may cost.
    pub budget: Budget,
    /// Whether lines are forwarded to a Loki.
    pub forward: bool,
}

/// A tenant nobody has pushed for owns no rows, and asking for it must not make one.
const NO_TENANT: i64 = -1;

/// The reading engine. Cheap to clone.
#[derive(Clone)]
pub struct Query {
    store: Store,
    clock: Clock,
    about: Arc<About>,
}

impl Query {
    /// Reads from `store`.
    pub fn new(store: Store, clock: Clock, about: About) -> Self {
        Query { store, clock, about: Arc::new(about) }
    }

    /// The time now, for pages that say how long ago something was.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether `number` is the database's number of `tenant`.
    pub fn is_tenant(&self, tenant: &TenantId, number: i64) -> bool {
        self.store.streams().tenant_of(number).is_some_and(|name| name == *tenant)
    }

    /// The database's number of a tenant that has pushed, else one that owns nothing.
    pub fn tenant_number(&self, tenant: &TenantId) -> i64 {
        let streams = self.store.streams();
        if streams.tenants().contains(tenant) { streams.tenant_number(tenant) } else { NO_TENANT }
    }
}
