//! The push path: a decoded push becomes one batch of valid entries, committed before the answer.

mod settings;

pub use settings::{LimitOverrides, Limits, Settings};
