//! Findings: as the API has them, with the file and the number of each line that shows them.

use std::{collections::BTreeMap, io::Write, time::Duration};

use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{super::findings::block, AnalyzeArgs, Format, output, progress::grouped, rows::Rows, work::Read};
use crate::{
    analyze::{
        explain::{self, Explainer, Progress},
        review::{MAX_FINDINGS, Place, Tally},
    },
    llm::Model,
    model::{EvidenceLine, Finding, FindingId, Severity, Timestamp},
    runtime::Clock,
    store::{Store, StoreError},
    telemetry::Metrics,
};

/// A model that pauses for longer is not waited for: what the rules say is there.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the one JSON document says besides the findings.
#[derive(Serialize)]
struct About {
    files: usize,
    lines: u64,
    windows: u64,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    cut_lines: u64,
    stopped: bool,
}

#[derive(Serialize)]
struct Document {
    findings: Vec<Value>,
    analysis: About,
}

/// Asks the model about every window that has something to say, the gravest first. Ends early where it cannot be
/// asked, and says how many windows were left.
pub(super) async fn explain(
    store: &Store,
    model: Model,
    mut settings: explain::Settings,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    // The lines are of the past: nothing is too old to be asked about, and nothing new comes.
    settings.patience = Duration::MAX;
    settings.backlog = usize::MAX;
    let clock = Clock::system();
    let explainer = Explainer::new(store.clone(), model, settings, clock.clone(), metrics.llm.clone());
    let mut asked = 0_u64;
    loop {
        let progress = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            progress = Box::pin(explainer.run_once()) => progress?,
        };
        match progress {
            Progress::MoreToDo => {
                asked += 1;
                output::progress(&format!("asked about {asked} windows"));
            }
            Progress::Idle { next_due: None } => break,
            Progress::Idle { next_due: Some(due) } => {
                let pause = due.since(clock.now());
                if pause > LONGEST_PAUSE {
                    output::progress("");
                    output::problem(
                        "the model cannot be asked about every window (away, or the budget is spent); \
                         what the rules found stands",
                    );
                    return Ok(());
                }
                tokio::time::sleep(pause.max(Duration::from_millis(100))).await;
            }
        }
    }
    output::progress("");
    Ok(())
}

/// Tells the findings; says how severe the worst is.
pub(super) fn tell(args: &AnalyzeArgs, read: &Read) -> anyhow::Result<Option<Severity>> {
    let (mut findings, is_more) = read.review.findings()?;
    name_findings(&mut findings);
    let worst = findings.iter().map(|finding| finding.severity).max();
    match args.format() {
        Format::Table => table(args, read, &findings)?,
        Format::Jsonl => {
            let mut rows = Rows::new(output::results(), Format::Jsonl);
            for finding in &findings {
                rows.add(&placed(finding, read)?)?;
            }
            rows.end()?;
        }
        Format::Json => {
            let findings = findings.iter().map(|finding| placed(finding, read)).collect::<Result<_, _>>()?;
            let mut out = output::results();
            serde_json::to_writer_pretty(&mut out, &Document { findings, analysis: about(read) })?;
            out.write_all(b"\n")?;
            out.flush()?;
        }
    }
    if is_more {
        output::problem(&format!("only the {MAX_FINDINGS} newest findings are told"));
    }
    Ok(worst)
}

/// Gives findings ids of their own: the same finding of the same lines has the same id in every run.
pub(in crate::cli) fn name_findings(findings: &mut [Finding]) {
    let mut met = BTreeMap::new();
    for finding in findings {
        let number: &mut u32 = met.entry(finding.fingerprint.clone()).or_default();
        finding.id = id(finding, *number);
        *number += 1;
    }
}

fn id(finding: &Finding, number: u32) -> FindingId {
    let name = format!("{}\n{}\n{number}", finding.fingerprint, finding.first_seen.as_nanos());
    let bytes = xxhash_rust::xxh3::xxh3_128(name.as_bytes()).to_be_bytes();
    FindingId(uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string())
}

/// The finding as the API has it; each line of the evidence says where it stands.
fn placed(finding: &Finding, read: &Read) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(finding)?;
    let lines = value.get_mut("evidence").and_then(Value::as_array_mut).into_iter().flatten();
    for (line, known) in lines.zip(&finding.evidence) {
        if let (Some(line), Some(place)) = (line.as_object_mut(), read.review.place(known)) {
            line.insert("file".to_owned(), name(place, read).into());
            line.insert("line_number".to_owned(), place.line.into());
        }
    }
    Ok(value)
}

fn name(place: Place, read: &Read) -> &str {
    let at = usize::try_from(place.file).unwrap_or(usize::MAX);
    read.names.get(at).map_or("-", String::as_str)
}

fn about(read: &Read) -> About {
    let Tally { lines, windows, from, to, .. } = read.tally;
    About {
        files: read.judged,
        lines,
        windows,
        from,
        to,
        cut_lines: read.problems.cut,
        stopped: read.is_stopped,
    }
}

fn table(args: &AnalyzeArgs, read: &Read, findings: &[Finding]) -> std::io::Result<()> {
    let mut out = output::results();
    for finding in findings {
        let mark = |line: &EvidenceLine| match read.review.place(line) {
            Some(place) if read.names.len() > 1 => format!("{}:{} │ ", name(place, read), place.line),
            Some(place) => format!("{} │ ", place.line),
            None => "│ ".to_owned(),
        };
        writeln!(out, "{}", block(finding, args.width.into(), output::is_colourful(), &mark))?;
    }
    writeln!(out, "{}", summary(findings.len(), read))?;
    out.flush()
}

fn summary(findings: usize, read: &Read) -> String {
    let several = |count: u64, noun: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{} {noun}{plural}", grouped(count as f64))
    };
    let Tally { lines, from, to, .. } = read.tally;
    let time = match (from, to) {
        (Some(from), Some(to)) => {
            let secs = |at: Timestamp| Timestamp::from_secs(at.as_secs());
            format!(", {} to {}", secs(from), secs(to))
        }
        _ => String::new(),
    };
    format!(
        "{} in {} of {}{time}",
        several(findings as u64, "finding"),
        several(lines, "line"),
        several(read.judged as u64, "file")
    )
}
