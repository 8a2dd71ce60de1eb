//! Measures the rules alone on a folder of labelled logs (`cases/*/{expect.json,input.log}`, `fail2ban/*.jsonl`):
//! `cargo bench --bench quality -- FOLDER`. Without a folder it does nothing.
#![expect(clippy::print_stdout, reason = "a measuring program prints what it measured")]
#![expect(clippy::indexing_slicing, reason = "indexing a JSON value by a missing key gives null")]

use std::{collections::BTreeSet, error::Error, fs, path::Path};

use serde_json::Value;
use sigyn::{
    analyze::{
        line::Line,
        sift::{GroupSift, Sifter, Verdict},
    },
    model::{FindingDraft, Labels, LineRef, Severity, Timestamp},
    rules,
    wire::envelope,
};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(folder) = std::env::args().skip(1).find(|arg| !arg.starts_with('-')) else { return Ok(()) };
    let set = rules::load(&rules::Settings::default())
        .map_err(|errors| errors.iter().map(|error| format!("{error}\n")).collect::<String>())?;
    let sifter = Sifter::new(set);
    cases(&sifter, Path::new(&folder))?;
    fail2ban(&sifter, Path::new(&folder))
}

/// Sifts lines one second apart; returns verdicts and drafts.
fn sift<'a>(
    sifter: &Sifter,
    lines: impl Iterator<Item = &'a str>,
    labels: &Labels,
) -> (Vec<Verdict>, Vec<FindingDraft>) {
    let rules = sifter.stream_rules(labels);
    let mut group = GroupSift::default();
    let mut verdicts = Vec::new();
    for (at, text) in lines.enumerate() {
        let envelope = envelope::open(text.as_bytes());
        let secs = i64::try_from(at).unwrap_or_default();
        let line = Line {
            at: LineRef { block: 1, index: u32::try_from(at).unwrap_or_default() },
            labels,
            host: labels.get("host").unwrap_or("host"),
            timestamp: Timestamp::from_secs(1_790_000_000 + secs),
            raw: text.as_bytes(),
            envelope: &envelope,
            template: None,
        };
        verdicts.push(group.line(sifter, &rules, &line));
    }
    (verdicts, group.drafts(sifter, &|_| None))
}

fn cases(sifter: &Sifter, folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut names: Vec<_> = fs::read_dir(folder.join("cases"))?.collect::<Result<_, _>>()?;
    names.sort_by_key(fs::DirEntry::file_name);
    let (mut passed, mut total) = (0, 0);
    for case in names {
        let expected: Value = serde_json::from_str(&fs::read_to_string(case.path().join("expect.json"))?)?;
        let text = fs::read_to_string(case.path().join("input.log"))?;
        let pairs = expected["labels"].as_object().into_iter().flatten();
        let labels =
            Labels::from_pairs(pairs.map(|(n, v)| (n.clone(), v.as_str().unwrap_or_default().to_owned())))?;
        let (_, drafts) = sift(sifter, text.lines(), &labels);
        let items = expected["expect"].as_array().cloned().unwrap_or_default();
        let is_found = items.iter().all(|item| drafts.iter().any(|draft| fits(draft, item)));
        let is_clean = drafts.iter().all(|draft| draft.severity < Severity::Medium);
        let ok = if items.is_empty() { is_clean } else { is_found };
        total += 1;
        passed += usize::from(ok);
        println!("{} {:?}", if ok { "ok  " } else { "MISS" }, case.file_name());
        for draft in &drafts {
            println!(
                "       {:?} {:?} {} ips={:?}",
                draft.severity,
                draft.category,
                draft.title,
                draft.source_ips.len()
            );
        }
    }
    println!("cases: {passed} of {total}");
    Ok(())
}

fn fits(draft: &FindingDraft, item: &Value) -> bool {
    let texts = |key: &str| -> BTreeSet<String> {
        item[key].as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let wanted = texts("source_ips");
    let found = wanted.intersection(&draft.source_ips).count();
    let lines: BTreeSet<i64> =
        item["evidence_lines"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
    let cited = |draft: &FindingDraft| {
        draft.evidence.iter().any(|line| lines.contains(&(line.timestamp_ns.as_secs() - 1_790_000_000 + 1)))
    };
    texts("categories").contains(draft.category.as_str())
        && Some(draft.severity) >= item["min_severity"].as_str().and_then(Severity::parse)
        && (wanted.is_empty() || found * 2 >= wanted.len())
        && cited(draft)
}

fn fail2ban(sifter: &Sifter, folder: &Path) -> Result<(), Box<dyn Error>> {
    let (mut hits, mut must, mut wrong, mut must_not) = (0, 0, 0, 0);
    for file in fs::read_dir(folder.join("fail2ban"))? {
        let path = file?.path();
        for row in fs::read_to_string(&path)?.lines() {
            let row: Value = serde_json::from_str(row)?;
            let text = row["text"].as_str().unwrap_or_default();
            let (verdicts, _) = sift(sifter, std::iter::once(text), &Labels::default());
            let hit = verdicts.iter().any(|verdict| verdict.hit);
            if row["match"].as_bool() == Some(true) {
                must += 1;
                hits += u32::from(hit);
            } else {
                must_not += 1;
                wrong += u32::from(hit);
            }
            if Some(hit) != row["match"].as_bool() && std::env::args().any(|arg| arg == "--verbose") {
                println!("{} {text}", if hit { "wrong " } else { "missed" });
            }
        }
    }
    println!("fail2ban: {hits} of {must} must-match, {wrong} of {must_not} must-not-match flagged");
    Ok(())
}
