//! Every line with its template or its score. Both are known only at the end, so what is needed of each line waits in
//! the spool.

use std::io;

use regex::Regex;
use serde::Serialize;

use super::{
    AnalyzeArgs, Emit, Format, output,
    progress::grouped,
    rows::Rows,
    sessions::{self, Sessions},
    spool::{Notes, Spool},
    work::Read,
};
use crate::{
    analyze::{
        engine::{Noted, Watch},
        review::{
            Place, Review,
            score::{Census, Note, Scorer},
        },
    },
    model::TemplateId,
    wire::level::{self, Level},
};

/// What is noted of the lines for what is to be told.
pub(super) struct Record {
    kept: Kept,
    failed: Option<io::Error>,
}

#[derive(Default)]
enum Kept {
    /// The findings are in the database.
    #[default]
    Nothing,
    Lines {
        spool: Spool,
        scores: bool,
        scorer: Box<Scorer>,
        census: Census,
    },
    Sessions(Box<Sessions>),
}

impl Record {
    pub fn new(emit: Emit, session_key: Option<Regex>) -> io::Result<Self> {
        let lines = |scores| -> io::Result<Kept> {
            let (spool, scorer, census) = (Spool::new()?, Box::default(), Census::default());
            Ok(Kept::Lines { spool, scores, scorer, census })
        };
        let kept = match emit {
            Emit::Findings => Kept::Nothing,
            Emit::Lines => lines(true)?,
            Emit::Templates => lines(false)?,
            Emit::Sessions => Kept::Sessions(Box::new(Sessions::new(session_key))),
        };
        Ok(Record { kept, failed: None })
    }

    /// Everything so far was for learning.
    pub fn judge(&mut self, review: &mut Review) -> io::Result<()> {
        match &mut self.kept {
            Kept::Nothing => {}
            Kept::Lines { spool, scorer, census, .. } => {
                scorer.learnt = Some(std::mem::take(census));
                *spool = Spool::new()?;
            }
            Kept::Sessions(sessions) => sessions.learnt(review),
        }
        Ok(())
    }

    /// Whether a note could not be written.
    pub fn check(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl Watch for Record {
    fn line(&mut self, noted: &Noted<'_>) {
        match &mut self.kept {
            Kept::Nothing => {}
            Kept::Lines { spool, scores, census, .. } => {
                census.count(noted.template);
                let level = match scores {
                    true => level::with_stated(noted.line.labels, noted.line.level, noted.line.raw),
                    false => Level::Unknown,
                };
                let file = Place::from(noted.line.at).file;
                if let Err(error) = spool.add(file, &Note::of(noted, level)) {
                    self.failed.get_or_insert(error);
                }
            }
            Kept::Sessions(sessions) => sessions.line(noted),
        }
    }
}

/// Tells every session.
pub(super) fn tell_sessions(args: &AnalyzeArgs, mut read: Read) -> anyhow::Result<()> {
    match std::mem::take(&mut read.record.kept) {
        Kept::Sessions(kept) => sessions::tell(args, read, *kept),
        _ => Ok(()),
    }
}

/// A line and its template.
#[derive(Serialize)]
struct TemplateRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    line: u64,
    template_id: u64,
    template: &'a str,
}

/// A line and its score.
#[derive(Serialize)]
struct ScoreRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    line: u64,
    score: f64,
    anomaly: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ip: Option<&'a str>,
}

/// Tells the final template of every line; as a table, how many lines each template has.
pub(super) fn tell_templates(args: &AnalyzeArgs, read: Read) -> anyhow::Result<()> {
    let Read { mut review, record, names, .. } = read;
    let Kept::Lines { spool, census, .. } = record.kept else { return Ok(()) };
    if args.format() == Format::Table {
        return Ok(tell_census(&mut review, census, args.width.into())?);
    }
    let mut notes = spool.finish()?;
    let mut rows = Rows::new(output::results(), args.format());
    let mut numbers = Numbers::new(&names);
    each(&mut notes, |file, note| {
        let (id, text) = review.template(TemplateId(note.template));
        let (file, line) = numbers.next(file);
        rows.add(&TemplateRow { file, line, template_id: id.0, template: text.unwrap_or_default() })
    })?;
    Ok(rows.end()?)
}

fn tell_census(review: &mut Review, census: Census, width: usize) -> io::Result<()> {
    let mut out = output::results();
    for (id, count) in census.resolved(|id| review.template(id).0).ranked() {
        let text = output::tame(review.template(id).1.unwrap_or_default());
        let row = output::cut(&format!("{:>12}  {text}", grouped(count as f64)), width);
        io::Write::write_all(&mut out, format!("{row}\n").as_bytes())?;
    }
    io::Write::flush(&mut out)
}

/// Tells the score of every line; as a table, the anomalies only.
pub(super) fn tell_scores(args: &AnalyzeArgs, read: Read) -> anyhow::Result<()> {
    let Read { mut review, record, names, .. } = read;
    let Kept::Lines { spool, mut scorer, census, .. } = record.kept else { return Ok(()) };
    scorer.judged = census.resolved(|id| review.template(id).0);
    scorer.learnt = scorer.learnt.take().map(|learnt| learnt.resolved(|id| review.template(id).0));
    let mut notes = spool.finish()?;
    let mut numbers = Numbers::new(&names);
    let mut out = Scores::new(args);
    each(&mut notes, |file, note| {
        let (id, text) = review.template(TemplateId(note.template));
        let score = scorer.score(note, id);
        let (file, line) = numbers.next(file);
        let anomaly = Scorer::is_anomaly(note, score);
        let source_ip = note.source.as_deref();
        out.add(&ScoreRow { file, line, score: rounded(score), anomaly, source_ip }, text.unwrap_or_default())
    })?;
    Ok(out.end()?)
}

enum Scores<W> {
    Rows(Rows<W>),
    Table(W, usize),
}

impl Scores<output::Results> {
    fn new(args: &AnalyzeArgs) -> Self {
        match args.format() {
            Format::Table => Scores::Table(output::results(), args.width.into()),
            format => Scores::Rows(Rows::new(output::results(), format)),
        }
    }

    fn add(&mut self, row: &ScoreRow<'_>, template: &str) -> io::Result<()> {
        match self {
            Scores::Rows(rows) => rows.add(row),
            Scores::Table(out, width) if row.anomaly => {
                let place = row.file.map(|file| format!("{file}:")).unwrap_or_default();
                let text = format!("{:.3}  {place}{}  {template}", row.score, row.line);
                io::Write::write_all(
                    out,
                    format!("{}\n", output::cut(&output::tame(&text), *width)).as_bytes(),
                )
            }
            Scores::Table(..) => Ok(()),
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Scores::Rows(rows) => rows.end(),
            Scores::Table(mut out, _) => io::Write::flush(&mut out),
        }
    }
}

/// Scores are estimates: more digits would say nothing.
pub(super) fn rounded(score: f64) -> f64 {
    (score * 1e6).round() / 1e6
}

fn each(notes: &mut Notes, mut tell: impl FnMut(u32, &Note) -> io::Result<()>) -> io::Result<()> {
    for read in notes.read()? {
        let (file, note) = read?;
        tell(file, &note)?;
    }
    Ok(())
}

/// Counts the lines of each file: every line of a file is told, in its order.
struct Numbers<'a> {
    names: &'a [String],
    lines: Vec<u64>,
}

impl<'a> Numbers<'a> {
    fn new(names: &'a [String]) -> Self {
        Numbers { names, lines: vec![0; names.len()] }
    }

    /// The name of the file, where there is more than one, and the number of its next line.
    fn next(&mut self, file: u32) -> (Option<&'a str>, u64) {
        let at = usize::try_from(file).unwrap_or(usize::MAX);
        let line = self.lines.get_mut(at).map_or(0, |line| {
            *line += 1;
            *line
        });
        (self.names.get(at).filter(|_| self.names.len() > 1).map(String::as_str), line)
    }
}
