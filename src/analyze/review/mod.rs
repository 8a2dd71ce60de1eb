//! Reviews lines of the past, from files or from the store: the same engine as the server's, driven by the lines' own
//! time instead of their arrival.
//!
//! In: lines in about the order they were written. Out: findings, joined and explained in a database of its own that
//! is thrown away afterwards, so that nothing else is written and joining, incidents and the model's words are the same
//! code as in the server.

mod place;
mod places;
mod timeline;

pub mod score;

use std::{sync::Arc, time::Duration};

pub use place::Place;
pub use timeline::{Moment, Timeline};

pub use super::group::StreamContext;

use self::{places::Places, timeline::OUT_OF_ORDER};
use super::{
    Settings,
    commit::Commit,
    engine::{Carried, Closed, Engine, Received, Watch},
    mine::Miner,
    sift::Sifter,
};
use crate::{
    model::{EvidenceLine, Finding, Labels, TemplateId, TenantId, Timestamp},
    store::{
        Store, StoreError,
        finding::{self, FindingFilter},
    },
};

/// Windows with something to say that are written together: a transaction waits for the disk.
const WRITTEN_AT_ONCE: usize = 64;
/// How often groups that say nothing are looked at, in the time of the lines.
const TICK: Duration = Duration::from_secs(60);
/// Findings told at most.
pub const MAX_FINDINGS: usize = 10_000;

/// What a review went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines.
    pub lines: u64,
    /// Windows they fell into.
    pub windows: u64,
    /// Those with something to say.
    pub telling: u64,
    /// The first line's time.
    pub from: Option<Timestamp>,
    /// The last line's time.
    pub to: Option<Timestamp>,
}

/// Is shown every window that has something to say, before it is written.
pub trait Inspect {
    /// Takes note of a window; may take out of it what need not be written.
    fn window(&mut self, closed: &mut Closed);
}

impl Inspect for () {
    fn window(&mut self, _: &mut Closed) {}
}

/// An analysis of lines of the past.
pub struct Review<I = ()> {
    engine: Engine,
    store: Store,
    tenant: i64,
    dedup: Duration,
    ask_model: bool,
    seq: u64,
    now: Timestamp,
    ticked: Timestamp,
    is_learning: bool,
    unwritten: Commit,
    places: Places,
    tally: Tally,
    inspector: I,
}

impl<I: Inspect> Review<I> {
    /// Begins with nothing learnt. `store` is written to and is not that of a server.
    pub fn new(
        store: Store,
        tenant: &TenantId,
        sifter: Arc<Sifter>,
        settings: Settings,
        inspector: I,
    ) -> Self {
        let dedup = settings.dedup;
        Review {
            tenant: store.streams().tenant_number(tenant),
            dedup,
            ask_model: settings.ask_model,
            engine: Engine::restore(settings, sifter, Carried::default()),
            store,
            seq: 0,
            now: Timestamp::MIN,
            ticked: Timestamp::MIN,
            is_learning: false,
            unwritten: Commit::empty(dedup, Timestamp::MIN),
            places: Places::default(),
            tally: Tally::default(),
            inspector,
        }
    }

    /// What the lines of a label set have in common; to be kept by the caller.
    pub fn context(&mut self, labels: Labels) -> StreamContext {
        self.engine.context(self.tenant, labels)
    }

    /// Takes a line; `clock` is the time windows go by.
    pub fn line(
        &mut self,
        context: &StreamContext,
        received: Received<'_>,
        clock: Timestamp,
        watch: &mut impl Watch,
    ) -> Result<(), StoreError> {
        self.tally.lines += u64::from(!self.is_learning);
        self.go_to(clock)?;
        self.seq += 1;
        self.engine.take(context, (self.seq, self.now), std::iter::once(received), watch);
        if !self.is_learning {
            self.tally.from =
                Some(self.tally.from.map_or(received.timestamp, |at| at.min(received.timestamp)));
            self.tally.to = Some(self.tally.to.map_or(received.timestamp, |at| at.max(received.timestamp)));
        }
        if self.engine.is_overfull() {
            self.close_all()?;
        }
        Ok(())
    }

    /// From here on lines are learnt from and nothing is told, until [`Review::judge`].
    pub fn learn(&mut self) {
        self.is_learning = true;
    }

    /// Ends what [`Review::learn`] began: what comes now is judged by what was learnt.
    pub fn judge(&mut self) -> Result<(), StoreError> {
        self.close_all()?;
        self.engine.finish_learning(self.now);
        self.is_learning = false;
        Ok(())
    }

    /// Ends every window and writes what is left.
    pub fn end(&mut self) -> Result<(), StoreError> {
        self.close_all()?;
        self.write()
    }

    /// The text of a template, and the id under which it is known now.
    pub fn template(&mut self, id: TemplateId) -> (TemplateId, Option<&str>) {
        let miner = self.miner();
        (miner.resolve(id), miner.template(id).map(|template| &*template.text))
    }

    /// The miner of the lines.
    pub fn miner(&mut self) -> &mut Miner {
        self.engine.miner(self.tenant)
    }

    /// What the review went through so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Gives back what was shown the windows.
    pub fn into_inspector(self) -> I {
        self.inspector
    }

    /// The findings in the order of their first event, at most [`MAX_FINDINGS`]; and whether there are more.
    pub fn findings(&self) -> Result<(Vec<Finding>, bool), StoreError> {
        let filter =
            FindingFilter { tenant: self.tenant, limit: MAX_FINDINGS + 1, ..FindingFilter::default() };
        let mut findings = self.store.read_blocking(|conn| finding::list(conn, &filter))?;
        let is_more = findings.len() > MAX_FINDINGS;
        findings.truncate(MAX_FINDINGS);
        findings.sort_by(|a, b| (a.first_seen, &a.fingerprint).cmp(&(b.first_seen, &b.fingerprint)));
        Ok((findings, is_more))
    }

    /// Where a line that is quoted in a finding was read.
    pub fn place(&self, line: &EvidenceLine) -> Option<Place> {
        self.places.of(line)
    }

    /// Moves the clock: what is due ends. A clock set back far begins anew.
    fn go_to(&mut self, clock: Timestamp) -> Result<(), StoreError> {
        if clock < self.now.minus(OUT_OF_ORDER) {
            self.close_all()?;
            (self.now, self.ticked) = (clock, clock);
        }
        self.now = self.now.max(clock);
        for key in self.engine.due(self.now) {
            self.close(&key)?;
        }
        self.tick()
    }

    /// Now and then says what is to be said of groups that say nothing.
    fn tick(&mut self) -> Result<(), StoreError> {
        if self.is_learning || self.now < self.ticked.plus(TICK) {
            return Ok(());
        }
        self.ticked = self.now;
        let quiet = self.engine.tick(self.seq, self.now);
        if quiet.is_empty() {
            return Ok(());
        }
        self.places
            .learn(quiet.iter().flat_map(|quiet| &quiet.told.findings).flat_map(|draft| &draft.evidence));
        self.unwritten.quiet(quiet, self.now);
        self.write()
    }

    fn close_all(&mut self) -> Result<(), StoreError> {
        for key in self.engine.open() {
            self.close(&key)?;
        }
        Ok(())
    }

    fn close(&mut self, key: &(i64, String)) -> Result<(), StoreError> {
        let closed = self.engine.close(key, self.seq, self.now);
        self.engine.template_changes();
        // What evicted groups carry is not kept: they begin anew.
        self.engine.evict();
        let Some(mut closed) = closed.filter(|_| !self.is_learning) else { return Ok(()) };
        self.tally.windows += 1;
        if closed.told.findings.is_empty() && closed.exhibit.is_none() && closed.recovered.is_empty() {
            return Ok(());
        }
        self.tally.telling += 1;
        self.inspector.window(&mut closed);
        let items = closed.exhibit.iter().flat_map(|exhibit| &exhibit.items);
        let shown = items.flat_map(|item| &item.exemplars).map(|exemplar| &exemplar.evidence);
        let told = closed.told.findings.iter().flat_map(|draft| &draft.evidence);
        self.places.learn(told.chain(shown));
        self.unwritten.add(&mut closed, self.ask_model, self.now);
        if self.unwritten.windows() >= WRITTEN_AT_ONCE { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let next = Commit::empty(self.dedup, self.now);
        let commit = std::mem::replace(&mut self.unwritten, next);
        self.store.write_blocking(move |tx| commit.write(tx).map(drop))?;
        if self.places.is_full() {
            let (kept, _) = self.findings()?;
            self.places.keep_only(kept.iter().flat_map(|finding| &finding.evidence));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::{
        model::Category,
        rules,
        runtime::Clock,
        store::{self, OpenError},
        telemetry::StoreMetrics,
        wire::level::Level,
    };

    const START: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn at(secs: u64) -> Timestamp {
        START.plus(Duration::from_secs(secs))
    }

    fn store(folder: &std::path::Path) -> Result<Store, OpenError> {
        let settings = store::Settings { data_dir: folder.to_owned(), ..store::Settings::default() };
        Store::open(&settings, Clock::manual(START), StoreMetrics::register(&Registry::new()).unwrap())
    }

    /// Reviews `(second, line)` of one file; the lines before `judged` are learnt.
    fn review(folder: &std::path::Path, lines: &[(u64, &str)], judged: usize) -> Review {
        let sifter = Arc::new(Sifter::new(rules::load(&rules::Settings::default()).unwrap()));
        let tenant = TenantId::single();
        let mut review = Review::new(store(folder).unwrap(), &tenant, sifter, Settings::default(), ());
        let context = review.context(Labels::from_pairs([("host", "vps1")]).unwrap());
        if judged > 0 {
            review.learn();
        }
        for (number, (secs, line)) in lines.iter().enumerate() {
            if number == judged && judged > 0 {
                review.judge().unwrap();
            }
            let place = Place { file: 3, line: number as u64 + 1 };
            let received = Received {
                at: place.into(),
                timestamp: at(*secs),
                line: line.as_bytes(),
                level: Level::Unknown,
            };
            review.line(&context, received, at(*secs), &mut ()).unwrap();
        }
        review.end().unwrap();
        review
    }

    const QUIET: &str = "CRON[1]: (root) CMD (true)";
    const KILLED: &str = "kernel: Out of memory: Killed process 77 (mysqld) total-vm:1kB, anon-rss:1kB";

    #[test]
    fn windows_go_by_the_lines_own_time_and_the_same_thing_joins_over_them() {
        let folder = tempfile::tempdir().unwrap();
        let lines = [(0, QUIET), (30, KILLED), (59, QUIET), (61, QUIET), (300, KILLED), (310, QUIET)];
        let review = review(folder.path(), &lines, 0);
        let tally = review.tally();
        // Of 60 seconds each, from the first line that comes: 0–59, 61, 300–310.
        assert_eq!((tally.lines, tally.windows, tally.telling), (6, 3, 2));
        assert_eq!((tally.from, tally.to), (Some(at(0)), Some(at(310))));
        let (findings, is_more) = review.findings().unwrap();
        assert_eq!((findings.len(), is_more), (1, false));
        let finding = &findings[0];
        assert_eq!((finding.category, finding.count), (Category::Oom, 2));
        let places: Vec<_> = finding.evidence.iter().filter_map(|line| review.place(line)).collect();
        assert_eq!(places, [Place { file: 3, line: 2 }, Place { file: 3, line: 5 }]);
    }

    #[test]
    fn what_is_learnt_from_is_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let lines = [(0, KILLED), (100, QUIET), (7_300, QUIET), (7_310, QUIET)];
        let review = review(folder.path(), &lines, 2);
        assert_eq!((review.tally().lines, review.tally().from), (2, Some(at(7_300))));
        assert!(review.findings().unwrap().0.is_empty());
    }

    #[test]
    fn the_time_between_what_is_learnt_and_what_is_judged_is_no_silence() {
        let minutes = |range: std::ops::Range<u64>| range.map(|minute| (minute * 60, QUIET));
        let silences = |lines: &[(u64, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            review(folder.path(), lines, 300).findings().unwrap().0
        };
        let mut lines: Vec<_> = minutes(0..300).chain(minutes(1_500..1_560)).collect();
        assert_eq!(silences(&lines), [], "a night");
        lines.extend(minutes(1_620..1_625));
        let told = silences(&lines);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].title.starts_with("no line has come for "), "{}", told[0].title);
    }

    #[test]
    fn a_clock_that_is_set_back_far_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let lines = [(90_000, QUIET), (90_001, QUIET), (10, KILLED), (20, QUIET), (200, QUIET)];
        let review = review(folder.path(), &lines, 0);
        assert_eq!(review.tally().windows, 3);
        let (findings, _) = review.findings().unwrap();
        assert_eq!((findings.len(), findings[0].first_seen), (1, at(10)));
    }
}
