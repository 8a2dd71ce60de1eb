//! Listing and counting findings.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{COLUMNS, TABLES, from_row};
use crate::{
    model::{Category, Finding, FindingId, FindingStatus, Severity, Timestamp},
    store::{Connection, StoreError, condition::Conditions},
};

/// Which findings; newest last event first.
#[derive(Clone, Debug, Default)]
pub struct FindingFilter {
    /// The tenant's number.
    pub tenant: i64,
    /// Last seen at or after.
    pub from: Option<Timestamp>,
    /// First seen before.
    pub to: Option<Timestamp>,
    /// At least this bad.
    pub severity: Option<Severity>,
    /// Only these categories (empty: all).
    pub categories: Vec<Category>,
    /// Only these states (empty: all).
    pub statuses: Vec<FindingStatus>,
    /// Seen on this host.
    pub host: Option<String>,
    /// About this service.
    pub service: Option<String>,
    /// The text occurs in title, summary or evidence (case-insensitive).
    pub text: Option<String>,
    /// Evidence from a stream with all these labels.
    pub labels: Vec<(String, String)>,
    /// The page's cursor: last event and id of the previous page's last row.
    pub before: Option<(Timestamp, FindingId)>,
    /// At most so many.
    pub limit: usize,
}

/// Lists findings.
pub fn list(conn: &Connection, filter: &FindingFilter) -> Result<Vec<Finding>, StoreError> {
    // Walks the index finding_newest backwards; the other conditions are checked row by row.
    let mut conditions = Conditions::new("finding", filter.tenant, filter.from, filter.to);
    add_columns(&mut conditions, filter);
    add_document(&mut conditions, filter);
    let limit = conditions.value(i64::try_from(filter.limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT {COLUMNS} FROM {TABLES} WHERE {} ORDER BY last_ns DESC, finding.id DESC LIMIT {limit}",
        conditions.sql
    );
    let mut statement = conn.prepare(&sql)?;
    let rows = statement.query_map(rusqlite::params_from_iter(conditions.values), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Counts over a time range.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FindingSummary {
    /// All findings.
    pub total: u64,
    /// By severity.
    pub by_severity: BTreeMap<&'static str, u64>,
    /// By category.
    pub by_category: BTreeMap<String, u64>,
    /// By status.
    pub by_status: BTreeMap<String, u64>,
    /// By host.
    pub by_host: BTreeMap<String, u64>,
}

/// Hosts in a summary; those with most findings.
const SUMMARY_HOSTS_MAX: usize = 100;

/// Summarises the findings seen in a time range.
pub fn summary(
    conn: &Connection,
    tenant: i64,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<FindingSummary, StoreError> {
    let conditions = Conditions::new("finding", tenant, from, to);
    // Each walks the index finding_newest within the tenant.
    let count_by = |expression: &str, tables: &str, limit: usize| {
        let sql = format!(
            "SELECT {expression}, COUNT(*) FROM {tables} WHERE {} GROUP BY 1 ORDER BY 2 DESC LIMIT {limit}",
            conditions.sql
        );
        let mut statement = conn.prepare(&sql)?;
        let rows = statement.query_map(rusqlite::params_from_iter(&conditions.values), |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
        })?;
        rows.collect::<Result<BTreeMap<_, _>, _>>().map_err(StoreError::from)
    };
    let mut summary = FindingSummary {
        by_category: count_by("category", "finding", usize::MAX >> 1)?,
        by_status: count_by("status", "finding", usize::MAX >> 1)?,
        by_host: count_by(
            "host.value",
            "finding, json_each(finding.doc, '$.hosts') AS host",
            SUMMARY_HOSTS_MAX,
        )?,
        ..FindingSummary::default()
    };
    for (rank, count) in count_by("CAST(severity AS TEXT)", "finding", Severity::ALL.len())? {
        let severity = Severity::from_rank(rank.parse().unwrap_or(u8::MAX));
        summary.by_severity.insert(severity.as_str(), count);
        summary.total += count;
    }
    Ok(summary)
}

fn add_columns(conditions: &mut Conditions, filter: &FindingFilter) {
    if let Some(severity) = filter.severity {
        let at = conditions.value(i64::from(severity.rank()));
        conditions.and(&format!("severity >= {at}"));
    }
    conditions.one_of("category", filter.categories.iter().map(|category| category.as_str()));
    conditions.one_of("status", filter.statuses.iter().map(|status| status.as_str()));
    if let Some(service) = &filter.service {
        let at = conditions.value(service.clone());
        conditions.and(&format!("service = {at}"));
    }
    if let Some((last, id)) = &filter.before {
        let (last, id) = (conditions.value(last.as_nanos()), conditions.value(id.0.clone()));
        conditions.and(&format!("(last_ns, finding.id) < ({last}, {id})"));
    }
}

fn add_document(conditions: &mut Conditions, filter: &FindingFilter) {
    if let Some(host) = &filter.host {
        let at = conditions.value(host.clone());
        conditions.and(&format!("EXISTS (SELECT 1 FROM json_each(doc, '$.hosts') WHERE value = {at})"));
    }
    if let Some(text) = &filter.text {
        let at = conditions.value(text.to_lowercase());
        conditions.and(&format!(
            "(instr(lower(title), {at}) > 0 OR instr(lower(doc ->> '$.summary'), {at}) > 0
              OR EXISTS (SELECT 1 FROM json_each(doc, '$.evidence') AS line
                         WHERE instr(lower(line.value ->> '$.line'), {at}) > 0))"
        ));
    }
    if !filter.labels.is_empty() {
        let mut of_line = Vec::new();
        for (name, value) in &filter.labels {
            let (name, value) = (conditions.value(name.clone()), conditions.value(value.clone()));
            of_line.push(format!(
                "EXISTS (SELECT 1 FROM json_each(line.value, '$.stream') AS label
                         WHERE label.key = {name} AND label.value = {value})"
            ));
        }
        conditions.and(&format!(
            "EXISTS (SELECT 1 FROM json_each(doc, '$.evidence') AS line WHERE {})",
            of_line.join(" AND ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;
    use crate::{
        model::{EvidenceLine, FindingDraft, FindingWindow, Labels, Origin},
        store::{
            finding::{Source, apply},
            testing::{self, START, TestStore},
        },
    };

    fn at(secs: u64) -> Timestamp {
        START.plus(Duration::from_secs(secs))
    }

    fn draft(name: &str, secs: u64, severity: Severity, category: Category, host: &str) -> FindingDraft {
        let labels = Labels::from_pairs([("host", host), ("job", "syslog")]).unwrap();
        FindingDraft {
            fingerprint: name.into(),
            title: name.into(),
            severity,
            category,
            summary: format!("Summary of {name}"),
            recommendation: String::new(),
            root_cause: None,
            evidence: vec![EvidenceLine {
                stream: labels,
                timestamp_ns: at(secs),
                line: format!("Evidence line for {name} at 50%"),
                template: None,
                at: None,
            }],
            source_ips: BTreeSet::new(),
            users: BTreeSet::new(),
            affected_service: Some(format!("{name}d")),
            hosts: BTreeSet::from([host.to_owned()]),
            count: 1,
            score: 1.0,
            origin: BTreeSet::from([Origin::Rule { id: name.into() }]),
            first_seen: at(secs),
            last_seen: at(secs),
        }
    }

    fn filled() -> TestStore {
        let store = testing::store();
        let drafts = [
            draft("ssh", 10, Severity::High, Category::BruteForce, "web-1"),
            draft("oom", 30, Severity::Critical, Category::Oom, "web-2"),
            draft("scan", 20, Severity::Low, Category::WebScan, "web-1"),
        ];
        let window = FindingWindow { from: START, to: START, lines: 1, suspicious: 1 };
        let source = Source { tenant: 1, group: "g".into(), first_seq: 1, window };
        store.write_blocking(move |tx| apply(tx, &source, &drafts, Duration::ZERO, START)).unwrap();
        store
    }

    #[track_caller]
    fn check(store: &TestStore, filter: FindingFilter, expected: &[&str]) {
        let filter = FindingFilter { tenant: 1, limit: 10, ..filter };
        let found = store.read_blocking(|conn| list(conn, &filter)).unwrap();
        let titles: Vec<&str> = found.iter().map(|finding| finding.title.as_str()).collect();
        assert_eq!(titles, expected);
    }

    #[test]
    fn every_filter_narrows() {
        let store = filled();
        let any = FindingFilter::default;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        check(&store, any(), &["oom", "scan", "ssh"]);
        check(&store, FindingFilter { from: Some(at(20)), ..any() }, &["oom", "scan"]);
        check(&store, FindingFilter { to: Some(at(20)), ..any() }, &["ssh"]);
        check(&store, FindingFilter { severity: Some(Severity::High), ..any() }, &["oom", "ssh"]);
        let categories = vec![Category::Oom, Category::WebScan];
        check(&store, FindingFilter { categories, ..any() }, &["oom", "scan"]);
        check(&store, FindingFilter { statuses: vec![FindingStatus::Resolved], ..any() }, &[]);
        check(&store, FindingFilter { host: Some("web-1".into()), ..any() }, &["scan", "ssh"]);
        check(&store, FindingFilter { service: Some("sshd".into()), ..any() }, &["ssh"]);
        check(&store, FindingFilter { text: Some("LINE FOR s".into()), ..any() }, &["scan", "ssh"]);
        check(&store, FindingFilter { text: Some("50%".into()), ..any() }, &["oom", "scan", "ssh"]);
        check(&store, FindingFilter { text: Some("summary of o".into()), ..any() }, &["oom"]);
        let labels = vec![pair("host", "web-1"), pair("job", "syslog")];
        check(&store, FindingFilter { labels, ..any() }, &["scan", "ssh"]);
        let labels = vec![pair("host", "web-1"), pair("job", "other")];
        check(&store, FindingFilter { labels, ..any() }, &[]);
    }

    #[test]
    fn the_next_page_begins_after_the_cursor() {
        let store = filled();
        let filter = FindingFilter { tenant: 1, limit: 2, ..FindingFilter::default() };
        let page = store.read_blocking(|conn| list(conn, &filter)).unwrap();
        let last = page.last().unwrap();
        let before = Some((last.last_seen, last.id.clone()));
        check(&store, FindingFilter { before, ..FindingFilter::default() }, &["ssh"]);
    }

    #[test]
    fn a_summary_counts_by_every_aspect() {
        let store = filled();
        let summary = store.read_blocking(|conn| summary(conn, 1, Some(at(15)), None)).unwrap();
        assert_eq!(summary.total, 2);
        assert_eq!(summary.by_severity, BTreeMap::from([("critical", 1), ("low", 1)]));
        assert_eq!(summary.by_category, BTreeMap::from([("oom".into(), 1), ("web_scan".into(), 1)]));
        assert_eq!(summary.by_status, BTreeMap::from([("open".into(), 2)]));
        assert_eq!(summary.by_host, BTreeMap::from([("web-1".into(), 1), ("web-2".into(), 1)]));
    }
}
