//! `log`: Sigyn's own log, written to stderr.

use serde::Deserialize;

use super::Context;

/// What the operator may set about Sigyn's own log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Filter directives: `info`, `warn,sigyn::store=debug`.
    pub filter: String,
    /// How records are written.
    pub format: Format,
}

/// How log records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { filter: "info".to_owned(), format: Format::Text }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Raw {
    filter: Option<String>,
    format: Option<Format>,
}

pub(super) fn fill(raw: Raw, context: &mut Context<'_>) -> Settings {
    let defaults = Settings::default();
    let filter = raw.filter.unwrap_or(defaults.filter);
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&filter) {
        context.wrong(
            "log.filter",
            error,
            "write a level such as info, or directives: warn,sigyn::store=debug",
        );
    }
    Settings { filter, format: raw.format.unwrap_or_default() }
}
