//! What was told.

use super::{Page, Query, QueryError};
use crate::{
    model::{Delivery, TenantId, Timestamp},
    store::delivery::{self, DeliveryFilter},
};

impl Query {
    /// A tenant's deliveries, newest first. `filter.tenant` is filled in here.
    pub async fn deliveries(
        &self,
        tenant: &TenantId,
        mut filter: DeliveryFilter,
    ) -> Result<Page<Delivery, (Timestamp, String)>, QueryError> {
        let limit = filter.limit;
        filter.tenant = self.tenant_number(tenant);
        filter.limit = limit.saturating_add(1);
        let rows = self.store.read(move |conn| delivery::list(conn, &filter)).await?;
        Ok(Page::cut(rows, limit, |row| (row.created_at, row.id.clone())))
    }
}
