//! A message as it is kept until it is sent. What is stored is redacted already; read back it is redacted once more,
//! because nothing else makes a `Redacted`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    model::{AlertReason, Category, Finding, Incident, Severity, TenantId, Timestamp},
    notify::{DedupKey, Item, Kind, Language, Message},
    redact::{Redacted, Redactor, Settings as Redaction},
};

/// The stored form of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    reason: String,
    severity: Severity,
    category: Option<Category>,
    title: String,
    summary: String,
    recommendation: String,
    hosts: Vec<String>,
    users: Vec<String>,
    source_ips: Vec<String>,
    service: Option<String>,
    first_seen: Timestamp,
    last_seen: Timestamp,
    count: u64,
    evidence: Vec<String>,
    tenant: String,
    /// What the trouble is known by at the service.
    subject: String,
    items: Vec<StoredItem>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredItem {
    severity: Severity,
    title: String,
    count: u64,
    subject: String,
}

/// The message's kind for a reason. What is back is told like something new; what goes on like a reminder.
pub(super) const fn kind(reason: AlertReason) -> Kind {
    match reason {
        AlertReason::First | AlertReason::Reopened => Kind::First,
        AlertReason::Worse => Kind::Worse,
        AlertReason::More => Kind::Repeat,
        AlertReason::Resolved => Kind::Resolved,
        AlertReason::Test => Kind::Test,
        AlertReason::Digest => Kind::Digest,
    }
}

/// Tells of an incident, with the lines and the advice of its worst finding.
pub(super) fn of_incident(incident: &Incident, worst: &Finding, reason: AlertReason) -> Snapshot {
    let told = Finding {
        title: incident.title.clone(),
        summary: incident.summary.clone(),
        severity: incident.severity,
        hosts: incident.hosts.clone(),
        users: incident.users.clone(),
        source_ips: incident.source_ips.clone(),
        count: incident.count,
        first_seen: incident.first_seen,
        last_seen: incident.last_seen,
        ..worst.clone()
    };
    Snapshot::of(&Message::of(&told, kind(reason), Uuid::nil()), reason, &incident.id.0)
}

impl Snapshot {
    /// Keeps a message.
    pub(super) fn of(message: &Message, reason: AlertReason, subject: &str) -> Self {
        let texts = |texts: &[Redacted]| texts.iter().map(|text| text.as_str().to_owned()).collect();
        Snapshot {
            reason: reason.as_str().to_owned(),
            severity: message.severity,
            category: message.category,
            title: message.title.as_str().to_owned(),
            summary: message.summary.as_str().to_owned(),
            recommendation: message.recommendation.as_str().to_owned(),
            hosts: texts(&message.hosts),
            users: texts(&message.users),
            source_ips: texts(&message.source_ips),
            service: message.service.as_ref().map(|name| name.as_str().to_owned()),
            first_seen: message.first_seen,
            last_seen: message.last_seen,
            count: message.count,
            evidence: texts(&message.evidence),
            tenant: message.tenant.as_str().to_owned(),
            subject: subject.to_owned(),
            items: Vec::new(),
        }
    }

    /// Tells several messages together; `None` for none.
    pub(super) fn digest(parts: &[Snapshot]) -> Option<Self> {
        let first = parts.iter().map(|part| part.first_seen).min()?;
        let last = parts.iter().map(|part| part.last_seen).max()?;
        let worst = parts.iter().max_by_key(|part| part.severity)?;
        Some(Snapshot {
            reason: AlertReason::Digest.as_str().to_owned(),
            category: None,
            title: format!("{} messages together, the worst: {}", parts.len(), worst.title),
            summary: String::new(),
            recommendation: String::new(),
            hosts: Vec::new(),
            users: Vec::new(),
            source_ips: Vec::new(),
            service: None,
            first_seen: first,
            last_seen: last,
            count: parts.iter().fold(0, |sum, part| part.count.saturating_add(sum)),
            evidence: Vec::new(),
            subject: String::new(),
            items: parts.iter().map(Snapshot::item).collect(),
            ..worst.clone()
        })
    }

    fn item(&self) -> StoredItem {
        let is_over = self.reason == AlertReason::Resolved.as_str();
        StoredItem {
            severity: self.severity,
            title: if is_over { format!("resolved: {}", self.title) } else { self.title.clone() },
            count: self.count,
            subject: self.subject.clone(),
        }
    }

    /// How bad.
    pub(super) fn severity(&self) -> Severity {
        self.severity
    }

    /// How often.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The form for the database.
    pub(super) fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads it back; `None` when it is none.
    pub(super) fn read(doc: &str) -> Option<Self> {
        serde_json::from_str(doc).ok()
    }

    /// The message again, as delivery `id` tells it.
    pub(super) fn message(&self, id: Uuid) -> Option<Message> {
        let tenant = TenantId::parse(&self.tenant).ok()?;
        let reason = AlertReason::parse(&self.reason)?;
        let redactor = Redactor::new(Redaction { pseudonymise_ips: false });
        let texts = |texts: &[String]| texts.iter().map(|text| redactor.redact(text)).collect();
        let item = |item: &StoredItem| Item {
            severity: item.severity,
            title: redactor.redact(&item.title),
            count: item.count,
            key: DedupKey::of(&tenant, &item.subject),
        };
        // A digest's headline is made from its items.
        let title = if self.items.is_empty() { redactor.redact(&self.title) } else { Redacted::default() };
        Some(Message {
            id,
            kind: kind(reason),
            severity: self.severity,
            category: self.category,
            title,
            summary: redactor.redact(&self.summary),
            recommendation: redactor.redact(&self.recommendation),
            hosts: texts(&self.hosts),
            users: texts(&self.users),
            source_ips: texts(&self.source_ips),
            service: self.service.as_deref().map(|name| redactor.redact(name)),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            count: self.count,
            evidence: texts(&self.evidence),
            link: None,
            key: DedupKey::of(&tenant, if self.subject.is_empty() { &self.title } else { &self.subject }),
            items: self.items.iter().map(item).collect(),
            tenant,
            language: Language::default(),
        })
    }
}
