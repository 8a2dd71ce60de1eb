//! Optional forwarding to a real Loki: an engine of its own position that follows the intake log.
//!
//! In flow stored blocks, out flow pushes in Promtail's shape, one request in flight. The position moves only after
//! the upstream has taken or finally refused every entry up to it, so an outage or a restart loses nothing (entries
//! may arrive twice; Loki drops equal ones). Forwarding never holds back intake or analysis.

mod batch;
mod settings;
mod step;
mod upstream;

pub use settings::{Auth, Settings};
pub use step::{ForwardError, Forwarder, Progress, forget};
