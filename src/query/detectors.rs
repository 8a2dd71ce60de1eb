//! How far the detectors know what is normal, host by host.

use serde::Serialize;

use super::{Page, Query, QueryError};
use crate::{
    model::{Learning, TenantId},
    store::memory,
};

/// What the detectors of one group (a host) know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DetectorView {
    /// The group's name; empty for lines without a host.
    pub group: String,
    /// Since when it is learnt, and when its detectors may speak.
    #[serde(flatten)]
    pub learning: Learning,
}

/// Where a list of groups goes on: after this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName(pub String);

impl Query {
    /// A tenant's groups by name, as far as they were ever learnt.
    pub async fn detectors(
        &self,
        tenant: &TenantId,
        after: Option<GroupName>,
        limit: usize,
    ) -> Result<Page<DetectorView, GroupName>, QueryError> {
        let number = self.tenant_number(tenant);
        let after = after.map(|GroupName(name)| name);
        let rows = self
            .store
            .read(move |conn| memory::learning(conn, number, after.as_deref(), limit.saturating_add(1)))
            .await?;
        let views = rows.into_iter().map(|(group, learning)| DetectorView { group, learning }).collect();
        Ok(Page::cut(views, limit, |view: &DetectorView| GroupName(view.group.clone())))
    }
}
