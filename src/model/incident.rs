//! An incident: findings that belong to one thing that happened, told as one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Category, FindingId, FindingStatus, Severity, TenantId, Timestamp};

/// Identity of an incident (a UUID, version 7: sortable by creation).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(pub String);

/// What part a finding plays in its incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Somebody looks around: ports, paths, banners.
    Scan,
    /// Somebody tries to get in.
    Attempt,
    /// Somebody got in.
    Entry,
    /// Somebody inside takes more rights.
    Privilege,
    /// Somebody inside stays: accounts, keys, jobs, code.
    Foothold,
    /// Something is broken or unusual.
    Fault,
}

impl Role {
    /// The part a finding of this category plays.
    pub const fn of(category: Category) -> Self {
        match category {
            Category::Recon | Category::WebScan => Role::Scan,
            Category::BruteForce | Category::WebAttack | Category::Dos | Category::MailAbuse => Role::Attempt,
            Category::AuthCompromise => Role::Entry,
            Category::PrivilegeEscalation => Role::Privilege,
            Category::Persistence | Category::Malware => Role::Foothold,
            _ => Role::Fault,
        }
    }

    /// The name used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Scan => "scan",
            Role::Attempt => "attempt",
            Role::Entry => "entry",
            Role::Privilege => "privilege",
            Role::Foothold => "foothold",
            Role::Fault => "fault",
        }
    }
}

/// One finding of an incident's timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// The finding.
    pub finding: FindingId,
    /// What part it plays.
    pub role: Role,
    /// What happened.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// What kind.
    pub category: Category,
    /// How many events.
    pub count: u64,
    /// First event.
    pub first_seen: Timestamp,
    /// Last event.
    pub last_seen: Timestamp,
}

/// One change of an incident: who, what, when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: `person`, `silence`, `recovery`, `correlation`.
    pub by: String,
    /// What, in plain words.
    pub what: String,
}

/// A stored incident, as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Identity.
    pub id: IncidentId,
    /// Whose logs it is about.
    #[serde(deserialize_with = "super::finding::tenant::read")]
    pub tenant: TenantId,
    /// One line: what happened.
    pub title: String,
    /// What it means, in plain words.
    pub summary: String,
    /// That of its worst finding.
    pub severity: Severity,
    /// Where it stands.
    pub status: FindingStatus,
    /// Whether it keeps coming back: it then stays open until it has been quiet for twice as long.
    pub is_flapping: bool,
    /// Whether it is many findings of one kind at one time, folded.
    pub is_storm: bool,
    /// Whether everything in it was seen during maintenance.
    pub muted: bool,
    /// What kinds.
    pub categories: BTreeSet<Category>,
    /// Hosts it was seen on.
    pub hosts: BTreeSet<String>,
    /// Accounts involved.
    pub users: BTreeSet<String>,
    /// Addresses it came from.
    pub source_ips: BTreeSet<String>,
    /// Services affected.
    pub affected_services: BTreeSet<String>,
    /// First event.
    pub first_seen: Timestamp,
    /// Last event.
    pub last_seen: Timestamp,
    /// How many events.
    pub count: u64,
    /// How many findings; the timeline shows the first and the newest of them.
    pub findings: u64,
    /// Its findings in order of time.
    pub timeline: Vec<TimelineEntry>,
    /// What its findings are known by, independent of wording.
    pub fingerprints: BTreeSet<String>,
    /// How often it was opened again.
    pub reopened: u64,
    /// The incident it has become a part of.
    pub merged_into: Option<IncidentId>,
    /// The operator's note.
    pub note: Option<String>,
    /// When something last arrived for it.
    pub active_at: Timestamp,
    /// When it was closed, if it is.
    pub closed_at: Option<Timestamp>,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// What became of it: who, what, when; the newest entries.
    pub audit: Vec<AuditEntry>,
}
