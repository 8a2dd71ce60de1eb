//! `sigyn analyze`: reads files or a pipe once, with the server's engine, and tells what it found.
//!
//! Nothing is kept: what the engine writes goes into a database in a temporary folder. Memory is bounded whatever the
//! size of the input.

mod findings;
mod hosts;
mod input;
mod lines;
pub(super) mod progress;
mod reading;
pub(super) mod rows;
mod sessions;
mod spool;
mod work;

use std::{future::Future, path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use regex::Regex;
use tokio_util::sync::CancellationToken;

pub(super) use self::findings::name_findings;
use self::work::{Job, Outcome};
use super::{ServerArgs, log, output, serve::Signals};
use crate::{config::Settings, model::Severity};

/// Some input could not be read; what could be was analysed.
const EXIT_INCOMPLETE: u8 = 1;
/// A finding is as severe as `--fail-on` says.
const EXIT_FOUND: u8 = 3;
/// Stopped by Ctrl-C; what was read until then was analysed.
pub(super) const EXIT_INTERRUPTED: u8 = 130;

/// What `analyze` takes.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed or some input could not be read, 2 wrong usage, 3 a finding as \
    severe as --fail-on says, 64 wrong configuration, 130 stopped by Ctrl-C"
)]
pub(super) struct AnalyzeArgs {
    /// Files and folders, also .gz and .zst; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Learn what is normal from this file or folder first, without telling anything of it; may be repeated
    #[arg(long, value_name = "FILE")]
    train: Vec<PathBuf>,
    /// What to tell about
    #[arg(long, value_enum, default_value_t = Emit::Findings)]
    emit: Emit,
    /// How to tell it [default: table for findings, jsonl for everything else]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Finds the session a line belongs to: its first group, or all it matches; without it sessions find themselves
    #[arg(long, value_name = "REGEX")]
    session_key: Option<Regex>,
    /// Lines are bare messages: nothing is taken off them, and no time is looked for
    #[arg(long)]
    message_only: bool,
    /// Labels of all lines; `host` also names the host where lines do not
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = hosts::label)]
    labels: Vec<(String, String)>,
    /// Exit with 3 when a finding is at least this severe: info, low, medium, high, critical
    #[arg(long, value_name = "SEVERITY", value_parser = super::findings::severity)]
    fail_on: Option<Severity>,
    /// Do not ask the configured model
    #[arg(long)]
    no_llm: bool,
    /// Columns of tables
    #[arg(long, env = "COLUMNS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(40..))]
    width: u16,
    /// YAML configuration: rules, windows, detectors, the model [env: SIGYN_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What is told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Emit {
    /// What matters, with the lines that show it
    Findings,
    /// Every line with its score
    Lines,
    /// Every line with its template
    Templates,
    /// Every session (request, connection, process, …) with its score
    Sessions,
}

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
}

impl AnalyzeArgs {
    fn format(&self) -> Format {
        let usual = if self.emit == Emit::Findings { Format::Table } else { Format::Jsonl };
        self.format.unwrap_or(usual)
    }
}

pub(super) fn run(args: AnalyzeArgs, outer: ServerArgs) -> anyhow::Result<ExitCode> {
    let server = ServerArgs { config: args.config.clone(), ..ServerArgs::default() };
    let settings = server.or(outer).load()?;
    log::start_quiet(&settings.log)?;
    let sources = input::sources(&args.paths)?;
    let train = input::sources(&args.train)?;
    let fail_on = args.fail_on;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // Removed in any case, also when a read from a terminal is still waiting.
    let scratch = tempfile::Builder::new().prefix("sigyn-analyze-").tempdir()?;
    let job = Job { args, settings, sources, train, scratch: scratch.path().to_owned() };
    let outcome = runtime.block_on(until_stopped(|stop| work::run(job, stop)));
    runtime.shutdown_background();
    scratch.close()?;
    Ok(exit_code(outcome?, fail_on))
}

/// Works until the end or a signal. The first one ends the reading: what was read is told. A second one ends all.
pub(super) async fn until_stopped<T, F>(
    work: impl FnOnce(CancellationToken) -> F,
) -> anyhow::Result<Option<T>>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let mut work = Box::pin(work(stop.clone()));
    tokio::select! {
        outcome = &mut work => return outcome.map(Some),
        () = signals.next() => stop.cancel(),
    }
    tokio::select! {
        outcome = work => outcome.map(Some),
        () = signals.next() => Ok(None),
    }
}

fn exit_code(outcome: Option<Outcome>, fail_on: Option<Severity>) -> ExitCode {
    let Some(outcome) = outcome.filter(|outcome| !outcome.is_stopped) else {
        return ExitCode::from(EXIT_INTERRUPTED);
    };
    let is_found = fail_on.is_some_and(|least| outcome.worst.is_some_and(|worst| worst >= least));
    ExitCode::from(match (outcome.is_incomplete, is_found) {
        (true, _) => EXIT_INCOMPLETE,
        (false, true) => EXIT_FOUND,
        (false, false) => 0,
    })
}
