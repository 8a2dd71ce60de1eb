//! The known streams, in memory: label set ⇄ number. Loaded at start, bounded per tenant.

use crate::model::{Labels, StreamId, TenantId, Timestamp};

/// A stream as the registry knows it.
#[derive(Clone, Debug)]
pub struct StreamInfo {
    /// Its number.
    pub id: StreamId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its label set.
    pub labels: Labels,
}

/// The tenant has as many active streams as it may.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("maximum active stream limit exceeded: {limit}")]
pub struct TooManyStreams {
    /// The limit.
    pub limit: usize,
}

/// The registry.
pub struct Streams {}

impl Streams {
    /// The number of a label set; a new one is numbered and counted against `limit`. A stream without entries
    /// for an hour is not active and does not count.
    pub fn admit(
        &self,
        _tenant: &TenantId,
        _labels: &Labels,
        _limit: usize,
        _now: Timestamp,
    ) -> Result<StreamId, TooManyStreams> {
        todo!()
    }

    /// What is known of a stream.
    pub fn get(&self, _id: StreamId) -> Option<StreamInfo> {
        todo!()
    }

    /// Every stream of a tenant, in order of number.
    pub fn of_tenant(&self, _tenant: &TenantId) -> Vec<StreamInfo> {
        todo!()
    }

    /// How many streams of a tenant are active.
    pub fn active(&self, _tenant: &TenantId) -> usize {
        todo!()
    }

    /// The database's number of a tenant (made when new).
    pub fn tenant_number(&self, _tenant: &TenantId) -> i64 {
        todo!()
    }

    /// The tenant of a database number.
    pub fn tenant_of(&self, _number: i64) -> Option<TenantId> {
        todo!()
    }

    /// Every tenant seen so far.
    pub fn tenants(&self) -> Vec<TenantId> {
        todo!()
    }
}
