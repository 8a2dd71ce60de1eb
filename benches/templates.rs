//! How well templates are mined: grouping accuracy on labelled logs, on messages and on whole lines.
//!
//! `cargo bench --bench templates -- FOLDER` takes a folder of `<System>.jsonl.gz` files, one object a line with
//! `raw`, `content` and `event`. GA: share of lines whose group is exactly the true one (Zhu et al., ICSE 2019);
//! FGA: F1 over groups (Jiang et al., ISSTA 2024). Lines per second are of one core. `--show content:System` prints the
//! groups that are wrong; `--emit DIR` writes `DIR/<System>.jsonl` with the template of every message, for scoring texts.
#![expect(clippy::print_stdout, reason = "a report for the person who runs it")]

use std::{
    borrow::Cow,
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use anyhow::Context;
use sigyn::{
    analyze::mine::{Miner, Settings},
    model::Timestamp,
    wire::envelope,
};

#[derive(serde::Deserialize)]
struct Labelled {
    raw: String,
    content: String,
    event: String,
}

struct Score {
    ga: f64,
    fga: f64,
    groups: usize,
    spent: Duration,
}

fn main() -> anyhow::Result<()> {
    let (mut folder, mut show, mut emit) = (None, None, None);
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--show" => show = arguments.next(),
            "--emit" => emit = arguments.next(),
            _ => folder = Some(argument),
        }
    }
    let Some(folder) = folder else {
        println!("templates: no folder given, nothing measured");
        return Ok(());
    };
    let systems = systems(Path::new(&folder))?;
    for (name, of) in [("content", content as fn(&Labelled) -> Cow<'_, str>), ("raw", raw)] {
        report(name, of, &systems, show.as_deref());
    }
    match emit {
        Some(folder) => systems.iter().try_for_each(|system| write(Path::new(&folder), system)),
        None => Ok(()),
    }
}

/// Writes the final template of every message.
fn write(folder: &Path, (system, labelled): &(String, Vec<Labelled>)) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut out = BufWriter::new(File::create(folder.join(format!("{system}.jsonl")))?);
    let (_, ids, texts) = mine(labelled, content);
    for (at, id) in ids.iter().enumerate() {
        let row = serde_json::json!({"line": at + 1, "template_id": id, "template": texts.get(id)});
        writeln!(out, "{row}")?;
    }
    Ok(out.flush()?)
}

fn content(line: &Labelled) -> Cow<'_, str> {
    Cow::Borrowed(&line.content)
}

fn raw(line: &Labelled) -> Cow<'_, str> {
    envelope::open(line.raw.as_bytes()).message
}

fn report(
    name: &str,
    of: fn(&Labelled) -> Cow<'_, str>,
    systems: &[(String, Vec<Labelled>)],
    show: Option<&str>,
) {
    let (mut ga, mut fga, mut lines, mut spent) = (0.0, 0.0, 0usize, Duration::ZERO);
    for (system, labelled) in systems {
        let (score, ids, texts) = mine(labelled, of);
        println!("{name:8} {system:12} GA {:.3}  FGA {:.3}  groups {}", score.ga, score.fga, score.groups);
        if show == Some(&format!("{name}:{system}")) {
            mistakes(labelled, &ids, &texts);
        }
        ga += score.ga;
        fga += score.fga;
        lines += labelled.len();
        spent += score.spent;
    }
    let count = systems.len() as f64;
    println!(
        "{name:8} {:12} GA {:.4}  FGA {:.4}  {:.0} lines/s",
        "average",
        ga / count,
        fga / count,
        lines as f64 / spent.as_secs_f64()
    );
}

fn mine(labelled: &[Labelled], of: fn(&Labelled) -> Cow<'_, str>) -> (Score, Vec<u64>, HashMap<u64, String>) {
    let mut miner = Miner::new(&Settings::default(), 1, Arc::new(AtomicU64::new(1)));
    let started = Instant::now();
    let seen: Vec<_> =
        labelled.iter().map(|line| miner.observe(&of(line), Timestamp::default()).template).collect();
    let spent = started.elapsed();
    let ids: Vec<u64> = seen.into_iter().map(|id| miner.resolve(id).0).collect();
    let texts = miner.templates().map(|template| (template.id.0, template.text.clone())).collect();
    let (ga, fga, groups) = accuracy(labelled, &ids);
    (Score { ga, fga, groups, spent }, ids, texts)
}

fn accuracy(labelled: &[Labelled], ids: &[u64]) -> (f64, f64, usize) {
    let mut truth: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut found: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, (line, id)) in labelled.iter().zip(ids).enumerate() {
        truth.entry(&line.event).or_default().push(at);
        found.entry(*id).or_default().push(at);
    }
    let right: Vec<usize> = truth
        .values()
        .filter(|group| group.first().and_then(|at| ids.get(*at)).and_then(|id| found.get(id)) == Some(group))
        .map(Vec::len)
        .collect();
    let lines: usize = right.iter().sum();
    let fga = 2.0 * right.len() as f64 / (truth.len() + found.len()) as f64;
    (lines as f64 / labelled.len() as f64, fga, found.len())
}

/// Prints the true groups that were split or mixed, largest first.
fn mistakes(labelled: &[Labelled], ids: &[u64], texts: &HashMap<u64, String>) {
    let mut pairs: HashMap<(&str, u64), (usize, &str)> = HashMap::new();
    for (line, id) in labelled.iter().zip(ids) {
        pairs.entry((&line.event, *id)).or_insert((0, &line.raw)).0 += 1;
    }
    let mut by_event: HashMap<&str, usize> = HashMap::new();
    let mut by_id: HashMap<u64, usize> = HashMap::new();
    for (event, id) in pairs.keys() {
        *by_event.entry(event).or_default() += 1;
        *by_id.entry(*id).or_default() += 1;
    }
    let is_wrong = |event: &str, id: u64| {
        by_event.get(event).is_some_and(|n| *n > 1) || by_id.get(&id).is_some_and(|n| *n > 1)
    };
    let mut wrong: Vec<_> = pairs.iter().filter(|((event, id), _)| is_wrong(event, *id)).collect();
    wrong.sort_by_key(|((event, id), (count, _))| (*event, *id, std::cmp::Reverse(*count)));
    for ((event, id), (count, raw)) in wrong {
        let text = texts.get(id).map_or("", String::as_str);
        println!("   {event} #{id} x{count}  {text}\n        {:.150}", raw);
    }
}

fn systems(folder: &Path) -> anyhow::Result<Vec<(String, Vec<Labelled>)>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(".jsonl.gz"))
        .collect();
    files.sort();
    files.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> anyhow::Result<(String, Vec<Labelled>)> {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('.').next());
    let file = BufReader::new(flate2::read::GzDecoder::new(File::open(path)?));
    let lines = file.lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect::<anyhow::Result<_>>()?;
    Ok((name.unwrap_or_default().to_owned(), lines))
}
