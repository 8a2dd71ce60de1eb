//! `sigyn replay`: what the stored lines of a span of time would have led to under this configuration, and what asking
//! a model about them would have cost. Reads the database, writes nothing to it, asks no model.

use std::{io::Write, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    ServerArgs,
    analyze::{
        self,
        progress::{Progress, grouped},
        rows::Rows,
    },
    log, output,
};
use crate::{
    analyze::{
        engine::{Closed, Received},
        explain::{Estimate, Estimator},
        review::{Inspect, Place, Review, StreamContext},
        sift::Sifter,
    },
    config::Settings,
    llm::{Model, Tier},
    model::{EvidenceLine, Finding, StreamId, TenantId, Timestamp},
    rules,
    runtime::Clock,
    store::{self, Archive, Store, Sweep},
    telemetry::Metrics,
    wire::level,
};

/// What `replay` takes.
#[derive(Clone, Debug, Args)]
pub(super) struct ReplayArgs {
    /// The last so many days
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// From this time on instead: 2026-11-21T10:00:00Z, or nanoseconds since 1970
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Up to before this time [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Only this tenant
    #[arg(long, value_parser = tenant)]
    tenant: Option<TenantId>,
    /// How to tell it
    #[arg(long, value_enum, default_value_t = analyze::Format::Table)]
    format: analyze::Format,
    /// Columns of tables
    #[arg(long, env = "COLUMNS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(40..))]
    width: u16,
    #[command(flatten)]
    server: ServerArgs,
}

fn tenant(text: &str) -> Result<TenantId, String> {
    TenantId::parse(text).map_err(|error| error.to_string())
}

/// What came of it.
#[derive(Serialize)]
struct Replayed {
    findings: Vec<Finding>,
    replay: About,
}

#[derive(Default, Serialize)]
struct About {
    lines: u64,
    windows: u64,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    model: Option<String>,
    estimate: Estimate,
    stopped: bool,
}

pub(super) fn run(args: &ReplayArgs, outer: ServerArgs) -> anyhow::Result<ExitCode> {
    let settings = args.server.clone().or(outer).load()?;
    log::start_quiet(&settings.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let scratch = tempfile::Builder::new().prefix("sigyn-replay-").tempdir()?;
    let (folder, asked) = (scratch.path().to_owned(), args.clone());
    let replayed = runtime.block_on(analyze::until_stopped(|stop| async move {
        tokio::task::spawn_blocking(move || replay(&asked, &settings, folder, &stop)).await?
    }));
    runtime.shutdown_background();
    scratch.close()?;
    match replayed? {
        Some(replayed) => {
            let is_stopped = replayed.replay.stopped;
            tell(args, &replayed)?;
            Ok(ExitCode::from(if is_stopped { analyze::EXIT_INTERRUPTED } else { 0 }))
        }
        None => Ok(ExitCode::from(analyze::EXIT_INTERRUPTED)),
    }
}

/// Runs every tenant's lines through an engine of its own.
fn replay(
    args: &ReplayArgs,
    settings: &Settings,
    scratch: PathBuf,
    stop: &CancellationToken,
) -> anyhow::Result<Replayed> {
    let clock = Clock::system();
    let to = args.to.unwrap_or_else(|| clock.now());
    let days = Duration::from_secs(u64::from(args.days) * 86_400);
    let span = (args.from.unwrap_or_else(|| to.minus(days)), to);
    let archive = Archive::open(&settings.store.data_dir)?;
    let scratch = store::Settings { data_dir: scratch, ..store::Settings::default() };
    let store = Store::open(&scratch, clock.clone(), Metrics::new()?.store)?;
    let rules = rules::load(&settings.rules).map_err(|mistakes| {
        let all: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", all.join("\n"))
    })?;
    let model = settings.llm.clone().map(|llm| Model::new(llm, clock.clone())).transpose()?;
    let mut about =
        About { model: model.as_ref().map(|model| model.full_name(Tier::Explain)), ..About::default() };
    let mut engine = settings.analyze.clone();
    engine.ask_model = true;
    let sifter = Arc::new(Sifter::new(rules));
    let mut cost = Cost(Estimator::new(settings.explain.clone(), model));
    let mut findings = Vec::new();
    let mut progress = Progress::new(None, Arc::default());
    for tenant in archive.streams().tenants() {
        if args.tenant.as_ref().is_some_and(|wanted| *wanted != tenant) || about.stopped {
            continue;
        }
        let review = Review::new(store.clone(), &tenant, Arc::clone(&sifter), engine.clone(), cost);
        let mut past = Past { archive: &archive, review, progress };
        about.stopped = past.read(&tenant, span, stop)?;
        let tally = past.review.tally();
        about.lines += tally.lines;
        about.windows += tally.windows;
        about.from = [about.from, tally.from].into_iter().flatten().min();
        about.to = about.to.max(tally.to);
        findings.extend(past.review.findings()?.0);
        (cost, progress) = (past.review.into_inspector(), past.progress);
    }
    progress.done();
    analyze::name_findings(&mut findings);
    about.estimate = cost.0.estimate();
    Ok(Replayed { findings, replay: about })
}

/// Counts what a model would have been asked, and keeps nothing of it.
struct Cost(Estimator);

impl Inspect for Cost {
    fn window(&mut self, closed: &mut Closed) {
        if let Some(exhibit) = closed.exhibit.take() {
            self.0.window(&exhibit, closed.window.to);
        }
    }
}

/// Brings the stored lines of a tenant to the engine, in the order they were written.
struct Past<'a> {
    archive: &'a Archive,
    review: Review<Cost>,
    progress: Progress,
}

impl Past<'_> {
    /// Reads everything of the span; says whether it was stopped.
    fn read(
        &mut self,
        tenant: &TenantId,
        (from, to): (Timestamp, Timestamp),
        stop: &CancellationToken,
    ) -> anyhow::Result<bool> {
        let mut contexts: Vec<(StreamId, StreamContext)> = Vec::new();
        for stream in self.archive.streams().of_tenant(tenant) {
            contexts.push((stream.id, self.review.context(stream.labels)));
        }
        let ids = contexts.iter().map(|(id, _)| *id).collect();
        let mut sweep = Sweep::new(ids, from, to);
        let mut place = Place { file: 0, line: 0 };
        loop {
            let page = self.archive.read(|conn| sweep.page(conn))?;
            if page.is_empty() || stop.is_cancelled() {
                break;
            }
            for line in &page {
                let at = contexts.binary_search_by_key(&line.stream, |(id, _)| *id);
                let Some((_, context)) = at.ok().and_then(|at| contexts.get(at)) else { continue };
                place.line += 1;
                let received = Received {
                    at: place.into(),
                    timestamp: line.timestamp,
                    line: &line.line,
                    level: level::of_metadata(line.metadata.iter().map(|(name, value)| (&**name, &**value))),
                };
                self.review.line(context, received, line.timestamp, &mut ())?;
                self.progress.line();
            }
        }
        self.review.end()?;
        Ok(stop.is_cancelled())
    }
}

fn tell(args: &ReplayArgs, replayed: &Replayed) -> anyhow::Result<()> {
    let mut out = output::results();
    match args.format {
        analyze::Format::Json => {
            serde_json::to_writer_pretty(&mut out, replayed)?;
            writeln!(out)?;
        }
        analyze::Format::Jsonl => {
            let mut rows = Rows::new(&mut out, args.format);
            for finding in &replayed.findings {
                rows.add(finding)?;
            }
            rows.end()?;
        }
        analyze::Format::Table => {
            let mark = |_: &EvidenceLine| "│ ".to_owned();
            for finding in &replayed.findings {
                let block = super::findings::block(finding, args.width.into(), output::is_colourful(), &mark);
                writeln!(out, "{block}")?;
            }
            writeln!(out, "{}", summary(replayed.findings.len(), &replayed.replay))?;
        }
    }
    Ok(out.flush()?)
}

fn summary(findings: usize, about: &About) -> String {
    let secs = |at: Timestamp| Timestamp::from_secs(at.as_secs()).to_string();
    let span = match (about.from, about.to) {
        (Some(from), Some(to)) => format!(", {} to {}", secs(from), secs(to)),
        _ => String::new(),
    };
    let count = |number: u64| grouped(number as f64);
    let Estimate { windows, cached, over_budget, calls, input_tokens, output_tokens, cost_micros } =
        about.estimate;
    let model = about.model.as_deref().unwrap_or("a model (none is configured)");
    let price = match cost_micros {
        Some(micros) => format!("at most {:.4} dollars", micros as f64 / 1e6),
        None => "price not known".to_owned(),
    };
    format!(
        "{} findings in {} lines of {} windows{span}\n{model} would have been asked about {} windows ({} more \
         answered from the cache, {} beyond the budget): {} calls, at most {} tokens sent, about {} received, {price}",
        count(findings as u64),
        count(about.lines),
        count(about.windows),
        count(windows - cached - over_budget),
        count(cached),
        count(over_budget),
        count(calls),
        count(input_tokens),
        count(output_tokens),
    )
}
