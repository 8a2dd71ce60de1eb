//! Measures how well the analysis finds what it should: runs `sigyn analyze` over a folder of labelled logs and compares.
//! `cargo bench --bench quality -- FOLDER`; `docs/quality.md` says what the folder holds and where to get such data. A
//! part that is not there is left out; without a folder nothing is done.
#![expect(clippy::print_stdout, reason = "a measuring program prints what it measured")]
#![expect(clippy::indexing_slicing, reason = "indexing a JSON value by a missing key gives null")]

mod packed;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = arguments.iter().find(|argument| !argument.starts_with('-')) else { return Ok(()) };
    let plain = tempfile::tempdir()?;
    let folder = match Path::new(folder).join("input").is_dir() {
        true => PathBuf::from(folder),
        false => {
            packed::unpack(Path::new(folder), plain.path())?;
            plain.path().to_owned()
        }
    };
    let data = Data { folder, verbose: arguments.iter().any(|argument| argument == "--verbose") };
    data.templates()?;
    data.sessions()?;
    data.lines()?;
    data.cases()
}

/// `input` holds what the analysis sees, `labels` what is true.
struct Data {
    folder: PathBuf,
    verbose: bool,
}

impl Data {
    /// Grouping accuracy of messages alone and of whole lines, by set: `loghub2k/SET/{content,raw}.log`.
    fn templates(&self) -> Outcome<()> {
        for (input, flags) in [("content", &["--message-only"][..]), ("raw", &[])] {
            let mut all = Vec::new();
            for set in names(&self.folder.join("input/loghub2k"))? {
                let file = self.folder.join("input/loghub2k").join(&set).join(format!("{input}.log"));
                let rows = analyze(&[&["--emit", "templates"], flags].concat(), &[&file])?;
                let found = rows.iter().map(|row| row["template_id"].to_string()).collect::<Vec<_>>();
                let labels = objects(&self.folder.join(format!("labels/loghub2k/{set}.jsonl")))?;
                let truth = labels.iter().map(|row| row["event"].to_string()).collect::<Vec<_>>();
                let scores = grouping(&found, &truth);
                println!("templates {input:8} {set:12} GA {:.3} FGA {:.3}", scores.0, scores.1);
                all.push(scores);
            }
            if !all.is_empty() {
                let mean =
                    |pick: fn(&(f64, f64)) -> f64| all.iter().map(pick).sum::<f64>() / all.len() as f64;
                println!(
                    "templates {input:8} {:12} GA {:.3} FGA {:.3}",
                    "average",
                    mean(|s| s.0),
                    mean(|s| s.1)
                );
            }
        }
        Ok(())
    }

    /// Abnormal sessions: `hdfs/SET/{train,test}.log` with training, `hdfs/SET/all.log` without. Normal sessions of a
    /// test weigh as much as all normal ones, so that precision is that of the natural rate.
    fn sessions(&self) -> Outcome<()> {
        for set in names(&self.folder.join("input/hdfs"))? {
            let folder = self.folder.join("input/hdfs").join(&set);
            let labels = |name: &str| objects(&self.folder.join(format!("labels/hdfs/{name}.jsonl")));
            let all = labels(&format!("{set}_all"))?;
            let normal = |rows: &[Value]| rows.iter().filter(|row| !is_true(&row["label"])).count() as f64;
            let train = folder.join("train.log").display().to_string();
            let runs = [
                ("trained", &["--train", train.as_str()][..], "test.log", labels(&set)?),
                ("untrained", &[], "all.log", all.clone()),
            ];
            for (name, flags, file, truth) in runs {
                let key = ["--emit", "sessions", "--session-key", r"blk_-?\d+"];
                let rows = analyze(&[&key, flags].concat(), &[&folder.join(file)])?;
                let found: HashMap<&str, &Value> =
                    rows.iter().filter_map(|row| Some((row["id"].as_str()?, row))).collect();
                let weight = normal(&all) / normal(&truth).max(1.0);
                let scored = truth.iter().map(|row| Scored::of(row, &found, weight)).collect::<Vec<_>>();
                println!("sessions  {set:12} {name:10} {}", Detection::of(&scored));
            }
        }
        Ok(())
    }

    /// Lines that a filter must and must not act on: `fail2ban/FILTER.log`.
    fn lines(&self) -> Outcome<()> {
        let (mut must, mut hit, mut must_not, mut wrong) = (0, 0, 0, 0);
        let mut scored = Vec::new();
        for name in names(&self.folder.join("input/fail2ban"))? {
            let rows = analyze(&["--emit", "lines"], &[&self.folder.join("input/fail2ban").join(&name)])?;
            let labels = name.replace(".log", ".jsonl");
            for label in objects(&self.folder.join("labels/fail2ban").join(labels))? {
                let Some(truth) = label["match"].as_bool() else { continue };
                let at = usize::try_from(label["line"].as_u64().unwrap_or(0)).unwrap_or(0);
                let row = at.checked_sub(1).and_then(|at| rows.get(at)).unwrap_or(&Value::Null);
                let is_flagged = is_true(&row["anomaly"]);
                let counts = if truth { (&mut must, &mut hit) } else { (&mut must_not, &mut wrong) };
                *counts.0 += 1;
                *counts.1 += u32::from(is_flagged);
                let score = row["score"].as_f64().unwrap_or(0.0);
                scored.push(Scored { score, is_flagged, truth, weight: 1.0 });
                if self.verbose && is_flagged != truth {
                    println!("{} {name}:{at}", if is_flagged { "flagged" } else { "missed " });
                }
            }
        }
        if must > 0 {
            println!(
                "lines     recall {:.3} ({hit} of {must}), flagged of must-not {:.3} ({wrong} of {must_not}), \
                 PR-AUC {:.3}",
                f64::from(hit) / f64::from(must),
                f64::from(wrong) / f64::from(must_not.max(1)),
                average_precision(&scored),
            );
        }
        Ok(())
    }

    /// Incidents that must be found and harmless files in which nothing may be: `cases/NAME.log`.
    fn cases(&self) -> Outcome<()> {
        let (mut incidents, mut found, mut harmless, mut clean) = (0, 0, 0, 0);
        for name in
            names(&self.folder.join("input/cases"))?.iter().filter_map(|name| name.strip_suffix(".log"))
        {
            let file = self.folder.join(format!("input/cases/{name}.log"));
            let findings = analyze(&["--no-llm", "--format", "jsonl"], &[&file])?;
            let expected = fs::read_to_string(self.folder.join(format!("labels/cases/{name}.json")))?;
            let expected: Value = serde_json::from_str(&expected)?;
            let items = expected["expect"].as_array().cloned().unwrap_or_default();
            let is_good = if expected["kind"] == "incident" {
                incidents += 1;
                let is_found = items.iter().all(|item| findings.iter().any(|finding| fits(finding, item)));
                found += u32::from(is_found);
                is_found
            } else {
                harmless += 1;
                let limit = rank(&expected["max_severity_allowed"]);
                let is_clean = findings.iter().all(|finding| rank(&finding["severity"]) <= limit);
                clean += u32::from(is_clean);
                is_clean
            };
            if self.verbose || !is_good {
                println!("{} {name}", if is_good { "good" } else { "BAD " });
                for finding in &findings {
                    println!("       {} {} {}", finding["severity"], finding["category"], finding["title"]);
                }
            }
        }
        if incidents + harmless > 0 {
            println!(
                "cases     incidents {found} of {incidents}, harmless files clean {clean} of {harmless}"
            );
        }
        Ok(())
    }
}

/// Runs the program over files; its results.
fn analyze(flags: &[&str], files: &[&Path]) -> Outcome<Vec<Value>> {
    let output = Command::new(env!("CARGO_BIN_EXE_sigyn")).arg("analyze").args(flags).args(files).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    parsed(&String::from_utf8(output.stdout)?)
}

fn objects(path: &Path) -> Outcome<Vec<Value>> {
    parsed(&fs::read_to_string(path)?)
}

fn parsed(text: &str) -> Outcome<Vec<Value>> {
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// What is in a folder, in order; nothing where there is no folder.
fn names(folder: &Path) -> Outcome<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    let mut names: Vec<_> =
        entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_i64().is_some_and(|number| number != 0))
}

/// Grouping accuracy (Zhu et al., ICSE 2019): lines whose group is exactly the true one. And its F1 over groups (Jiang et
/// al., ISSTA 2024).
fn grouping(found: &[String], truth: &[String]) -> (f64, f64) {
    let groups = |names: &[String]| {
        let mut groups: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (line, name) in names.iter().enumerate() {
            groups.entry(name.clone()).or_default().insert(line);
        }
        groups.into_values().collect::<BTreeSet<_>>()
    };
    let (found, truth) = (groups(found), groups(truth));
    let right: Vec<_> = found.intersection(&truth).collect();
    let lines: usize = right.iter().map(|group| group.len()).sum();
    let all: usize = truth.iter().map(BTreeSet::len).sum();
    (lines as f64 / all.max(1) as f64, 2.0 * right.len() as f64 / (found.len() + truth.len()).max(1) as f64)
}

struct Scored {
    score: f64,
    is_flagged: bool,
    truth: bool,
    weight: f64,
}

impl Scored {
    fn of(label: &Value, found: &HashMap<&str, &Value>, weight: f64) -> Self {
        let row = label["id"].as_str().and_then(|id| found.get(id).copied()).unwrap_or(&Value::Null);
        let truth = is_true(&label["label"]);
        Scored {
            score: row["score"].as_f64().unwrap_or(0.0),
            is_flagged: is_true(&row["anomaly"]),
            truth,
            weight: if truth { 1.0 } else { weight },
        }
    }
}

struct Detection {
    precision: f64,
    recall: f64,
    pr_auc: f64,
}

impl Detection {
    fn of(scored: &[Scored]) -> Self {
        let sum = |pick: &dyn Fn(&&Scored) -> bool| scored.iter().filter(pick).map(|s| s.weight).sum::<f64>();
        let right = sum(&|s| s.truth && s.is_flagged);
        Detection {
            precision: right / sum(&|s| s.is_flagged).max(f64::MIN_POSITIVE),
            recall: right / sum(&|s| s.truth).max(f64::MIN_POSITIVE),
            pr_auc: average_precision(scored),
        }
    }
}

impl std::fmt::Display for Detection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Detection { precision: p, recall: r, pr_auc } = self;
        let f1 = 2.0 * p * r / (p + r).max(f64::MIN_POSITIVE);
        write!(f, "precision {p:.3} recall {r:.3} F1 {f1:.3} PR-AUC {pr_auc:.3}")
    }
}

/// The area under precision over recall; equal scores are one step.
fn average_precision(scored: &[Scored]) -> f64 {
    let mut order: Vec<&Scored> = scored.iter().collect();
    order.sort_by(|a, b| b.score.total_cmp(&a.score));
    let positives: f64 = order.iter().filter(|s| s.truth).map(|s| s.weight).sum();
    let (mut right, mut wrong, mut area) = (0.0, 0.0, 0.0);
    for step in order.chunk_by(|a, b| a.score.total_cmp(&b.score).is_eq()) {
        let more: f64 = step.iter().filter(|s| s.truth).map(|s| s.weight).sum();
        right += more;
        wrong += step.iter().filter(|s| !s.truth).map(|s| s.weight).sum::<f64>();
        area += more / positives.max(f64::MIN_POSITIVE) * right / (right + wrong).max(f64::MIN_POSITIVE);
    }
    area
}

/// Whether a finding is the expected one: a category that will do, grave enough, at least half of the addresses, and
/// lines that belong to it.
fn fits(finding: &Value, item: &Value) -> bool {
    let texts = |value: &Value| -> BTreeSet<String> {
        value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let wanted = texts(&item["source_ips"]);
    let sources = texts(&finding["source_ips"]);
    let lines = item["evidence_lines"].as_array().cloned().unwrap_or_default();
    let cited = finding["evidence"].as_array().into_iter().flatten();
    texts(&item["categories"]).contains(finding["category"].as_str().unwrap_or_default())
        && rank(&finding["severity"]) >= rank(&item["min_severity"])
        && wanted.intersection(&sources).count() * 2 >= wanted.len()
        && cited.map(|line| &line["line_number"]).any(|number| lines.contains(number))
}

fn rank(severity: &Value) -> usize {
    let names = ["info", "low", "medium", "high", "critical"];
    names.iter().position(|name| severity == name).unwrap_or(0)
}
