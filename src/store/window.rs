//! Windows: what was analysed, with what, and what became of it.

use crate::{
    model::{ModelUse, Timestamp, WindowId, WindowRecord, WindowState},
    store::{Connection, StoreError, Transaction},
};

/// A window as the analysis writes it. Written twice under one (tenant, group, first block), it stays one row.
#[derive(Clone, Debug)]
pub struct WindowDraft {
    /// The tenant's number.
    pub tenant: i64,
    /// The group.
    pub group: String,
    /// The first block it has lines of; with tenant and group the window's identity across restarts.
    pub first_seq: u64,
    /// First line's time.
    pub from: Timestamp,
    /// Last line's time.
    pub to: Timestamp,
    /// When it was closed.
    pub closed: Timestamp,
    /// Lines.
    pub lines: u64,
    /// Lines that rules or detectors pointed at.
    pub suspicious: u64,
    /// Distinct templates.
    pub templates: u64,
    /// Its state.
    pub state: WindowState,
    /// For `Pending`: what the model is shown and what its references mean; opaque here.
    pub exhibit: Option<Vec<u8>>,
}

/// Inserts or replaces a window.
pub fn put(_tx: &Transaction<'_>, _window: &WindowDraft) -> Result<WindowId, StoreError> {
    todo!()
}

/// A window that waits for the model.
pub struct Pending {
    /// Identity.
    pub id: WindowId,
    /// The window as written.
    pub window: WindowDraft,
    /// Tries so far.
    pub attempts: u32,
}

/// The pending window that is due first, if one is due at `now`.
pub fn next_pending(_conn: &Connection, _now: Timestamp) -> Result<Option<Pending>, StoreError> {
    todo!()
}

/// When the next pending window is due, if there is one.
pub fn next_due(_conn: &Connection) -> Result<Option<Timestamp>, StoreError> {
    todo!()
}

/// Puts a pending window off after a failed try.
pub fn postpone(
    _tx: &Transaction<'_>,
    _id: WindowId,
    _due: Timestamp,
    _error: &str,
) -> Result<(), StoreError> {
    todo!()
}

/// Ends a pending window.
pub fn finish(
    _tx: &Transaction<'_>,
    _id: WindowId,
    _state: WindowState,
    _error: Option<&str>,
    _used: Option<&ModelUse>,
) -> Result<(), StoreError> {
    todo!()
}

/// Which windows to list; newest first.
#[derive(Clone, Debug, Default)]
pub struct WindowFilter {
    /// The tenant's number.
    pub tenant: i64,
    /// Closed at or after.
    pub from: Option<Timestamp>,
    /// Closed before.
    pub to: Option<Timestamp>,
    /// Only this group.
    pub group: Option<String>,
    /// Only this state.
    pub state: Option<WindowState>,
    /// Only ids below this one (the page's cursor).
    pub before: Option<WindowId>,
    /// At most so many.
    pub limit: usize,
}

/// Lists windows, newest first.
pub fn list(_conn: &Connection, _filter: &WindowFilter) -> Result<Vec<WindowRecord>, StoreError> {
    todo!()
}
