//! Lays packed data out as plain logs and labels, the way they are measured.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use super::{Outcome, names};

/// Writes what is packed in `from` to `to/input` and `to/labels`.
pub fn unpack(from: &Path, to: &Path) -> Outcome<()> {
    templates(from, to)?;
    sessions(from, to)?;
    lines(from, to)?;
    cases(from, to)
}

/// `loghub2k/SET.jsonl.gz`: line, raw, content, event.
fn templates(from: &Path, to: &Path) -> Outcome<()> {
    for name in names(&from.join("loghub2k"))? {
        let set = name.split('.').next().unwrap_or_default();
        let mut raw = writer(&to.join(format!("input/loghub2k/{set}/raw.log")))?;
        let mut content = writer(&to.join(format!("input/loghub2k/{set}/content.log")))?;
        let mut labels = writer(&to.join(format!("labels/loghub2k/{set}.jsonl")))?;
        for row in rows(&from.join("loghub2k").join(&name))? {
            let row = row?;
            writeln!(raw, "{}", one_line(&row["raw"]))?;
            writeln!(content, "{}", one_line(&row["content"]))?;
            writeln!(labels, "{}", json!({"line": row["line"], "event": row["event"]}))?;
        }
    }
    Ok(())
}

/// `hdfs/SET_events.log.gz` with the number of each line's session beside it, and `hdfs/SET_sessions.jsonl.gz`.
fn sessions(from: &Path, to: &Path) -> Outcome<()> {
    let folder = from.join("hdfs");
    for name in names(&folder)? {
        let Some(set) = name.strip_suffix("_sessions.jsonl.gz") else { continue };
        let sessions: Vec<Value> = rows(&folder.join(&name))?.collect::<Outcome<_>>()?;
        let part = |part: &str| writer(&to.join(format!("input/hdfs/{set}/{part}.log")));
        let (mut all, mut train, mut test) = (part("all")?, part("train")?, part("test")?);
        let events = text(&folder.join(format!("{set}_events.log.gz")))?.lines();
        let numbers = text(&folder.join(format!("{set}_lineids.txt.gz")))?.lines();
        for (line, number) in events.zip(numbers) {
            let (line, number) = (line?, number?.trim().parse::<usize>()?);
            writeln!(all, "{line}")?;
            let split = sessions.get(number).map_or(&Value::Null, |session| &session["split"]);
            writeln!(if split == "train" { &mut train } else { &mut test }, "{line}")?;
        }
        let mut every = writer(&to.join(format!("labels/hdfs/{set}_all.jsonl")))?;
        let mut judged = writer(&to.join(format!("labels/hdfs/{set}.jsonl")))?;
        for session in &sessions {
            let label = json!({"id": session["id"], "label": session["label"]});
            writeln!(every, "{label}")?;
            if session["split"] == "test" {
                writeln!(judged, "{label}")?;
            }
        }
    }
    Ok(())
}

/// `fail2ban/FILTER.jsonl`: text, match.
fn lines(from: &Path, to: &Path) -> Outcome<()> {
    for name in names(&from.join("fail2ban"))? {
        let filter = name.split('.').next().unwrap_or_default();
        let mut log = writer(&to.join(format!("input/fail2ban/{filter}.log")))?;
        let mut labels = writer(&to.join(format!("labels/fail2ban/{filter}.jsonl")))?;
        for (number, row) in (1..).zip(rows(&from.join("fail2ban").join(&name))?) {
            let row = row?;
            writeln!(log, "{}", one_line(&row["text"]))?;
            writeln!(labels, "{}", json!({"line": number, "match": row["match"]}))?;
        }
    }
    Ok(())
}

/// `cases/NAME/{input.log,expect.json}`.
fn cases(from: &Path, to: &Path) -> Outcome<()> {
    for name in names(&from.join("cases"))? {
        let case = from.join("cases").join(&name);
        for (file, copy) in [("input.log", "input/cases/{}.log"), ("expect.json", "labels/cases/{}.json")] {
            let copy = to.join(copy.replace("{}", &name));
            fs::create_dir_all(copy.parent().ok_or("a path without a folder")?)?;
            fs::copy(case.join(file), copy)?;
        }
    }
    Ok(())
}

fn writer(path: &PathBuf) -> Outcome<BufWriter<File>> {
    fs::create_dir_all(path.parent().ok_or("a path without a folder")?)?;
    Ok(BufWriter::new(File::create(path)?))
}

fn text(path: &Path) -> Outcome<Box<dyn BufRead>> {
    let file = File::open(path)?;
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    let plain: Box<dyn Read> = if is_packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Box::new(BufReader::new(plain)))
}

fn rows(path: &Path) -> Outcome<impl Iterator<Item = Outcome<Value>>> {
    Ok(text(path)?.lines().map(|line| Ok(serde_json::from_str(&line?)?)))
}

fn one_line(text: &Value) -> String {
    text.as_str().unwrap_or_default().replace('\r', "").replace('\n', " ")
}
