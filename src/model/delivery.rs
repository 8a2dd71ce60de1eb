//! A delivery: one message for one channel, from the queue to the service's answer.

use serde::{Deserialize, Serialize};

use super::{IncidentId, Severity, TenantId, Timestamp};

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits for its time.
    Queued,
    /// Is being sent.
    Sending,
    /// The service took it.
    Delivered,
    /// Refused, or given up.
    Failed,
    /// Told as a part of a digest.
    Folded,
    /// No longer true before it was sent.
    Withdrawn,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [DeliveryState; 6] = [
        DeliveryState::Queued,
        DeliveryState::Sending,
        DeliveryState::Delivered,
        DeliveryState::Failed,
        DeliveryState::Folded,
        DeliveryState::Withdrawn,
    ];

    /// The name used in JSON and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Queued => "queued",
            DeliveryState::Sending => "sending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Failed => "failed",
            DeliveryState::Folded => "folded",
            DeliveryState::Withdrawn => "withdrawn",
        }
    }

    /// Reads the name; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        DeliveryState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertReason {
    /// Seen for the first time.
    First,
    /// More severe than told before.
    Worse,
    /// Still going on, and nobody has reacted.
    More,
    /// Back after it was over.
    Reopened,
    /// Over.
    Resolved,
    /// Somebody tries the channel.
    Test,
    /// Several messages that had to wait, told together.
    Digest,
}

impl AlertReason {
    /// The name used in JSON and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            AlertReason::First => "first",
            AlertReason::Worse => "worse",
            AlertReason::More => "more",
            AlertReason::Reopened => "reopened",
            AlertReason::Resolved => "resolved",
            AlertReason::Test => "test",
            AlertReason::Digest => "digest",
        }
    }

    /// Reads the name; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        use AlertReason::{Digest, First, More, Reopened, Resolved, Test, Worse};
        let all = [First, Worse, More, Reopened, Resolved, Test, Digest];
        all.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// One message for one channel, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Identity (a UUID, version 7); receivers can drop a second copy by it.
    pub id: String,
    /// Whose logs it is about.
    pub tenant: TenantId,
    /// What it is about; none for tests and digests.
    pub incident_id: Option<IncidentId>,
    /// Over which channel.
    pub channel: String,
    /// Why.
    pub reason: AlertReason,
    /// How bad, as told.
    pub severity: Severity,
    /// What is told, redacted.
    pub title: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Tries so far.
    pub attempts: u64,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it is tried next; none when it is done.
    pub next_try_at: Option<Timestamp>,
    /// What the service said, or what went wrong.
    pub answer: String,
    /// What the service calls the message.
    pub handle: Option<String>,
    /// The digest that told it.
    pub folded_into: Option<String>,
}
