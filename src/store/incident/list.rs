//! Listing incidents.

use super::{COLUMNS, TABLES, from_row};
use crate::{
    model::{Category, FindingStatus, Incident, IncidentId, Severity, Timestamp},
    store::{Connection, StoreError, condition::Conditions},
};

/// Which incidents; newest last event first. Those that have become a part of another are left out.
#[derive(Clone, Debug, Default)]
pub struct IncidentFilter {
    /// The tenant's number.
    pub tenant: i64,
    /// Last seen at or after.
    pub from: Option<Timestamp>,
    /// First seen before.
    pub to: Option<Timestamp>,
    /// At least this bad.
    pub severity: Option<Severity>,
    /// Only with one of these categories (empty: all).
    pub categories: Vec<Category>,
    /// Only these states (empty: all).
    pub statuses: Vec<FindingStatus>,
    /// Seen on this host.
    pub host: Option<String>,
    /// About this service.
    pub service: Option<String>,
    /// The text occurs in title, summary or the titles of its findings (case-insensitive).
    pub text: Option<String>,
    /// The page's cursor: last event and id of the previous page's last row.
    pub before: Option<(Timestamp, IncidentId)>,
    /// At most so many.
    pub limit: usize,
}

/// Lists incidents.
pub fn list(conn: &Connection, filter: &IncidentFilter) -> Result<Vec<Incident>, StoreError> {
    // Walks the index incident_newest backwards; the other conditions are checked row by row.
    let mut conditions = Conditions::new("incident", filter.tenant, filter.from, filter.to);
    conditions.and("merged_into IS NULL");
    if let Some(severity) = filter.severity {
        let at = conditions.value(i64::from(severity.rank()));
        conditions.and(&format!("severity >= {at}"));
    }
    conditions.one_of("status", filter.statuses.iter().map(|status| status.as_str()));
    if !filter.categories.is_empty() {
        let places: Vec<String> =
            filter.categories.iter().map(|category| conditions.value(category.as_str().to_owned())).collect();
        conditions.and(&format!(
            "EXISTS (SELECT 1 FROM json_each(doc, '$.categories') WHERE value IN ({}))",
            places.join(", ")
        ));
    }
    for (path, wanted) in [("$.hosts", &filter.host), ("$.affected_services", &filter.service)] {
        if let Some(wanted) = wanted {
            let at = conditions.value(wanted.clone());
            conditions.and(&format!("EXISTS (SELECT 1 FROM json_each(doc, '{path}') WHERE value = {at})"));
        }
    }
    if let Some(text) = &filter.text {
        let at = conditions.value(text.to_lowercase());
        conditions.and(&format!(
            "(instr(lower(title), {at}) > 0 OR instr(lower(doc ->> '$.summary'), {at}) > 0
              OR EXISTS (SELECT 1 FROM json_each(doc, '$.timeline') AS part
                         WHERE instr(lower(part.value ->> '$.title'), {at}) > 0))"
        ));
    }
    if let Some((last, id)) = &filter.before {
        let (last, id) = (conditions.value(last.as_nanos()), conditions.value(id.0.clone()));
        conditions.and(&format!("(last_ns, incident.id) < ({last}, {id})"));
    }
    let limit = conditions.value(i64::try_from(filter.limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT {COLUMNS} FROM {TABLES} WHERE {} ORDER BY last_ns DESC, incident.id DESC LIMIT {limit}",
        conditions.sql
    );
    let mut statement = conn.prepare(&sql)?;
    let rows = statement.query_map(rusqlite::params_from_iter(conditions.values), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
