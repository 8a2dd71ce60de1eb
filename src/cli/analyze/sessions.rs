//! Sessions: each with how abnormal its course is.

use std::io::Write;

use regex::Regex;
use serde::Serialize;

use super::{AnalyzeArgs, Format, lines::rounded, output, progress::grouped, rows::Rows, work::Read};
use crate::analyze::{
    detect::sequence::{self, Settings, Verdict},
    engine::Noted,
    review::Review,
};

/// The sessions of the lines of a run.
pub(super) struct Sessions(sequence::Sessions);

impl Sessions {
    /// Without an expression for keys they are found by themselves.
    pub fn new(key: Option<Regex>) -> Self {
        Sessions(sequence::Sessions::new(Settings { key, ..Settings::for_files() }))
    }

    pub fn line(&mut self, noted: &Noted<'_>) {
        self.0.observe(noted.line, noted.template, noted.values, noted.line.timestamp);
    }

    /// Everything so far is normal.
    pub fn learnt(&mut self, review: &mut Review) {
        self.0.train(review.miner());
    }
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    kind: &'a str,
    score: f64,
    anomaly: bool,
    lines: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

impl<'a> Row<'a> {
    fn of(verdict: &'a Verdict) -> Self {
        Row {
            id: &verdict.key,
            kind: &verdict.kind,
            score: rounded(verdict.score),
            anomaly: verdict.is_anomaly,
            lines: verdict.lines,
            reason: &verdict.words.sentence,
        }
    }
}

/// Tells every session; as a table, the abnormal ones.
pub(super) fn tell(args: &AnalyzeArgs, mut read: Read, mut sessions: Sessions) -> anyhow::Result<()> {
    let verdicts = sessions.0.finish(read.review.miner());
    if sessions.0.left_out() > 0 {
        output::problem(&format!("{} sessions were too many and not judged", sessions.0.left_out()));
    }
    if args.format() == Format::Table {
        return Ok(table(args, &verdicts)?);
    }
    let mut rows = Rows::new(output::results(), args.format());
    for verdict in &verdicts {
        rows.add(&Row::of(verdict))?;
    }
    Ok(rows.end()?)
}

fn table(args: &AnalyzeArgs, verdicts: &[Verdict]) -> std::io::Result<()> {
    let mut out = output::results();
    let mut abnormal: Vec<_> = verdicts.iter().filter(|verdict| verdict.is_anomaly).collect();
    abnormal.sort_by(|a, b| b.score.total_cmp(&a.score));
    for verdict in &abnormal {
        let text = format!("{:.3}  {}  {}", verdict.score, verdict.key, verdict.words.sentence);
        writeln!(out, "{}", output::cut(&output::tame(&text), args.width.into()))?;
    }
    let count = |number: usize| grouped(number as f64);
    writeln!(out, "{} abnormal of {} sessions", count(abnormal.len()), count(verdicts.len()))?;
    out.flush()
}
