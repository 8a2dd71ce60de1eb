//! The known streams and hosts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Page, Query, QueryError};
use crate::{
    model::{Labels, Selector, StreamId, TenantId, Timestamp},
    store::{StreamInfo, census},
};

/// Bytes of not yet compacted blocks that are looked through for a stream's newest entries: about 50 ms of work.
const MAX_COUNTED_BYTES: usize = 32 * 1024 * 1024;
/// Labels that name a host, first one wins.
const HOST_LABELS: [&str; 5] = ["host", "hostname", "node_name", "node", "instance"];

/// Which streams.
#[derive(Clone, Debug, Default)]
pub struct StreamsQuery {
    /// With these labels.
    pub selector: Selector,
    /// Only ids above this one (the page's cursor).
    pub after: Option<StreamId>,
    /// At most so many.
    pub limit: usize,
}

/// A stream and what is stored of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamView {
    /// Its number.
    pub id: StreamId,
    /// Its labels.
    pub labels: Labels,
    /// Stored entries, as far as they were counted.
    pub entries: u64,
    /// The first stored entry's time.
    pub first: Option<Timestamp>,
    /// The last stored entry's time.
    pub last: Option<Timestamp>,
    /// Whether everything was counted; a long queue of blocks is not counted to its end.
    pub is_complete: bool,
}

/// A host and what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostView {
    /// Its name.
    pub host: String,
    /// Streams that carry its name as a label.
    pub streams: u64,
    /// Findings seen on it.
    pub findings: u64,
}

impl Query {
    /// A tenant's streams in order of number.
    pub async fn streams(
        &self,
        tenant: &TenantId,
        query: StreamsQuery,
    ) -> Result<Page<StreamView, StreamId>, QueryError> {
        let selected: Vec<StreamInfo> = self
            .store
            .streams()
            .of_tenant(tenant)
            .into_iter()
            .filter(|stream| query.after.is_none_or(|after| stream.id > after))
            .filter(|stream| query.selector.matches(&stream.labels))
            .take(query.limit.saturating_add(1))
            .collect();
        let page = Page::cut(selected, query.limit, |stream| stream.id);
        let ids: Vec<StreamId> = page.items.iter().map(|stream| stream.id).collect();
        let (extents, is_complete) =
            self.store.read(move |conn| census::extents(conn, &ids, MAX_COUNTED_BYTES)).await?;
        let view = |stream: StreamInfo| {
            let extent = extents.get(&stream.id);
            StreamView {
                id: stream.id,
                labels: stream.labels,
                entries: extent.map_or(0, |extent| extent.entries),
                first: extent.map(|extent| extent.first),
                last: extent.map(|extent| extent.last),
                is_complete,
            }
        };
        Ok(Page { items: page.items.into_iter().map(view).collect(), next: page.next })
    }

    /// A tenant's hosts by name: those that streams are labelled with, and those that findings name.
    pub async fn hosts(&self, tenant: &TenantId) -> Result<Vec<HostView>, QueryError> {
        let mut hosts = BTreeMap::<String, HostView>::new();
        for stream in self.store.streams().of_tenant(tenant) {
            let Some(name) = HOST_LABELS.iter().find_map(|label| stream.labels.get(label)) else { continue };
            hosts.entry(name.to_owned()).or_default().streams += 1;
        }
        for (name, count) in self.summary(tenant, None, None).await?.by_host {
            hosts.entry(name).or_default().findings = count;
        }
        Ok(hosts.into_iter().map(|(host, view)| HostView { host, ..view }).collect())
    }
}
