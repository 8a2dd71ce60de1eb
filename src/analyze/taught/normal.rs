//! Normals, compiled: whether a finding is shown by nothing but lines that a person has declared normal.

use std::collections::{BTreeMap, BTreeSet};

use super::shape::Shape;
use crate::{
    analyze::mine,
    model::{EvidenceLine, FindingDraft, Normal, Selector, Severity, Timestamp},
    wire::envelope,
};

/// Every normal in force. Immutable and shared.
#[derive(Debug, Default)]
pub struct Normals {
    by_tenant: BTreeMap<i64, Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    id: String,
    selector: Selector,
    shapes: Vec<Shape>,
    source_ips: BTreeSet<String>,
    users: BTreeSet<String>,
    severity: Severity,
    expires: Timestamp,
}

/// What of a finding a normal looks at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// How bad.
    pub severity: Severity,
    /// The lines that show it.
    pub evidence: &'a [EvidenceLine],
    /// Addresses it came from.
    pub source_ips: &'a BTreeSet<String>,
    /// Accounts involved.
    pub users: &'a BTreeSet<String>,
}

impl<'a> From<&'a FindingDraft> for Subject<'a> {
    fn from(draft: &'a FindingDraft) -> Self {
        Subject {
            severity: draft.severity,
            evidence: &draft.evidence,
            source_ips: &draft.source_ips,
            users: &draft.users,
        }
    }
}

impl Normals {
    /// Compiles normals, each with its tenant's number. One whose selector cannot be read hides nothing.
    pub fn new(normals: impl IntoIterator<Item = (i64, Normal)>) -> Self {
        let mut by_tenant: BTreeMap<i64, Vec<Entry>> = BTreeMap::new();
        for (tenant, normal) in normals {
            let Ok(selector) = normal.selector.parse() else { continue };
            by_tenant.entry(tenant).or_default().push(Entry {
                selector,
                shapes: normal.patterns.iter().map(|text| Shape::new(text)).collect(),
                id: normal.id,
                source_ips: normal.source_ips,
                users: normal.users,
                severity: normal.severity,
                expires: normal.expires_at.unwrap_or(Timestamp::MAX),
            });
        }
        Normals { by_tenant }
    }

    /// The normal by which a finding is hidden at `now`, if there is one.
    pub fn hide<'a>(&self, tenant: i64, finding: impl Into<Subject<'a>>, now: Timestamp) -> Option<&str> {
        let entries = self.by_tenant.get(&tenant)?;
        let subject: Subject<'_> = finding.into();
        if subject.evidence.is_empty() {
            return None;
        }
        let messages: Vec<_> =
            subject.evidence.iter().map(|line| envelope::open(line.line.as_bytes()).message).collect();
        let hides = |entry: &&Entry| {
            let shows = |(line, message): (&EvidenceLine, &std::borrow::Cow<'_, str>)| {
                let message = mine::body(message);
                entry.selector.matches(&line.stream)
                    && entry.shapes.iter().any(|shape| shape.fits(message, line.template.as_deref()))
            };
            now < entry.expires
                && subject.severity <= entry.severity
                && covers(&entry.source_ips, subject.source_ips)
                && covers(&entry.users, subject.users)
                && subject.evidence.iter().zip(&messages).all(shows)
        };
        entries.iter().find(hides).map(|entry| entry.id.as_str())
    }
}

/// Whether what is asked for is all there is; nothing asked for is always met.
fn covers(asked: &BTreeSet<String>, found: &BTreeSet<String>) -> bool {
    asked.is_empty() || !found.is_empty() && found.is_subset(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FindingId, Labels};

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn normal() -> Normal {
        Normal {
            id: "n".to_owned(),
            finding: FindingId("f".to_owned()),
            selector: r#"{host="web-1"}"#.to_owned(),
            patterns: BTreeSet::from(["backup took <qty>".to_owned(), "backup began".to_owned()]),
            source_ips: BTreeSet::new(),
            users: BTreeSet::new(),
            severity: Severity::Medium,
            note: None,
            created_at: NOW,
            expires_at: None,
            hidden: 0,
            last_hidden_at: None,
        }
    }

    fn line(host: &str, text: &str) -> EvidenceLine {
        EvidenceLine {
            stream: Labels::from_pairs([("host", host)]).unwrap(),
            timestamp_ns: NOW,
            line: text.to_owned(),
            template: None,
            at: None,
        }
    }

    struct Case {
        normal: Normal,
        severity: Severity,
        lines: Vec<EvidenceLine>,
        ips: BTreeSet<String>,
        now: Timestamp,
    }

    impl Case {
        fn new() -> Self {
            let lines = vec![
                line("web-1", "Nov 21 03:12:01 web-1 backup[7]: backup took 15s"),
                line("web-1", "backup began"),
                line("web-1", "2026-11-21 03:12:01,250 INFO [worker-3] backup began"),
            ];
            Case { normal: normal(), severity: Severity::Medium, lines, ips: BTreeSet::new(), now: NOW }
        }

        #[track_caller]
        fn check(self, expected: bool) {
            let users = BTreeSet::new();
            let subject = Subject {
                severity: self.severity,
                evidence: &self.lines,
                source_ips: &self.ips,
                users: &users,
            };
            let normals = Normals::new([(1, self.normal)]);
            assert_eq!(normals.hide(1, subject, self.now), expected.then_some("n"));
            assert_eq!(normals.hide(2, subject, self.now), None, "another tenant");
        }
    }

    #[test]
    fn what_is_shown_by_normal_lines_alone_is_hidden() {
        Case::new().check(true);
        let mut other_line = Case::new();
        other_line.lines.push(line("web-1", "backup failed"));
        other_line.check(false);
        let mut other_host = Case::new();
        other_host.lines.push(line("web-2", "backup began"));
        other_host.check(false);
        let mut nothing = Case::new();
        nothing.lines.clear();
        nothing.check(false);
    }

    #[test]
    fn what_is_worse_or_later_or_from_elsewhere_is_not() {
        Case { severity: Severity::High, ..Case::new() }.check(false);
        let mut expired = Case::new();
        expired.normal.expires_at = Some(NOW);
        expired.check(false);
        let office = BTreeSet::from(["192.0.2.1".to_owned()]);
        for (ips, expected) in [
            (office.clone(), true),
            (BTreeSet::from(["192.0.2.1".to_owned(), "203.0.113.5".to_owned()]), false),
            (BTreeSet::new(), false),
        ] {
            let mut case = Case { ips, ..Case::new() };
            case.normal.source_ips = office.clone();
            case.check(expected);
        }
    }
}
