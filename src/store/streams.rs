//! The known streams, in memory: label set ⇄ number. Loaded at start, bounded per tenant.
//!
//! Numbers are given here, without the database; the writer saves new tenants and streams in the transaction of
//! whatever comes next, so nothing acknowledged ever refers to a stream that is not on disk.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustc_hash::FxHashMap;

use crate::{
    model::{Labels, StreamId, TenantId, Timestamp},
    store::{Connection, StoreError},
};

/// A stream without entries for this long does not count against the limit.
const ACTIVE_FOR: Duration = Duration::from_secs(3_600);
/// Active streams are counted anew at most this often; in between the count can only be too high.
const RECOUNT_AFTER: Duration = Duration::from_secs(10);

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
pub struct Streams {
    known: RwLock<Known>,
    unsaved: Mutex<Unsaved>,
    has_unsaved: AtomicBool,
    /// The latest time anybody told us, for questions that come without one.
    latest: AtomicI64,
}

#[derive(Default)]
struct Known {
    tenants: HashMap<TenantId, Tenant>,
    tenant_names: FxHashMap<i64, TenantId>,
    by_id: FxHashMap<u64, Arc<Stream>>,
    next_stream: u64,
    next_tenant: i64,
}

struct Tenant {
    number: i64,
    /// Keyed with the standard library's seeded hash: senders choose the labels.
    streams: HashMap<Labels, Arc<Stream>>,
    active: AtomicUsize,
    counted_at: AtomicI64,
}

struct Stream {
    info: StreamInfo,
    last_push: AtomicI64,
}

/// What the writer has yet to save; clones are cheap.
#[derive(Clone, Default)]
pub(crate) struct Unsaved {
    tenants: Vec<(i64, TenantId)>,
    streams: Vec<(i64, Arc<Stream>)>,
}

impl Streams {
    /// The number of a label set; a new one is numbered and counted against `limit`. A stream without entries
    /// for an hour is not active and does not count.
    pub fn admit(
        &self,
        tenant: &TenantId,
        labels: &Labels,
        limit: usize,
        now: Timestamp,
    ) -> Result<StreamId, TooManyStreams> {
        self.latest.fetch_max(now.as_nanos(), Ordering::Relaxed);
        {
            let known = self.read();
            let stream = known.tenants.get(tenant).and_then(|t| Some((t, t.streams.get(labels)?)));
            if let Some((tenant, stream)) = stream {
                if !stream.is_active(now) {
                    tenant.activate(limit, now)?;
                }
                stream.last_push.fetch_max(now.as_nanos(), Ordering::Relaxed);
                return Ok(stream.info.id);
            }
        }
        self.admit_new(tenant, labels, limit, now)
    }

    /// What is known of a stream.
    pub fn get(&self, id: StreamId) -> Option<StreamInfo> {
        self.read().by_id.get(&id.0).map(|stream| stream.info.clone())
    }

    /// Every stream of a tenant, in order of number.
    pub fn of_tenant(&self, tenant: &TenantId) -> Vec<StreamInfo> {
        let known = self.read();
        let streams = known.tenants.get(tenant).into_iter().flat_map(|tenant| tenant.streams.values());
        let mut infos: Vec<StreamInfo> = streams.map(|stream| stream.info.clone()).collect();
        infos.sort_by_key(|info| info.id);
        infos
    }

    /// How many streams of a tenant are active.
    pub fn active(&self, tenant: &TenantId) -> usize {
        let now = Timestamp::from_nanos(self.latest.load(Ordering::Relaxed));
        self.read().tenants.get(tenant).map_or(0, |tenant| tenant.count_active(now))
    }

    /// The database's number of a tenant (made when new).
    pub fn tenant_number(&self, tenant: &TenantId) -> i64 {
        if let Some(tenant) = self.read().tenants.get(tenant) {
            return tenant.number;
        }
        self.number_tenant(&mut self.write(), tenant)
    }

    /// The tenant of a database number.
    pub fn tenant_of(&self, number: i64) -> Option<TenantId> {
        self.read().tenant_names.get(&number).cloned()
    }

    /// Every tenant seen so far.
    pub fn tenants(&self) -> Vec<TenantId> {
        let mut tenants: Vec<TenantId> = self.read().tenants.keys().cloned().collect();
        tenants.sort();
        tenants
    }

    /// Every known stream with its tenant's number.
    pub(crate) fn count(&self) -> usize {
        self.read().by_id.len()
    }

    /// Reads what is on disk.
    pub(crate) fn load(conn: &Connection) -> Result<Self, StoreError> {
        let mut known = Known { next_stream: 1, next_tenant: 1, ..Known::default() };
        let mut statement = conn.prepare("SELECT id, name FROM tenant")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let name = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            let tenant = TenantId::parse(name).map_err(|error| damaged("tenant", &error))?;
            known.add_tenant(row.get(0)?, tenant);
        }
        known.make_room(conn)?;
        let mut statement = conn.prepare("SELECT id, tenant_id, labels FROM stream")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let json = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
            let labels = serde_json::from_str(json).map_err(|error| damaged("labels", &error))?;
            let id = StreamId(row.get::<_, i64>(0)?.unsigned_abs());
            let Some(tenant) = known.tenant_names.get(&row.get(1)?).cloned() else { continue };
            known.add_stream(StreamInfo { id, tenant, labels }, Timestamp::MIN);
        }
        Ok(Streams {
            known: RwLock::new(known),
            unsaved: Mutex::default(),
            has_unsaved: AtomicBool::new(false),
            latest: AtomicI64::new(i64::MIN),
        })
    }

    /// What is not yet on disk; `None` when everything is.
    pub(crate) fn unsaved(&self) -> Option<Unsaved> {
        if !self.has_unsaved.load(Ordering::Acquire) {
            return None;
        }
        Some(self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Says that the transaction with these is committed.
    pub(crate) fn saved(&self, saved: &Unsaved) {
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        // Only ever appended to, so what was saved is the front.
        let (tenants, streams) = (unsaved.tenants.len(), unsaved.streams.len());
        unsaved.tenants.drain(..saved.tenants.len().min(tenants));
        unsaved.streams.drain(..saved.streams.len().min(streams));
        let nothing_left = unsaved.tenants.is_empty() && unsaved.streams.is_empty();
        self.has_unsaved.store(!nothing_left, Ordering::Release);
    }

    /// Forgets those of the given streams to which nothing was pushed since `before`; returns the forgotten ones.
    pub(crate) fn forget(&self, candidates: &[StreamId], before: Timestamp) -> Vec<StreamId> {
        let mut known = self.write();
        let idle = |stream: &Arc<Stream>| stream.last_push.load(Ordering::Relaxed) < before.as_nanos();
        let mut forgotten = Vec::new();
        for id in candidates {
            let Some(stream) = known.by_id.get(&id.0).filter(|stream| idle(stream)).cloned() else {
                continue;
            };
            known.by_id.remove(&id.0);
            if let Some(tenant) = known.tenants.get_mut(&stream.info.tenant) {
                tenant.streams.remove(&stream.info.labels);
            }
            forgotten.push(*id);
        }
        forgotten
    }

    fn admit_new(
        &self,
        tenant: &TenantId,
        labels: &Labels,
        limit: usize,
        now: Timestamp,
    ) -> Result<StreamId, TooManyStreams> {
        let mut known = self.write();
        let number = match known.tenants.get(tenant) {
            Some(tenant) => tenant.number,
            None => self.number_tenant(&mut known, tenant),
        };
        if let Some(tenant) = known.tenants.get(tenant) {
            // Somebody else may have been faster between the two locks.
            if let Some(stream) = tenant.streams.get(labels) {
                return Ok(stream.info.id);
            }
            tenant.activate(limit, now)?;
        }
        let id = StreamId(known.next_stream);
        let info = StreamInfo { id, tenant: tenant.clone(), labels: labels.clone() };
        let stream = known.add_stream(info, now);
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        unsaved.streams.push((number, stream));
        self.has_unsaved.store(true, Ordering::Release);
        Ok(id)
    }

    fn number_tenant(&self, known: &mut Known, tenant: &TenantId) -> i64 {
        if let Some(tenant) = known.tenants.get(tenant) {
            return tenant.number;
        }
        let number = known.next_tenant;
        known.add_tenant(number, tenant.clone());
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        unsaved.tenants.push((number, tenant.clone()));
        self.has_unsaved.store(true, Ordering::Release);
        number
    }

    // A panic while a lock is held cannot leave the maps half changed in a way that matters: carry on.
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Room for what is on disk, so that no label set is hashed more than once.
    fn make_room(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let mut statement = conn.prepare("SELECT tenant_id, COUNT(*) FROM stream GROUP BY tenant_id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let streams = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            self.by_id.reserve(streams);
            let tenant = self.tenant_names.get(&row.get(0)?);
            if let Some(tenant) = tenant.and_then(|name| self.tenants.get_mut(name)) {
                tenant.streams.reserve(streams);
            }
        }
        Ok(())
    }

    fn add_tenant(&mut self, number: i64, tenant: TenantId) {
        self.next_tenant = self.next_tenant.max(number.saturating_add(1));
        self.tenant_names.insert(number, tenant.clone());
        let fresh = Tenant {
            number,
            streams: HashMap::new(),
            active: AtomicUsize::new(0),
            counted_at: AtomicI64::new(i64::MIN),
        };
        self.tenants.insert(tenant, fresh);
    }

    fn add_stream(&mut self, info: StreamInfo, last_push: Timestamp) -> Arc<Stream> {
        self.next_stream = self.next_stream.max(info.id.0.saturating_add(1));
        let stream = Arc::new(Stream { info, last_push: AtomicI64::new(last_push.as_nanos()) });
        self.by_id.insert(stream.info.id.0, Arc::clone(&stream));
        if let Some(tenant) = self.tenants.get_mut(&stream.info.tenant) {
            tenant.streams.insert(stream.info.labels.clone(), Arc::clone(&stream));
        }
        stream
    }
}

impl Tenant {
    /// Counts one more active stream, or refuses to.
    fn activate(&self, limit: usize, now: Timestamp) -> Result<(), TooManyStreams> {
        let counted_at = Timestamp::from_nanos(self.counted_at.load(Ordering::Relaxed));
        if self.active.load(Ordering::Relaxed) >= limit && now.since(counted_at) >= RECOUNT_AFTER {
            self.active.store(self.count_active(now), Ordering::Relaxed);
            self.counted_at.store(now.as_nanos(), Ordering::Relaxed);
        }
        if self.active.load(Ordering::Relaxed) >= limit {
            return Err(TooManyStreams { limit });
        }
        self.active.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn count_active(&self, now: Timestamp) -> usize {
        self.streams.values().filter(|stream| stream.is_active(now)).count()
    }
}

impl Stream {
    fn is_active(&self, now: Timestamp) -> bool {
        self.last_push.load(Ordering::Relaxed) > now.minus(ACTIVE_FOR).as_nanos()
    }
}

impl Unsaved {
    /// Inserts the rows.
    pub(crate) fn insert(&self, conn: &Connection) -> Result<(), StoreError> {
        let mut statement = conn.prepare_cached("INSERT OR IGNORE INTO tenant (id, name) VALUES (?1, ?2)")?;
        for (number, tenant) in &self.tenants {
            statement.execute((number, tenant.as_str()))?;
        }
        const STREAM: &str =
            "INSERT OR IGNORE INTO stream (id, tenant_id, labels, created_ns) VALUES (?1, ?2, ?3, ?4)";
        let mut statement = conn.prepare_cached(STREAM)?;
        for (tenant, stream) in &self.streams {
            let labels =
                serde_json::to_string(&stream.info.labels).map_err(|error| damaged("labels", &error))?;
            let id = stream.info.id.0.cast_signed();
            statement.execute((id, tenant, labels, stream.last_push.load(Ordering::Relaxed)))?;
        }
        Ok(())
    }
}

fn damaged(what: &'static str, cause: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged { what, cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Streams {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("../../migrations/0001_init.sql")).unwrap();
        Streams::load(&conn).unwrap()
    }

    fn labels(value: usize) -> Labels {
        Labels::from_pairs([("job", format!("job-{value}"))]).unwrap()
    }

    #[test]
    fn a_label_set_keeps_its_number() {
        let (streams, tenant) = (empty(), TenantId::single());
        let now = Timestamp::from_secs(1_000_000);
        let first = streams.admit(&tenant, &labels(1), 10, now).unwrap();
        let second = streams.admit(&tenant, &labels(2), 10, now).unwrap();
        assert_ne!(first, second);
        assert_eq!(streams.admit(&tenant, &labels(1), 10, now), Ok(first));
        assert_eq!(streams.get(second).unwrap().labels, labels(2));
        assert_eq!(streams.of_tenant(&tenant).len(), 2);
        assert_eq!(streams.tenant_of(streams.tenant_number(&tenant)), Some(tenant));
    }

    #[test]
    fn ten_thousand_streams_are_read_back() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("../../migrations/0001_init.sql")).unwrap();
        let (streams, tenant) = (Streams::load(&conn).unwrap(), TenantId::single());
        let set = |n: usize| {
            Labels::from_pairs([
                ("container", format!("container-{n}")),
                ("filename", format!("/var/log/containers/service-{n}/current.log")),
                ("host", format!("host-{}", n % 50)),
                ("job", "docker".to_owned()),
                ("namespace", format!("team-{}", n % 20)),
            ])
            .unwrap()
        };
        let now = Timestamp::from_secs(5);
        for n in 0..10_000 {
            streams.admit(&tenant, &set(n), 20_000, now).unwrap();
        }
        let unsaved = streams.unsaved().unwrap();
        let tx = conn.unchecked_transaction().unwrap();
        unsaved.insert(&tx).unwrap();
        tx.commit().unwrap();
        let loaded = Streams::load(&conn).unwrap();
        assert_eq!(loaded.count(), 10_000);
        let known = streams.admit(&tenant, &set(9_999), 20_000, now);
        assert_eq!(loaded.admit(&tenant, &set(9_999), 20_000, now), known);
    }

    #[test]
    fn equal_labels_of_two_tenants_are_two_streams() {
        let (streams, now) = (empty(), Timestamp::from_secs(5));
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let (of_a, of_b) = (streams.admit(&a, &labels(1), 9, now), streams.admit(&b, &labels(1), 9, now));
        assert_ne!(of_a.unwrap(), of_b.unwrap());
        assert_eq!(streams.tenants(), [a, b]);
    }

    #[test]
    fn only_streams_of_the_last_hour_count_against_the_limit() {
        let (streams, tenant) = (empty(), TenantId::single());
        let start = Timestamp::from_secs(1_000_000);
        streams.admit(&tenant, &labels(1), 2, start).unwrap();
        streams.admit(&tenant, &labels(2), 2, start).unwrap();
        assert_eq!(streams.admit(&tenant, &labels(3), 2, start), Err(TooManyStreams { limit: 2 }));
        let later = start.plus(Duration::from_secs(3_601));
        streams.admit(&tenant, &labels(1), 2, later).unwrap();
        streams.admit(&tenant, &labels(3), 2, later).unwrap();
        assert_eq!(streams.active(&tenant), 2);
        let much_later = later.plus(Duration::from_secs(1));
        assert_eq!(streams.admit(&tenant, &labels(2), 2, much_later), Err(TooManyStreams { limit: 2 }));
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("../../migrations/0001_init.sql")).unwrap();
        let streams = Streams::load(&conn).unwrap();
        let (tenant, now) = (TenantId::parse("t").unwrap(), Timestamp::from_secs(9));
        let id = streams.admit(&tenant, &labels(1), 9, now).unwrap();
        let unsaved = streams.unsaved().unwrap();
        unsaved.insert(&conn).unwrap();
        let late = streams.admit(&tenant, &labels(2), 9, now).unwrap();
        streams.saved(&unsaved);
        streams.unsaved().unwrap().insert(&conn).unwrap();
        let again = Streams::load(&conn).unwrap();
        assert_eq!(again.admit(&tenant, &labels(1), 9, now), Ok(id));
        assert_eq!(again.admit(&tenant, &labels(2), 9, now), Ok(late));
        assert!(again.unsaved().is_none());
    }

    #[test]
    fn only_idle_streams_are_forgotten() {
        let (streams, tenant) = (empty(), TenantId::single());
        let old = streams.admit(&tenant, &labels(1), 9, Timestamp::from_secs(10)).unwrap();
        let fresh = streams.admit(&tenant, &labels(2), 9, Timestamp::from_secs(20)).unwrap();
        assert_eq!(streams.forget(&[old, fresh], Timestamp::from_secs(15)), [old]);
        assert!(streams.get(old).is_none() && streams.get(fresh).is_some());
    }
}
