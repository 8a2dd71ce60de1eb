//! What a channel is given to tell: complete, redacted, and the same for every service.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Language, Link};
use crate::{
    model::{Category, Finding, Severity, TenantId, Timestamp},
    redact::{Redacted, Redactor, Session, Settings as Redaction},
};

/// Lines quoted in a message: enough to recognise the trouble, few enough for a telephone.
pub const EVIDENCE_MAX: usize = 5;
/// Bytes of one quoted line; services cut further.
const LINE_BYTES_MAX: usize = 2_000;
/// What of a line is looked through for secrets: far more than is shown, so that none is cut in two where it shows.
const LINE_BYTES_READ: usize = 32 * 1024;
/// Bytes of an explaining text.
const PROSE_BYTES_MAX: usize = 4_000;
/// Hosts, users and addresses named.
const NAMES_MAX: usize = 20;

/// Why a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Seen for the first time.
    First,
    /// More severe than told before.
    Worse,
    /// Going on; only numbers change. Channels that can edit do so silently.
    More,
    /// Nobody reacted: told again.
    Repeat,
    /// Over.
    Resolved,
    /// Somebody tries the channel.
    Test,
    /// Several things that had to wait, told together.
    Digest,
}

impl Kind {
    /// The name used in JSON and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::First => "first",
            Kind::Worse => "worse",
            Kind::More => "more",
            Kind::Repeat => "repeat",
            Kind::Resolved => "resolved",
            Kind::Test => "test",
            Kind::Digest => "digest",
        }
    }
}

/// Names one trouble for services that join what belongs together. A hash, so that no log text is in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DedupKey(String);

impl DedupKey {
    /// The key of a fingerprint, different for each tenant.
    pub fn of(tenant: &TenantId, fingerprint: &str) -> Self {
        let digest = Sha256::new().chain_update(tenant.as_str()).chain_update([0]).chain_update(fingerprint);
        DedupKey(digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One entry of a digest.
#[derive(Clone, Debug)]
pub struct Item {
    /// How bad.
    pub severity: Severity,
    /// What happened.
    pub title: Redacted,
    /// How often.
    pub count: u64,
    /// Which trouble.
    pub key: DedupKey,
}

/// What is to be told. Log text is in it as [`Redacted`] only.
#[derive(Clone, Debug)]
pub struct Message {
    /// Names this delivery: the same in every try, so that receivers can drop the second copy.
    pub id: Uuid,
    /// Why it is sent.
    pub kind: Kind,
    /// How bad; of a digest, the worst in it.
    pub severity: Severity,
    /// What kind of trouble.
    pub category: Option<Category>,
    /// One line: what happened.
    pub title: Redacted,
    /// What it means.
    pub summary: Redacted,
    /// What to do.
    pub recommendation: Redacted,
    /// Where.
    pub hosts: Vec<Redacted>,
    /// Accounts involved.
    pub users: Vec<Redacted>,
    /// Addresses it came from.
    pub source_ips: Vec<Redacted>,
    /// The service affected.
    pub service: Option<Redacted>,
    /// Since when.
    pub first_seen: Timestamp,
    /// Until when.
    pub last_seen: Timestamp,
    /// How often.
    pub count: u64,
    /// Lines that show it; the first [`EVIDENCE_MAX`] are quoted.
    pub evidence: Vec<Redacted>,
    /// The page with everything.
    pub link: Option<Link>,
    /// Which trouble.
    pub key: DedupKey,
    /// Whose logs.
    pub tenant: TenantId,
    /// The language of the fixed texts.
    pub language: Language,
    /// What a digest tells together; empty otherwise.
    pub items: Vec<Item>,
}

impl Message {
    /// Tells of a finding. Addresses stay readable: those who are told have to act on them.
    pub fn of(finding: &Finding, kind: Kind, id: Uuid) -> Self {
        let mut secrets = Redactor::new(Redaction { pseudonymise_ips: false }).session();
        let lines: Vec<&str> = finding.evidence.iter().map(|line| head(&line.line)).collect();
        secrets.learn(lines.iter().copied());
        secrets.learn([finding.title.as_str(), &finding.summary, &finding.recommendation]);
        Message {
            id,
            kind,
            severity: finding.severity,
            category: Some(finding.category),
            title: prose(&mut secrets, &finding.title),
            summary: prose(&mut secrets, &finding.summary),
            recommendation: prose(&mut secrets, &finding.recommendation),
            hosts: names(&mut secrets, &finding.hosts),
            users: names(&mut secrets, &finding.users),
            source_ips: names(&mut secrets, &finding.source_ips),
            service: finding.affected_service.as_deref().map(|name| prose(&mut secrets, name)),
            first_seen: finding.first_seen,
            last_seen: finding.last_seen,
            count: finding.count,
            evidence: lines.iter().map(|line| secrets.redact(line).cut(LINE_BYTES_MAX)).collect(),
            link: None,
            key: DedupKey::of(&finding.tenant, &finding.fingerprint),
            tenant: finding.tenant.clone(),
            language: Language::default(),
            items: Vec::new(),
        }
    }

    /// Tries a channel; `line` is shown as a log line would be.
    pub fn test(id: Uuid, line: Option<&str>, now: Timestamp) -> Self {
        let redactor = Redactor::new(Redaction { pseudonymise_ips: false });
        let tenant = TenantId::single();
        Message {
            id,
            kind: Kind::Test,
            severity: Severity::Info,
            category: None,
            title: Redacted::literal("Sigyn can reach you here"),
            summary: Redacted::literal(
                "This is what a message about your logs looks like. Nothing has happened.",
            ),
            recommendation: Redacted::literal("Nothing."),
            hosts: vec![Redacted::literal("web-1")],
            users: Vec::new(),
            source_ips: vec![Redacted::literal("203.0.113.7")],
            service: Some(Redacted::literal("sshd")),
            first_seen: now,
            last_seen: now,
            count: 1,
            evidence: vec![match line {
                Some(line) => redactor.redact(head(line)).cut(LINE_BYTES_MAX),
                None => {
                    Redacted::literal("sshd[811]: Failed password for root from 203.0.113.7 port 4711 ssh2")
                }
            }],
            link: None,
            key: DedupKey::of(&tenant, "test"),
            tenant,
            language: Language::default(),
            items: Vec::new(),
        }
    }

    /// Tells several things together. `first_seen` and `last_seen` span them all.
    pub fn digest(
        id: Uuid,
        items: Vec<Item>,
        tenant: TenantId,
        first_seen: Timestamp,
        last_seen: Timestamp,
    ) -> Self {
        let severity = items.iter().map(|item| item.severity).max().unwrap_or(Severity::Info);
        Message {
            id,
            kind: Kind::Digest,
            severity,
            category: None,
            title: Redacted::default(),
            summary: Redacted::default(),
            recommendation: Redacted::default(),
            hosts: Vec::new(),
            users: Vec::new(),
            source_ips: Vec::new(),
            service: None,
            first_seen,
            last_seen,
            count: items.iter().fold(0, |sum, item| sum.saturating_add(item.count)),
            evidence: Vec::new(),
            link: None,
            key: DedupKey::of(&tenant, &id.to_string()),
            tenant,
            language: Language::default(),
            items,
        }
    }
}

fn head(line: &str) -> &str {
    line.get(..line.floor_char_boundary(LINE_BYTES_READ)).unwrap_or_default()
}

fn prose(secrets: &mut Session, text: &str) -> Redacted {
    secrets.redact(head(text)).cut(PROSE_BYTES_MAX)
}

fn names<'n>(secrets: &mut Session, names: impl IntoIterator<Item = &'n String>) -> Vec<Redacted> {
    names.into_iter().take(NAMES_MAX).map(|name| prose(secrets, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_the_trouble_of_one_tenant_and_shows_nothing_of_it() {
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let key = DedupKey::of(&a, "ssh from 203.0.113.7");
        assert_eq!(key, DedupKey::of(&a, "ssh from 203.0.113.7"));
        assert_ne!(key, DedupKey::of(&b, "ssh from 203.0.113.7"));
        assert!(key.as_str().len() == 32 && key.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    fn finding(line: &str) -> Finding {
        let at = "2026-11-21T00:00:00Z";
        serde_json::from_value(serde_json::json!({
            "id": "3", "tenant": "team-a", "title": "login of bob@example.org", "severity": "high",
            "category": "brute_force", "summary": "token was hunter2hunter2", "recommendation": "-", "root_cause": null,
            "evidence": [{"stream": {"job": "x"}, "timestamp_ns": "1", "line": line, "template": null}],
            "source_ips": ["203.0.113.7"], "users": ["bob"], "affected_service": "sshd", "hosts": ["web-1"], "count": 3,
            "score": 0.9, "origin": [{"kind": "rule", "id": "ssh"}], "first_seen": at, "last_seen": at, "created_at": at,
            "updated_at": at, "status": "open", "note": null, "fingerprint": "ssh",
            "window": {"from": at, "to": at, "lines": 9, "suspicious": 3},
        }))
        .unwrap()
    }

    #[test]
    fn a_finding_is_told_redacted_and_with_its_addresses() {
        let line = "auth password=hunter2hunter2 from 203.0.113.7";
        let message = Message::of(&finding(line), Kind::First, Uuid::nil());
        assert_eq!(message.title.as_str(), "login of [email]");
        // What one line shows to be secret is secret everywhere.
        assert_eq!(message.summary.as_str(), "token was [secret]");
        assert_eq!(message.evidence[0].as_str(), "auth password=[secret] from 203.0.113.7");
        assert_eq!((message.source_ips[0].as_str(), message.count), ("203.0.113.7", 3));
        assert_eq!(message.key, DedupKey::of(&TenantId::parse("team-a").unwrap(), "ssh"));
    }

    #[test]
    fn a_line_is_redacted_before_it_is_cut() {
        // The key begins within what is shown and ends beyond it.
        let line = format!("{} AKIAIOSFODNN7EXAMPLE end", "x".repeat(LINE_BYTES_MAX - 10));
        let message = Message::test(Uuid::nil(), Some(&line), Timestamp::default());
        let shown = message.evidence[0].as_str();
        assert!(shown.len() <= LINE_BYTES_MAX && !shown.contains("AKIA"), "{shown}");
    }
}
