//! Incidents, and what was taught.

use super::{Page, Query, QueryError};
use crate::{
    model::{Feedback, Incident, IncidentId, Maintenance, Normal, TenantId, Timestamp},
    store::{
        feedback,
        incident::{self, IncidentFilter},
        maintenance, normal,
    },
};

/// Verdicts shown; the newest.
const MAX_FEEDBACK: usize = 1_000;

impl Query {
    /// A tenant's incidents, newest last event first. `filter.tenant` is filled in here.
    pub async fn incidents(
        &self,
        tenant: &TenantId,
        mut filter: IncidentFilter,
    ) -> Result<Page<Incident, (Timestamp, IncidentId)>, QueryError> {
        let limit = filter.limit;
        filter.tenant = self.tenant_number(tenant);
        filter.limit = limit.saturating_add(1);
        let rows = self.store.read(move |conn| incident::list(conn, &filter)).await?;
        Ok(Page::cut(rows, limit, |row| (row.last_seen, row.id.clone())))
    }

    /// One incident of a tenant; also one that has become a part of another.
    pub async fn incident(&self, tenant: &TenantId, id: IncidentId) -> Result<Option<Incident>, QueryError> {
        let tenant = self.tenant_number(tenant);
        Ok(self.store.read(move |conn| incident::get(conn, tenant, &id)).await?)
    }

    /// What a tenant's people have declared normal, newest first.
    pub async fn normals(&self, tenant: &TenantId) -> Result<Vec<Normal>, QueryError> {
        let tenant = self.tenant_number(tenant);
        Ok(self.store.read(move |conn| normal::list(conn, tenant)).await?)
    }

    /// A tenant's maintenance windows, those that end last first.
    pub async fn maintenance(&self, tenant: &TenantId) -> Result<Vec<Maintenance>, QueryError> {
        let tenant = self.tenant_number(tenant);
        Ok(self.store.read(move |conn| maintenance::list(conn, tenant)).await?)
    }

    /// A tenant's verdicts on detectors, newest first.
    pub async fn feedback(&self, tenant: &TenantId) -> Result<Vec<Feedback>, QueryError> {
        let tenant = self.tenant_number(tenant);
        Ok(self.store.read(move |conn| feedback::list(conn, tenant, MAX_FEEDBACK)).await?)
    }
}
