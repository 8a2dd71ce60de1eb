//! The WHERE of a list: conditions with the values they refer to by number.

use rusqlite::types::Value;

use crate::model::Timestamp;

/// Conditions with the values they refer to by number.
pub(in crate::store) struct Conditions {
    /// The conditions so far, joined by AND.
    pub(in crate::store) sql: String,
    /// The values they refer to.
    pub(in crate::store) values: Vec<Value>,
}

impl Conditions {
    /// The rows of a tenant that were seen within a time range.
    pub(in crate::store) fn new(
        table: &str,
        tenant: i64,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Self {
        let mut conditions = Conditions { sql: String::new(), values: Vec::new() };
        let at = conditions.value(tenant);
        conditions.sql = format!("{table}.tenant_id = {at}");
        if let Some(from) = from {
            let at = conditions.value(from.as_nanos());
            conditions.and(&format!("last_ns >= {at}"));
        }
        if let Some(to) = to {
            let at = conditions.value(to.as_nanos());
            conditions.and(&format!("first_ns < {at}"));
        }
        conditions
    }

    /// Binds a value; returns what stands for it in the SQL.
    pub(in crate::store) fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    /// Adds a condition.
    pub(in crate::store) fn and(&mut self, condition: &str) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
    }

    /// Adds that the column has one of some values; none means any.
    pub(in crate::store) fn one_of(&mut self, column: &str, names: impl Iterator<Item = &'static str>) {
        let places: Vec<String> = names.map(|name| self.value(name.to_owned())).collect();
        if !places.is_empty() {
            self.and(&format!("{column} IN ({})", places.join(", ")));
        }
    }
}
