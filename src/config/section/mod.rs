//! The sections of the configuration: what may be written (every key optional, unknown keys refused), and how each
//! becomes the settings of its engine.

pub(super) mod analyze;
pub(super) mod auth;
pub(super) mod channels;
pub(super) mod explain;
pub(super) mod forward;
pub(super) mod incident;
pub(super) mod ingest;
pub(super) mod listen;
pub(super) mod llm;
pub(super) mod log;
pub(super) mod plain;

use serde::Deserialize;

use super::{Environment, Settings, mistake::Report, tree::Node};

/// The whole file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    listen: listen::Raw,
    auth: auth::Raw,
    ingest: ingest::Raw,
    store: plain::Store,
    rules: plain::Rules,
    analyze: analyze::Raw,
    incident: incident::Raw,
    redact: plain::Redact,
    llm: llm::Raw,
    explain: explain::Raw,
    knowledge: explain::RawKnowledge,
    forward: forward::Raw,
    channels: Vec<channels::Raw>,
    log: log::Raw,
}

/// What checking a section needs besides the section.
pub(super) struct Context<'a> {
    pub(super) root: &'a Node,
    pub(super) environment: &'a Environment,
    pub(super) report: &'a mut Report,
}

impl Context<'_> {
    /// Notes a mistake about a key.
    pub(super) fn wrong(&mut self, key: &str, problem: impl std::fmt::Display, mend: impl std::fmt::Display) {
        self.report.about(self.root, key, problem, mend);
    }

    /// Notes a mistake when a number is zero that must not be.
    pub(super) fn positive(&mut self, key: &str, number: u64) {
        if number == 0 {
            self.wrong(key, "must not be 0", "leave the key out for the default");
        }
    }

    /// The secret of `key`, from itself or from the file that `key_file` names.
    pub(super) fn secret(
        &mut self,
        key: &str,
        given: Option<super::value::Hidden>,
        file: Option<std::path::PathBuf>,
    ) -> Option<String> {
        let file_key = format!("{key}_file");
        match (given, file) {
            (Some(_), Some(_)) => {
                self.wrong(&file_key, format!("'{key}' is set as well"), "keep one of the two");
                None
            }
            (Some(given), None) => Some(given.0),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) if text.trim().is_empty() => {
                    self.wrong(&file_key, format!("{} is empty", path.display()), "put the secret into it");
                    None
                }
                Ok(text) => Some(text.trim().to_owned()),
                Err(error) => {
                    self.wrong(
                        &file_key,
                        format!("cannot read {}: {error}", path.display()),
                        "check path and rights",
                    );
                    None
                }
            },
            (None, None) => None,
        }
    }
}

/// Replaces a default by what was given.
pub(super) fn put<T>(slot: &mut T, given: Option<impl Into<T>>) {
    if let Some(given) = given {
        *slot = given.into();
    }
}

/// Checks every section and makes the settings. What is wrong is noted and stands at its default.
pub(super) fn fill(
    raw: Raw,
    root: &Node,
    environment: &Environment,
    mut warnings: Vec<String>,
    report: &mut Report,
) -> Settings {
    let mut context = Context { root, environment, report };
    let (auth, insecure_no_auth) = auth::fill(raw.auth, &mut context);
    let listen = listen::fill(raw.listen, auth.is_on() || insecure_no_auth, &mut context);
    let redact = plain::redact(&raw.redact);
    let mut analyze = analyze::fill(raw.analyze, &mut context);
    let (llm, mut explain) = llm::fill(raw.llm, redact, analyze.dedup, &mut context);
    explain.group_by.clone_from(&analyze.group_by);
    explain::fill(&raw.explain, &mut explain.context, &mut context);
    let knowledge = explain::knowledge(raw.knowledge, &mut explain.context, &mut context);
    analyze.ask_model = llm.is_some();
    Settings {
        ingest: ingest::fill(raw.ingest, &mut context),
        store: plain::store(raw.store, &mut context),
        rules: plain::rules(raw.rules, &mut context),
        channels: channels::fill(raw.channels, &mut warnings, &mut context),
        incident: incident::fill(&raw.incident, &mut context),
        forward: forward::fill(raw.forward, listen.addr, &mut context),
        log: log::fill(raw.log, &mut context),
        listen,
        auth,
        analyze,
        redact,
        llm,
        explain,
        knowledge,
        warnings,
    }
}
