//! The work itself: learn, read, judge, ask, tell.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use tokio_util::sync::CancellationToken;

use super::{
    AnalyzeArgs, Emit, Settings, findings,
    hosts::Hosts,
    input::Source,
    lines::{self, Record},
    output,
    progress::Progress,
    reading::{Manner, Problems, Reading},
};
use crate::{
    analyze::{
        engine::Received,
        review::{Review, Tally},
        sift::Sifter,
    },
    llm::Model,
    model::{Severity, TenantId},
    rules,
    runtime::Clock,
    store::{self, Store},
    telemetry::Metrics,
    wire::level::Level,
};

/// Everything a run needs.
pub(super) struct Job {
    pub args: AnalyzeArgs,
    pub settings: Settings,
    pub sources: Vec<Source>,
    pub train: Vec<Source>,
    /// A folder of its own.
    pub scratch: PathBuf,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    /// The worst finding.
    pub worst: Option<Severity>,
    /// Some input could not be read.
    pub is_incomplete: bool,
    /// It was told to stop.
    pub is_stopped: bool,
}

/// What was read, ready to be told.
pub(super) struct Read {
    pub review: Review,
    pub record: Record,
    /// Files that were judged.
    pub judged: usize,
    /// Names of all files, by their number.
    pub names: Vec<String>,
    pub tally: Tally,
    pub problems: Problems,
    pub is_stopped: bool,
}

/// Runs a job to its end. `stop` ends the reading; what was read is told all the same.
pub(super) async fn run(job: Job, stop: CancellationToken) -> anyhow::Result<Outcome> {
    let clock = Clock::system();
    let metrics = Metrics::new()?;
    let settings = store::Settings { data_dir: job.scratch.clone(), ..store::Settings::default() };
    let store = Store::open(&settings, clock.clone(), metrics.store.clone())?;
    let model = match job.asks_model() {
        true => job.settings.llm.clone().map(|llm| Model::new(llm, clock.clone())).transpose()?,
        false => None,
    };
    let (args, explain) = (job.args.clone(), job.settings.explain.clone());
    let (reading, stopping) = (store.clone(), stop.clone());
    let asks = model.is_some();
    let read = tokio::task::spawn_blocking(move || job.read(reading, asks, &clock, &stopping)).await??;
    if let Some(model) = model {
        findings::explain(&store, model, explain, &metrics, &stop).await?;
    }
    let outcome = tokio::task::spawn_blocking(move || told(&args, read)).await??;
    store.close().await;
    Ok(outcome)
}

impl Job {
    fn asks_model(&self) -> bool {
        self.args.emit == Emit::Findings && !self.args.no_llm
    }

    /// Reads everything there is.
    fn read(self, store: Store, asks: bool, clock: &Clock, stop: &CancellationToken) -> anyhow::Result<Read> {
        let mut settings = self.settings.analyze;
        settings.ask_model = asks;
        let rules = rules::load(&self.settings.rules).map_err(|mistakes| {
            let all: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", all.join("\n"))
        })?;
        let has_heads = !self.args.message_only;
        let hosts = Hosts::new(self.args.labels, &settings.group_by, has_heads);
        let manner = Manner {
            max_line_bytes: self.settings.ingest.limits.max_line_bytes,
            has_heads,
            now: clock.now(),
        };
        let names = self.train.iter().chain(&self.sources).map(Source::name).collect();
        let mut feed = Feed {
            review: Review::new(store, &TenantId::single(), Arc::new(Sifter::new(rules)), settings, ()),
            record: Record::new(self.args.emit, self.args.session_key)?,
            hosts,
            names,
            manner,
            problems: Problems::default(),
            stop,
        };
        let trained = u32::try_from(self.train.len()).unwrap_or(u32::MAX);
        let mut is_stopped = false;
        if trained > 0 {
            feed.review.learn();
            is_stopped = feed.read(self.train, 0)?;
            feed.review.judge()?;
            feed.record.judge(&mut feed.review)?;
        }
        let judged = self.sources.len();
        is_stopped |= feed.read(self.sources, trained)?;
        feed.review.end()?;
        let Feed { review, record, names, problems, .. } = feed;
        Ok(Read { tally: review.tally(), review, record, judged, names, problems, is_stopped })
    }
}

/// Brings lines from the files to the engine.
struct Feed<'a> {
    review: Review,
    record: Record,
    hosts: Hosts,
    names: Vec<String>,
    manner: Manner,
    problems: Problems,
    stop: &'a CancellationToken,
}

impl Feed<'_> {
    /// Reads sources, numbered from `first` on; says whether it was stopped.
    fn read(&mut self, sources: Vec<Source>, first: u32) -> anyhow::Result<bool> {
        let read = Arc::new(AtomicU64::new(0));
        let total = sources.iter().map(|source| source.bytes).sum();
        let mut progress = Progress::new(total, Arc::clone(&read));
        let mut reading = Reading::new(sources, first, self.manner, read);
        let mut is_stopped = false;
        while let Some(taken) = reading.next_line() {
            if self.stop.is_cancelled() {
                is_stopped = true;
                break;
            }
            let number = taken.place.file;
            let name = usize::try_from(number).ok().and_then(|at| self.names.get(at));
            let name = name.map(String::as_str).filter(|name| *name != "-").unwrap_or_default();
            let context = self.hosts.context((number, name), taken.line, &mut self.review);
            let received = Received {
                at: taken.place.into(),
                timestamp: taken.moment.written,
                line: taken.line,
                level: Level::Unknown,
            };
            self.review.line(&context, received, taken.moment.clock, &mut self.record)?;
            self.record.check()?;
            progress.line();
        }
        progress.done();
        self.problems.join(reading.problems());
        Ok(is_stopped)
    }
}

/// Tells what was asked for.
fn told(args: &AnalyzeArgs, read: Read) -> anyhow::Result<Outcome> {
    let mut outcome =
        Outcome { worst: None, is_incomplete: !read.problems.failed.is_empty(), is_stopped: read.is_stopped };
    let (problems, lines, stopped) = (read.problems.clone(), read.tally.lines, read.is_stopped);
    let written = match args.emit {
        Emit::Findings => findings::tell(args, &read).map(|worst| outcome.worst = worst),
        Emit::Lines => lines::tell_scores(args, read),
        Emit::Templates => lines::tell_templates(args, read),
        Emit::Sessions => lines::tell_sessions(args, read),
    };
    match written {
        // A reader that went away (`| head`) is no failure of ours.
        Err(error) if is_gone(&error) => {}
        other => other?,
    }
    for problem in &problems.failed {
        output::problem(&format!("cannot read {}", output::tame(problem)));
    }
    for name in &problems.skipped {
        output::problem(&format!("left out {}: no text", output::tame(name)));
    }
    if problems.cut > 0 {
        output::problem(&format!("{} lines were longer than ingest.max_line_bytes and cut", problems.cut));
    }
    if stopped {
        output::problem(&format!("stopped after {lines} lines"));
    }
    Ok(outcome)
}

fn is_gone(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let json = error.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
    cause.or(json) == Some(io::ErrorKind::BrokenPipe)
}
