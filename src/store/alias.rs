//! Which templates were merged into which: numbers noted long ago are still understood after a restart.

use std::collections::BTreeSet;

use crate::{
    model::TemplateId,
    store::{Connection, StoreError, Transaction},
};

/// Aliases kept per tenant; the lowest numbers go first, as they are the oldest.
const KEPT: usize = 40_000;

/// A template that was merged into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The tenant's number.
    pub tenant: i64,
    /// The template that is no more.
    pub id: TemplateId,
    /// The one it was merged into.
    pub into: TemplateId,
}

/// Notes merged templates, as (old, new). The new one must be stored; one that is gone again is passed over.
pub fn put(tx: &Transaction<'_>, merged: &[(TemplateId, TemplateId)]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT OR REPLACE INTO template_alias (tenant_id, id, into_id)
        SELECT tenant_id, ?1, id FROM template WHERE id = ?2 RETURNING tenant_id";
    let mut tenants = BTreeSet::new();
    let mut statement = tx.prepare_cached(SQL)?;
    for (id, into) in merged {
        let rows =
            statement.query_map((id.0.cast_signed(), into.0.cast_signed()), |row| row.get::<_, i64>(0))?;
        for tenant in rows {
            tenants.insert(tenant?);
        }
    }
    tenants.into_iter().try_for_each(|tenant| keep(tx, tenant, KEPT))
}

/// Forgets all but the `kept` highest numbers of a tenant.
fn keep(tx: &Transaction<'_>, tenant: i64, kept: usize) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM template_alias WHERE tenant_id = ?1 AND id <=
        (SELECT id FROM template_alias WHERE tenant_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    tx.prepare_cached(SQL)?.execute((tenant, i64::try_from(kept).unwrap_or(i64::MAX)))?;
    Ok(())
}

/// Every alias, for the miners at start.
pub fn all(conn: &Connection) -> Result<Vec<Alias>, StoreError> {
    let mut statement =
        conn.prepare("SELECT tenant_id, id, into_id FROM template_alias ORDER BY tenant_id, id")?;
    let rows = statement.query_map([], |row| {
        Ok(Alias {
            tenant: row.get(0)?,
            id: TemplateId(row.get::<_, i64>(1)?.cast_unsigned()),
            into: TemplateId(row.get::<_, i64>(2)?.cast_unsigned()),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Timestamp,
        store::{
            template::{self, TemplateRow},
            testing::{self, TestStore},
        },
    };

    fn with_template(tenant: i64, id: u64) -> TestStore {
        let store = testing::store();
        let row = TemplateRow {
            id: TemplateId(id),
            tenant,
            text: String::new(),
            sample: String::new(),
            count: 0,
            first_seen: Timestamp::default(),
            last_seen: Timestamp::default(),
            state: Vec::new(),
        };
        store.write_blocking(move |tx| template::put(tx, &[row])).unwrap();
        store
    }

    fn ids(store: &TestStore) -> Vec<(u64, u64)> {
        store.read_blocking(all).unwrap().iter().map(|alias| (alias.id.0, alias.into.0)).collect()
    }

    #[test]
    fn an_alias_belongs_to_the_tenant_of_its_template_and_is_noted_once() {
        let store = with_template(7, 2);
        let merged = [(TemplateId(5), TemplateId(2)), (TemplateId(6), TemplateId(99))];
        for _ in 0..2 {
            store.write_blocking(move |tx| put(tx, &merged)).unwrap();
        }
        let alias = Alias { tenant: 7, id: TemplateId(5), into: TemplateId(2) };
        assert_eq!(store.read_blocking(all).unwrap(), [alias]);
    }

    #[test]
    fn the_oldest_aliases_go_first() {
        let store = with_template(1, 2);
        let merged: Vec<_> = (3..8).map(|id| (TemplateId(id), TemplateId(2))).collect();
        store.write_blocking(move |tx| put(tx, &merged)).unwrap();
        store.write_blocking(|tx| keep(tx, 1, 2)).unwrap();
        assert_eq!(ids(&store), [(6, 2), (7, 2)]);
    }
}
