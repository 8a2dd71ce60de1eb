//! Listing deliveries.

use super::{damaged, reason_of, state_of};
use crate::{
    model::{Delivery, DeliveryState, IncidentId, Severity, TenantId, Timestamp},
    store::{Connection, StoreError, condition::Conditions},
};

/// Which deliveries; newest first.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// The tenant's number.
    pub tenant: i64,
    /// Only these states (empty: all).
    pub states: Vec<DeliveryState>,
    /// Over this channel.
    pub channel: Option<String>,
    /// About this incident.
    pub incident: Option<String>,
    /// The page's cursor: when the previous page's last row was queued, and its id.
    pub before: Option<(Timestamp, String)>,
    /// At most so many.
    pub limit: usize,
}

/// Lists deliveries.
pub fn list(conn: &Connection, filter: &DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
    // Walks the index delivery_newest backwards; the other conditions are checked row by row.
    let mut conditions = Conditions::new("delivery", filter.tenant, None, None);
    conditions.one_of("state", filter.states.iter().map(|state| state.as_str()));
    for (column, wanted) in [("channel", &filter.channel), ("incident_id", &filter.incident)] {
        if let Some(wanted) = wanted {
            let at = conditions.value(wanted.clone());
            conditions.and(&format!("{column} = {at}"));
        }
    }
    if let Some((created, id)) = &filter.before {
        let (created, id) = (conditions.value(created.as_nanos()), conditions.value(id.clone()));
        conditions.and(&format!("(created_ns, delivery.id) < ({created}, {id})"));
    }
    let limit = conditions.value(i64::try_from(filter.limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT delivery.id, tenant.name, incident_id, channel, reason, severity, doc ->> '$.title', state, attempts,
            created_ns, updated_ns, next_ns, answer, handle, folded_into
         FROM delivery JOIN tenant ON tenant.id = delivery.tenant_id
         WHERE {} ORDER BY created_ns DESC, delivery.id DESC LIMIT {limit}",
        conditions.sql
    );
    let mut statement = conn.prepare(&sql)?;
    let rows = statement.query_map(rusqlite::params_from_iter(conditions.values), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Delivery> {
    let time = |at: usize| row.get(at).map(Timestamp::from_nanos);
    let state = state_of(row, 7)?;
    let is_done = !matches!(state, DeliveryState::Queued | DeliveryState::Sending);
    let tenant: String = row.get(1)?;
    Ok(Delivery {
        id: row.get(0)?,
        tenant: TenantId::parse(&tenant).map_err(|_| damaged(1, "bad tenant"))?,
        incident_id: row.get::<_, Option<String>>(2)?.map(IncidentId),
        channel: row.get(3)?,
        reason: reason_of(row, 4)?,
        severity: Severity::from_rank(row.get(5)?),
        title: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
        state,
        attempts: row.get::<_, i64>(8)?.unsigned_abs(),
        created_at: time(9)?,
        updated_at: time(10)?,
        next_try_at: if is_done { None } else { Some(time(11)?) },
        answer: row.get(12)?,
        handle: row.get(13)?,
        folded_into: row.get(14)?,
    })
}
