//! Sigyn: a log sink that reads your logs for you.
//!
//! Data flows one way: intake → store → analysis → findings → alerts; API and web read. Modules are floors
//! (see `docs/ARCHITECTURE.md`): a module imports from lower floors only, and `tests/it/floors.rs` holds it to that.

// Floor 0: words.
pub mod model;
// Floor 1: ground.
pub mod redact;
pub mod rules;
pub mod telemetry;
pub mod wire;
// Floor 2: machinery.
pub mod net;
pub mod runtime;
// Floor 3: capabilities.
pub mod llm;
pub mod notify;
pub mod store;
// Floor 4: engines.
pub mod analyze;
pub mod forward;
pub mod incident;
pub mod ingest;
pub mod query;
// Floor 5: doors.
pub mod api;
pub mod listen;
pub mod web;
// Floor 6: settings.
pub mod config;
// Floor 7: assembly.
pub mod app;
// Floor 8: command line.
pub mod cli;
