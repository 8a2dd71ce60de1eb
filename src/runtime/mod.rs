//! Machinery for background work: the clock, backoff, supervised tasks and ordered shutdown.

mod backoff;
mod clock;
mod supervisor;

pub use backoff::Backoff;
pub use clock::Clock;
pub use supervisor::{Supervisor, TaskFailed};
