//! Exhibits for tests.

use std::collections::BTreeSet;

use crate::{
    analyze::exhibit::{Exemplar, Exhibit, Item, Known},
    model::{Category, EvidenceLine, FindingDraft, Labels, Origin, Severity, Timestamp},
};

/// A template with one quoted line.
pub fn item(reference: u32, line: &str) -> Item {
    let labels = Labels::from_pairs([("job", "sshd"), ("host", "web-1")]).unwrap();
    let template = format!("template of {reference}");
    let evidence = EvidenceLine {
        stream: labels,
        timestamp_ns: Timestamp::from_secs(1_010),
        line: line.to_owned(),
        template: Some(template.clone()),
        at: None,
    };
    Item {
        template,
        count: 42,
        first: Timestamp::from_secs(1_010),
        last: Timestamp::from_secs(1_050),
        level: "unknown".to_owned(),
        suspicion: 0.5,
        is_new: false,
        rules: Vec::new(),
        exemplars: vec![Exemplar { reference, evidence }],
        values: Vec::new(),
        more_values: 0,
    }
}

/// A window of `web-1` with these templates.
pub fn exhibit(items: Vec<Item>) -> Exhibit {
    Exhibit {
        group: "web-1".to_owned(),
        from: Some(Timestamp::from_secs(1_000)),
        to: Some(Timestamp::from_secs(1_060)),
        lines: 1_200,
        templates: items.len() as u64,
        suspicious: 42,
        items,
        ..Exhibit::default()
    }
}

/// A finding of a rule with the given line of the exhibit.
pub fn known(fingerprint: &str, reference: u32, exhibit: &Exhibit) -> Known {
    let item = exhibit.items.iter().find(|item| item.exemplars[0].reference == reference).unwrap();
    let draft = FindingDraft {
        fingerprint: fingerprint.to_owned(),
        title: "SSH password guessing".to_owned(),
        severity: Severity::High,
        category: Category::BruteForce,
        summary: "rule words".to_owned(),
        recommendation: "rule advice".to_owned(),
        root_cause: None,
        evidence: vec![item.exemplars[0].evidence.clone()],
        source_ips: BTreeSet::new(),
        users: BTreeSet::new(),
        affected_service: Some("sshd".to_owned()),
        hosts: BTreeSet::from(["web-1".to_owned()]),
        count: 42,
        score: 0.9,
        origin: BTreeSet::from([Origin::Rule { id: "ssh".to_owned() }]),
        first_seen: item.first,
        last_seen: item.last,
    };
    Known { draft, references: vec![reference] }
}
