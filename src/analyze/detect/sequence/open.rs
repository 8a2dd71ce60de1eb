//! The open sessions: bounded in number and bytes; those silent for longest make room.

use rustc_hash::FxHashMap;

use super::{kind::Census, session::Session};
use crate::model::Timestamp;

/// Open sessions by the hash of their key.
#[derive(Default)]
pub(super) struct Open {
    sessions: FxHashMap<u64, Session>,
    bytes: usize,
    /// Written sessions that are no longer open.
    gone: Vec<u64>,
}

/// When full, this share makes room at once: looking for the oldest costs a walk over all.
const ROOM: usize = 8;

impl Open {
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn contains(&self, hash: u64) -> bool {
        self.sessions.contains_key(&hash)
    }

    pub fn insert(&mut self, hash: u64, session: Session) {
        self.bytes += session.bytes();
        self.sessions.insert(hash, session);
    }

    /// Works on a session and keeps count of its memory.
    pub fn with<T>(&mut self, hash: u64, work: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let session = self.sessions.get_mut(&hash)?;
        let before = session.bytes();
        let result = work(session);
        self.bytes = (self.bytes + session.bytes()).saturating_sub(before);
        session.is_dirty = true;
        Some(result)
    }

    /// Whether there is no room for another.
    pub fn is_full(&self, max: usize, max_bytes: usize) -> bool {
        self.sessions.len() >= max || self.bytes >= max_bytes
    }

    /// Takes out those silent for longest.
    pub fn take_oldest(&mut self) -> Vec<Session> {
        let mut order: Vec<(u64, u64)> =
            self.sessions.iter().map(|(hash, session)| (session.stamp, *hash)).collect();
        order.sort_unstable();
        let count = self.sessions.len().div_ceil(ROOM);
        order.into_iter().take(count).filter_map(|(_, hash)| self.remove(hash)).collect()
    }

    /// Takes out those that got no line since `before`, the one silent for longest first.
    pub fn take_idle(&mut self, before: Timestamp) -> Vec<Session> {
        self.take_where(|session| session.received < before)
    }

    /// Takes out all of a kind.
    pub fn take_kind(&mut self, kind: u64) -> Vec<Session> {
        self.take_where(|session| session.kind == kind)
    }

    /// Takes out all.
    pub fn take_all(&mut self) -> Vec<Session> {
        self.take_where(|_| true)
    }

    /// What the open sessions of a kind look like.
    pub fn census(&self, kind: u64, kind_lines: u64) -> Census {
        let mut census = Census::default();
        for session in self.sessions.values().filter(|session| session.kind == kind) {
            let (is_silent, has_course) = (session.is_silent(kind_lines), session.has_course());
            census.all += 1;
            let is_brief = session.seen_at.saturating_sub(session.begun_at) <= kind_lines / 2;
            census.brief_with_course += u64::from(has_course && is_brief);
            census.silent += u64::from(is_silent);
            census.silent_with_course += u64::from(is_silent && has_course);
        }
        census
    }

    /// Calls `write` for every session changed since the last call, with `None` for those gone; in a fixed order.
    pub fn changes(&mut self, write: &mut dyn FnMut(u64, Option<&Session>)) {
        let mut gone = std::mem::take(&mut self.gone);
        gone.sort_unstable();
        gone.iter().filter(|hash| !self.sessions.contains_key(hash)).for_each(|hash| write(*hash, None));
        let mut dirty: Vec<u64> =
            self.sessions.iter().filter(|(_, session)| session.is_dirty).map(|(hash, _)| *hash).collect();
        dirty.sort_unstable();
        for hash in dirty {
            let Some(session) = self.sessions.get_mut(&hash) else { continue };
            (session.is_dirty, session.is_written) = (false, true);
            write(hash, Some(session));
        }
    }

    fn take_where(&mut self, is_taken: impl Fn(&Session) -> bool) -> Vec<Session> {
        let taken = self.sessions.iter().filter(|(_, session)| is_taken(session));
        let mut taken: Vec<(u64, u64)> = taken.map(|(hash, session)| (session.stamp, *hash)).collect();
        taken.sort_unstable();
        taken.into_iter().filter_map(|(_, hash)| self.remove(hash)).collect()
    }

    fn remove(&mut self, hash: u64) -> Option<Session> {
        let session = self.sessions.remove(&hash)?;
        self.bytes = self.bytes.saturating_sub(session.bytes());
        if session.is_written {
            self.gone.push(hash);
        }
        Some(session)
    }
}
