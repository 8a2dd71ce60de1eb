//! Sets up Sigyn's own log: stderr, text or JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSettings};

/// Starts logging for the whole process.
pub(super) fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let base = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&settings.filter)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match settings.format {
        LogFormat::Text => base.try_init(),
        LogFormat::Json => base.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}

/// Starts logging for commands that answer on the terminal: what the configuration asks for is the server's log.
pub(super) fn start_quiet(settings: &LogSettings) -> anyhow::Result<()> {
    start(&LogSettings { filter: "error".to_owned(), ..settings.clone() })
}
