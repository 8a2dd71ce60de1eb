//! How well abnormal sessions are found: HDFS blocks with labels, with and without a training set.
//!
//! `cargo bench --bench sessions -- FOLDER` takes a folder with `input/hdfs/real2pct/{all,train,test}.log` (each with the
//! block of every line in the `.ids` file beside it) and `labels/hdfs/{real2pct,real2pct_all}.jsonl`, an object
//! `{"id", "label"}` a line. Besides the given split it takes others of the same blocks, with a half, a quarter and an
//! eighth of the normal ones for training. Normal blocks kept for training are missing among those judged: the judged
//! normal ones count for them, so that precision speaks of the natural rate of abnormal blocks. Keys are found by
//! themselves. AP: average precision. Cost: the median of all lines, without mining.
#![expect(clippy::print_stdout, reason = "a report for the person who runs it")]

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use anyhow::Context;
use sigyn::{
    analyze::{
        detect::sequence::{Sessions, Settings, Verdict},
        line::Line,
        mine::{self, Miner},
    },
    model::{Labels, LineRef, TemplateId, Timestamp},
    wire::{
        envelope::{self, Envelope},
        level::Level,
    },
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

#[derive(serde::Deserialize)]
struct Label {
    id: String,
    label: u8,
}

/// A log, mined, with the block of every line.
struct Log {
    miner: Miner,
    lines: Vec<Mined>,
}

struct Mined {
    id: String,
    envelope: Envelope<'static>,
    template: TemplateId,
    values: Vec<mine::Value>,
}

struct Outcome {
    precision: f64,
    recall: f64,
    f1: f64,
    average_precision: f64,
    /// What it costs to follow the sessions, at the median line.
    per_line: Duration,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(folder) = arguments.next() else {
        println!("sessions: no folder given, nothing measured");
        return Ok(());
    };
    let folder = Path::new(&folder);
    let truth = labels(&folder.join("labels/hdfs/real2pct_all.jsonl"))?;
    let judged = labels(&folder.join("labels/hdfs/real2pct.jsonl"))?;
    let all = Log::read(folder, "all")?;
    println!("{} lines", all.lines.len());
    let given = |id: &str| if judged.contains_key(id) { Side::Judge } else { Side::Train };
    print("given split", &run(&all, &truth, &given));
    for seed in 0..3 {
        for parts in [2, 4, 8] {
            let side = |id: &str| match (truth.get(id), xxh3_64_with_seed(id.as_bytes(), seed)) {
                (Some(0), hash) if hash % parts == 0 => Side::Train,
                (Some(0), hash) if hash % 2 == 0 => Side::Leave,
                _ => Side::Judge,
            };
            print(&format!("split {seed}, 1/{parts} of normal"), &run(&all, &truth, &side));
        }
    }
    print("no training", &run(&all, &truth, &|_| Side::Judge));
    for seed in 0..3 {
        for parts in [2, 4] {
            let side = |id: &str| match xxh3_64_with_seed(id.as_bytes(), seed) % parts {
                0 => Side::Judge,
                _ => Side::Leave,
            };
            print(&format!("no training, 1/{parts}, {seed}"), &run(&all, &truth, &side));
        }
    }
    Ok(())
}

/// What a block is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Train,
    Judge,
    Leave,
}

fn run(log: &Log, truth: &HashMap<String, u8>, side: &dyn Fn(&str) -> Side) -> Outcome {
    let mut sessions = Sessions::new(Settings::for_files());
    let mut spent: Vec<Duration> = Vec::new();
    for phase in [Side::Train, Side::Judge] {
        let before = spent.len();
        for line in log.lines.iter().filter(|line| side(&line.id) == phase) {
            spent.push(observe(&mut sessions, line));
        }
        if phase == Side::Train && spent.len() > before {
            sessions.train(&log.miner);
        }
    }
    let verdicts = sessions.finish(&log.miner);
    let verdicts: HashMap<&str, &Verdict> =
        verdicts.iter().map(|verdict| (verdict.key.as_str(), verdict)).collect();
    let count =
        |wanted: Side| truth.iter().filter(|(id, label)| **label == 0 && side(id) == wanted).count() as f64;
    let weight = if count(Side::Train) > 0.0 {
        (count(Side::Train) + count(Side::Judge)) / count(Side::Judge)
    } else {
        1.0
    };
    let rows = truth.iter().filter(|(id, _)| side(id) == Side::Judge).map(|(id, label)| {
        let verdict = verdicts.get(id.as_str());
        Row {
            score: verdict.map_or(0.0, |verdict| verdict.score),
            is_flagged: verdict.is_some_and(|verdict| verdict.is_anomaly),
            is_abnormal: *label != 0,
            weight: if *label == 0 { weight } else { 1.0 },
        }
    });
    spent.sort_unstable();
    let median = spent.get(spent.len() / 2).copied().unwrap_or_default();
    outcome(rows.collect(), median)
}

fn observe(sessions: &mut Sessions, mined: &Mined) -> Duration {
    let labels = Labels::default();
    let line = Line {
        at: LineRef { block: 0, index: 0 },
        labels: &labels,
        host: "",
        timestamp: Timestamp::default(),
        raw: mined.envelope.message.as_bytes(),
        envelope: &mined.envelope,
        template: Some(mined.template),
        level: Level::Unknown,
    };
    let started = Instant::now();
    sessions.observe(&line, mined.template, &mined.values, Timestamp::default());
    started.elapsed()
}

struct Row {
    score: f64,
    is_flagged: bool,
    is_abnormal: bool,
    weight: f64,
}

fn outcome(mut rows: Vec<Row>, per_line: Duration) -> Outcome {
    let sum = |is_abnormal: bool, rows: &[Row]| -> f64 {
        rows.iter().filter(|row| row.is_abnormal == is_abnormal).map(|row| row.weight).sum()
    };
    let positives = sum(true, &rows);
    rows.sort_by(|a, b| b.score.total_cmp(&a.score));
    let (mut found, mut wrong, mut average) = (0.0, 0.0, 0.0);
    for tied in rows.chunk_by(|a, b| a.score.total_cmp(&b.score).is_eq()) {
        let new = sum(true, tied);
        found += new;
        wrong += sum(false, tied);
        average += found / (found + wrong) * new / positives;
    }
    rows.retain(|row| row.is_flagged);
    let (found, wrong) = (sum(true, &rows), sum(false, &rows));
    let (precision, recall) = (found / (found + wrong), found / positives);
    let f1 = 2.0 * precision * recall / (precision + recall);
    Outcome { precision, recall, f1, average_precision: average, per_line }
}

fn print(name: &str, outcome: &Outcome) {
    let Outcome { precision, recall, f1, average_precision, per_line } = outcome;
    println!(
        "{name:26} P {precision:.3}  R {recall:.3}  F1 {f1:.3}  AP {average_precision:.3}  {} ns/line",
        per_line.as_nanos()
    );
}

fn labels(path: &Path) -> anyhow::Result<HashMap<String, u8>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let label = |line: &str| serde_json::from_str::<Label>(line).map(|label| (label.id, label.label));
    Ok(text.lines().map(label).collect::<Result<_, _>>()?)
}

impl Log {
    fn read(folder: &Path, name: &str) -> anyhow::Result<Log> {
        let read = |ending: &str| {
            let path = folder.join(format!("input/hdfs/real2pct/{name}.{ending}"));
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let (lines, ids) = (read("log")?, read("ids")?);
        let mut miner = Miner::new(&mine::Settings::default(), 1, Arc::new(AtomicU64::new(1)));
        let mut mine = |(raw, id): (&str, &str)| {
            let envelope = envelope::open(raw.as_bytes()).into_owned();
            let observation = miner.observe(&envelope.message, Timestamp::default());
            let (template, values) = (observation.template, observation.values.to_vec());
            Mined { id: id.to_owned(), envelope, template, values }
        };
        let lines = lines.lines().zip(ids.lines()).map(&mut mine).collect();
        Ok(Log { miner, lines })
    }
}
