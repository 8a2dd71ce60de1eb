//! What model calls took: this hour, today, this month, and by model.

use serde::Serialize;

use super::{Query, QueryError};
use crate::{
    model::{Budget, TenantId, Timestamp},
    store::model_call::{self, Usage},
};

/// Seconds of a day in UTC.
const DAY: i64 = 86_400;
/// Seconds of an hour.
const HOUR: i64 = 3_600;

/// A tenant's model calls. Days and months are UTC's.
#[derive(Clone, Debug, Serialize)]
pub struct UsageReport {
    /// Since the hour began.
    pub hour: Usage,
    /// Since midnight.
    pub today: Usage,
    /// Since the first of the month.
    pub month: Usage,
    /// This month by model.
    pub by_model: Vec<ModelUsage>,
    /// The limits of the whole server.
    pub budget: Budget,
}

/// What calls to one model took.
#[derive(Clone, Debug, Serialize)]
pub struct ModelUsage {
    /// Provider and model.
    pub model: String,
    /// Its calls.
    #[serde(flatten)]
    pub usage: Usage,
}

impl Query {
    /// What a tenant's windows cost.
    pub async fn usage(&self, tenant: &TenantId) -> Result<UsageReport, QueryError> {
        let number = Some(self.tenant_number(tenant));
        let now = self.clock.now();
        let budget = self.about.budget.clone();
        let read = move |conn: &_| {
            let since = |from| model_call::usage_since(conn, from, number);
            let month = month_start(now);
            let by_model = model_call::usage_by_model(conn, month, number)?;
            Ok(UsageReport {
                hour: since(floor(now, HOUR))?,
                today: since(floor(now, DAY))?,
                month: since(month)?,
                by_model: by_model.into_iter().map(|(model, usage)| ModelUsage { model, usage }).collect(),
                budget,
            })
        };
        Ok(self.store.read(read).await?)
    }
}

fn floor(now: Timestamp, secs: i64) -> Timestamp {
    Timestamp::from_secs(now.as_secs().div_euclid(secs).saturating_mul(secs))
}

/// The first of the month, midnight in UTC; today's midnight for times no calendar knows.
fn month_start(now: Timestamp) -> Timestamp {
    let today = floor(now, DAY);
    let date =
        jiff::Timestamp::from_second(today.as_secs()).map(|time| time.to_zoned(jiff::tz::TimeZone::UTC));
    match date {
        Ok(date) => Timestamp::from_secs(today.as_secs() - (i64::from(date.day()) - 1) * DAY),
        Err(_) => today,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_where_utc_says() {
        let now: Timestamp = "2026-11-21T03:55:17.5Z".parse().unwrap();
        assert_eq!(floor(now, HOUR).to_string(), "2026-11-21T03:00:00Z");
        assert_eq!(floor(now, DAY).to_string(), "2026-11-21T00:00:00Z");
        assert_eq!(month_start(now).to_string(), "2026-11-01T00:00:00Z");
        let first: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        assert_eq!(month_start(first), first);
    }
}
