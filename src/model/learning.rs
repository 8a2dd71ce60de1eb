//! How far a group's normal is known.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Since when a group (host) is learnt, and when its detectors may speak. Only rules alert before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learning {
    /// When learning began.
    pub since: Timestamp,
    /// When it ended, or will end if lines keep coming.
    pub ready_at: Timestamp,
    /// Whether it goes on.
    pub is_learning: bool,
    /// Time with lines so far.
    pub observed_seconds: u64,
    /// Windows so far.
    pub windows: u64,
    /// When the last window was learnt.
    pub seen_at: Timestamp,
    /// When learning began anew because the lines had changed for good.
    pub relearnt_at: Option<Timestamp>,
}
