//! What was typed → what it means.
//!
//! In: command line, environment, `.env` files and a YAML file, in this order of precedence. Out: complete, checked
//! [`Settings`] made of each engine's own, or every mistake at once. The only place that reads the environment.

mod environment;
mod keys;
mod mistake;
mod read;
mod section;
mod tree;
mod value;

use std::path::PathBuf;

pub use environment::Environment;
pub use keys::{Key, all as all_keys};
pub use mistake::{Mistake, Mistakes};
pub use section::log::{Format as LogFormat, Settings as LogSettings};

use crate::{analyze, api, forward, incident, ingest, listen, llm, notify, redact, rules, store};
use mistake::Report;
use tree::{Node, Origin};

/// Everything the program needs to run, complete and checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The HTTP socket.
    pub listen: listen::Settings,
    /// Who may talk to it.
    pub auth: api::auth::Settings,
    /// The push path.
    pub ingest: ingest::Settings,
    /// The database.
    pub store: store::Settings,
    /// The rules in force.
    pub rules: rules::Settings,
    /// Windows and what happens in them.
    pub analyze: analyze::Settings,
    /// When findings belong together, and when they are over.
    pub incident: incident::Settings,
    /// What is masked.
    pub redact: redact::Settings,
    /// The model; none when no provider is configured.
    pub llm: Option<llm::Settings>,
    /// How the model is asked, and how often.
    pub explain: analyze::explain::Settings,
    /// The folder of the operator's notes.
    pub knowledge: analyze::knowledge::Settings,
    /// The Loki everything is forwarded to, if any.
    pub forward: Option<forward::Settings>,
    /// Where messages go.
    pub channels: Vec<notify::Settings>,
    /// Sigyn's own log.
    pub log: LogSettings,
    /// What looks like a mistake but may be none, to be logged at start.
    pub warnings: Vec<String>,
}

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The YAML file.
    pub file: Option<PathBuf>,
    /// Environment variables, those of `.env` files included.
    pub environment: Environment,
    /// What the command line says: flag, key and value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// Loads, merges and checks everything. Reads the files named, binds nothing.
pub fn load(sources: &Sources) -> Result<Settings, Mistakes> {
    let mut report = Report::default();
    let mut root = match &sources.file {
        Some(path) => tree::read_file(path, &mut report),
        None => Node::empty(),
    };
    let warnings = environment::overlay(&mut root, &sources.environment, &mut report);
    for (flag, key, value) in &sources.flags {
        root.set(key, Node::scalar(value, Origin::Flag(flag)));
    }
    let raw: section::Raw = read::section(&mut root, &mut report);
    let settings = section::fill(raw, &root, &sources.environment, warnings, &mut report);
    report.into_result(settings)
}

#[cfg(test)]
mod tests;
