//! Sessions: lines that share a key (request, block, process, address), judged by what is in them and in which order.
//!
//! Lines with their templates come in; verdicts on ended sessions come out, each with a calibrated score, a sentence
//! and the lines it speaks of. Learns which templates a kind of session has, how often, and in which order: count
//! vectors after Xu et al. ("Detecting Large-Scale System Problems by Mining Console Logs", SOSP 2009), invariants
//! between counts after Lou et al. ("Mining Invariants from Console Logs for System Problem Detection", USENIX ATC
//! 2010), precedence after Beschastnikh et al. (Synoptic, ESEC/FSE 2011), pairs of neighbours after Forrest et al.
//! ("A Sense of Self for Unix Processes", S&P 1996). Every doubt is a share of the sessions learnt from, leaving the
//! judged one out, and is compared with how doubtful those sessions are themselves: no constant of a system is needed.
//!
//! ```text
//! let mut sessions = Sessions::new(Settings::default());
//! sessions.observe(&line, observation.template, observation.values);   // every line
//! sessions.end_idle(now, &templates)   // a server: now and then; what ended, judged by what was learnt before
//! sessions.train(&templates);          // a file: all that came so far is normal …
//! sessions.finish(&templates)          // … and this is judged by it, or, without `train`, by all of itself
//! ```

mod batch;
mod calibrate;
mod detector;
mod key;
mod kind;
mod knowledge;
mod model;
mod open;
mod persist;
mod session;
mod sessions;
mod shape;
mod words;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::{detector::Detector, sessions::Sessions};
use crate::model::{EvidenceLine, TemplateId, Timestamp};

/// What the operator may set about sessions.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Finds the key of a line: its first group, or all it matches. Without it keys are found by themselves.
    pub key: Option<regex::Regex>,
    /// Sessions open at a time; those silent for longest are ended first.
    pub max_open: usize,
    /// Memory for open sessions, in bytes.
    pub max_open_bytes: usize,
    /// Different courses of a session remembered, for each kind of key.
    pub max_shapes: usize,
    /// Ended sessions kept until `finish` judges them; a server needs none.
    pub max_kept: usize,
    /// A session without a line for so long has ended.
    pub idle: Duration,
    /// Nothing is judged by fewer sessions than this.
    pub min_sessions: u64,
    /// Share of normal sessions that may be called abnormal.
    pub false_alarms: f64,
    /// From this score on a session is abnormal.
    pub threshold: f64,
    /// Lines kept of a session to show it.
    pub max_quotes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        // A thousand open sessions of some 600 bytes and three kinds with 768 courses of some 250 bytes: about 1.2 MB.
        Settings {
            key: None,
            max_open: 1_000,
            max_open_bytes: 1 << 20,
            max_shapes: 768,
            max_kept: 0,
            idle: Duration::from_secs(15 * 60),
            min_sessions: 50,
            false_alarms: 0.004,
            threshold: 0.8,
            max_quotes: 2,
        }
    }
}

impl Settings {
    /// For files read once: nothing ends before the file does, a million sessions, no quotes.
    pub fn for_files() -> Self {
        Settings {
            max_open: 1_000_000,
            max_open_bytes: 1 << 30,
            max_shapes: 200_000,
            max_kept: 1_000_000,
            idle: Duration::MAX,
            min_sessions: 20,
            max_quotes: 0,
            ..Settings::default()
        }
    }
}

/// What keys that are addresses are called.
const ADDRESS: &str = "address";

/// What is known of templates by now; they may have been widened and merged since a line was seen.
pub trait Templates {
    /// The id under which a template is known now.
    fn resolve(&self, id: TemplateId) -> TemplateId;
    /// Its text.
    fn text(&self, id: TemplateId) -> Option<String>;
}

impl Templates for crate::analyze::mine::Miner {
    fn resolve(&self, id: TemplateId) -> TemplateId {
        crate::analyze::mine::Miner::resolve(self, id)
    }

    fn text(&self, id: TemplateId) -> Option<String> {
        self.template(id).map(|template| template.text.clone())
    }
}

/// What became of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Its key, as it stands in the lines.
    pub key: String,
    /// What kind of key that is: `blk_…`, `request_id`, `pid of sshd`.
    pub kind: String,
    /// How abnormal, in [0, 1].
    pub score: f64,
    /// Whether the score has reached the threshold.
    pub is_anomaly: bool,
    /// What was seen, what is normal, and both as a sentence; empty for normal sessions.
    pub words: Words,
    /// In which way it is abnormal, in one word: `missing`, `order`, …
    pub way: &'static str,
    /// The template the doubt is about.
    pub template: Option<TemplateId>,
    /// Lines of the session.
    pub lines: u64,
    /// Time of its first line.
    pub first: Timestamp,
    /// Time of its last line.
    pub last: Timestamp,
    /// Lines that show it.
    pub quotes: Vec<EvidenceLine>,
}

/// What a verdict says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// What was seen.
    pub observed: String,
    /// What is normal.
    pub expected: String,
    /// Both in one sentence.
    pub sentence: String,
}
