//! A finding: something in the logs that matters, with the lines that show it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Category, IncidentId, Labels, LineRef, NoteRef, Severity, TenantId, Timestamp};

/// Identity of a stored finding (a UUID, version 7: sortable by creation).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FindingId(pub String);

/// Who says so. A finding may have several origins: a rule saw it, a model explained it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Origin {
    /// A rule of the built-in pack or of the operator.
    Rule {
        /// The rule's id.
        id: String,
    },
    /// A statistical detector.
    Detector {
        /// The detector's name.
        name: String,
    },
    /// A language model; `prompt` names the prompt family and version.
    Model {
        /// Provider and model, as configured.
        model: String,
        /// Prompt family and version.
        prompt: String,
    },
}

/// Where a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingStatus {
    /// Nobody has looked at it yet.
    Open,
    /// Somebody is on it.
    Acknowledged,
    /// It is over.
    Resolved,
    /// It was none.
    FalsePositive,
}

impl FindingStatus {
    /// The name used in JSON and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            FindingStatus::Open => "open",
            FindingStatus::Acknowledged => "acknowledged",
            FindingStatus::Resolved => "resolved",
            FindingStatus::FalsePositive => "false_positive",
        }
    }

    /// Whether a person may move a finding from here to `next`. What is closed is opened again before anything else,
    /// so that every reopening shows.
    pub const fn may_become(self, next: FindingStatus) -> bool {
        use FindingStatus::{Acknowledged, FalsePositive, Open, Resolved};
        match self {
            Open | Acknowledged => true,
            Resolved => matches!(next, Open | Resolved),
            FalsePositive => matches!(next, Open | FalsePositive),
        }
    }

    /// Reads the name; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        use FindingStatus::{Acknowledged, FalsePositive, Open, Resolved};
        [Open, Acknowledged, Resolved, FalsePositive].into_iter().find(|status| status.as_str() == text)
    }
}

/// A stored line that shows what the finding says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceLine {
    /// The label set of the line's stream.
    pub stream: Labels,
    /// The line's time, nanoseconds since 1970.
    #[serde(with = "nanos")]
    pub timestamp_ns: Timestamp,
    /// The line as received (invalid UTF-8 replaced).
    pub line: String,
    /// The mined template the line belongs to.
    pub template: Option<String>,
    /// Where the line was read; known only while its window is open.
    #[serde(skip)]
    pub at: Option<LineRef>,
}

/// The window of lines a finding was first seen in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingWindow {
    /// First line's time.
    pub from: Timestamp,
    /// Last line's time.
    pub to: Timestamp,
    /// Lines in the window.
    pub lines: u64,
    /// Lines that rules or detectors pointed at.
    pub suspicious: u64,
}

/// A finding as the analysis makes it, before the store joins it with what it already knows.
///
/// Drafts with an equal fingerprint within the de-duplication window become one finding whose count grows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingDraft {
    /// Identity independent of wording: equal for "the same thing again".
    pub fingerprint: String,
    /// One line: what happened.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// What kind.
    pub category: Category,
    /// What it means, in plain words.
    pub summary: String,
    /// What to do about it.
    pub recommendation: String,
    /// Why it happened, where that is known.
    pub root_cause: Option<String>,
    /// At least one line.
    pub evidence: Vec<EvidenceLine>,
    /// Addresses it came from.
    pub source_ips: BTreeSet<String>,
    /// Accounts involved.
    pub users: BTreeSet<String>,
    /// The service affected.
    pub affected_service: Option<String>,
    /// Hosts it was seen on.
    pub hosts: BTreeSet<String>,
    /// How many events (not only the quoted lines).
    pub count: u64,
    /// Confidence in [0, 1].
    pub score: f64,
    /// Who says so; not empty.
    pub origin: BTreeSet<Origin>,
    /// First event.
    pub first_seen: Timestamp,
    /// Last event.
    pub last_seen: Timestamp,
}

impl FindingDraft {
    /// The texts of the templates its evidence belongs to.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        self.evidence.iter().filter_map(|line| line.template.as_deref())
    }
}

/// A stored finding, as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Identity.
    pub id: FindingId,
    /// Whose logs it is about.
    #[serde(deserialize_with = "tenant::read")]
    pub tenant: TenantId,
    /// One line: what happened.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// What kind.
    pub category: Category,
    /// What it means, in plain words.
    pub summary: String,
    /// What to do about it.
    pub recommendation: String,
    /// Why it happened, where that is known.
    pub root_cause: Option<String>,
    /// The lines that show it.
    pub evidence: Vec<EvidenceLine>,
    /// Addresses it came from.
    pub source_ips: BTreeSet<String>,
    /// Accounts involved.
    pub users: BTreeSet<String>,
    /// The service affected.
    pub affected_service: Option<String>,
    /// Hosts it was seen on.
    pub hosts: BTreeSet<String>,
    /// How many events.
    pub count: u64,
    /// Confidence in [0, 1].
    pub score: f64,
    /// Who says so.
    pub origin: BTreeSet<Origin>,
    /// First event.
    pub first_seen: Timestamp,
    /// Last event.
    pub last_seen: Timestamp,
    /// When the finding was first stored.
    pub created_at: Timestamp,
    /// When the finding last changed.
    pub updated_at: Timestamp,
    /// Where it stands.
    pub status: FindingStatus,
    /// The operator's note.
    pub note: Option<String>,
    /// The window it was last seen in.
    pub window: FindingWindow,
    /// Identity independent of wording.
    pub fingerprint: String,
    /// The operator's notes the model was shown when it spoke of this.
    #[serde(default)]
    pub notes: Vec<NoteRef>,
    /// The incident it belongs to; none until the correlation has come to it.
    #[serde(default)]
    pub incident_id: Option<IncidentId>,
    /// Whether it was seen during maintenance only.
    #[serde(default)]
    pub muted: bool,
}

impl Finding {
    /// What it is a case of, whatever the host: the first two parts of the fingerprint.
    pub fn kind(&self) -> &str {
        let end = self.fingerprint.match_indices('/').nth(1).map_or(self.fingerprint.len(), |(at, _)| at);
        self.fingerprint.get(..end).unwrap_or_default()
    }
}

mod nanos {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Timestamp;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        // A string, as in Loki's JSON: 64-bit integers do not survive JavaScript.
        serializer.collect_str(&time.as_nanos())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

pub(super) mod tenant {
    use serde::{Deserialize, Deserializer};

    use crate::model::TenantId;

    pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TenantId, D::Error> {
        TenantId::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
