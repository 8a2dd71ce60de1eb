//! Findings, windows and templates, page by page.

use super::{Query, QueryError};
use crate::{
    model::{Finding, FindingId, Note, NoteId, TemplateId, TenantId, Timestamp, WindowId, WindowRecord},
    store::{
        finding::{self, FindingFilter, FindingSummary},
        note,
        template::{self, TemplateRow},
        window::{self, WindowFilter},
    },
};

/// One page of a list and where the next begins.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    /// The rows.
    pub items: Vec<T>,
    /// The place after the last row; `None` on the last page.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// Cuts a list that was read with one row more than `limit` to tell whether there is a next page.
    pub(super) fn cut(mut items: Vec<T>, limit: usize, place: impl Fn(&T) -> C) -> Self {
        let is_last = items.len() <= limit;
        items.truncate(limit);
        let next = if is_last { None } else { items.last().map(place) };
        Page { items, next }
    }
}

impl Query {
    /// A tenant's findings, newest last event first. `filter.tenant` is filled in here.
    pub async fn findings(
        &self,
        tenant: &TenantId,
        mut filter: FindingFilter,
    ) -> Result<Page<Finding, (Timestamp, FindingId)>, QueryError> {
        let limit = filter.limit;
        filter.tenant = self.tenant_number(tenant);
        filter.limit = limit.saturating_add(1);
        let rows = self.store.read(move |conn| finding::list(conn, &filter)).await?;
        Ok(Page::cut(rows, limit, |row| (row.last_seen, row.id.clone())))
    }

    /// One finding of a tenant.
    pub async fn finding(&self, tenant: &TenantId, id: FindingId) -> Result<Option<Finding>, QueryError> {
        let tenant = self.tenant_number(tenant);
        Ok(self.store.read(move |conn| finding::get(conn, tenant, &id)).await?)
    }

    /// Counts of a tenant's findings over a time range.
    pub async fn summary(
        &self,
        tenant: &TenantId,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<FindingSummary, QueryError> {
        let tenant = self.tenant_number(tenant);
        Ok(self.store.read(move |conn| finding::summary(conn, tenant, from, to)).await?)
    }

    /// A tenant's windows, newest first. `filter.tenant` is filled in here.
    pub async fn windows(
        &self,
        tenant: &TenantId,
        mut filter: WindowFilter,
    ) -> Result<Page<WindowRecord, WindowId>, QueryError> {
        let limit = filter.limit;
        filter.tenant = self.tenant_number(tenant);
        filter.limit = limit.saturating_add(1);
        let rows = self.store.read(move |conn| window::list(conn, &filter)).await?;
        Ok(Page::cut(rows, limit, |row| row.id))
    }

    /// One window of a tenant.
    pub async fn window(&self, tenant: &TenantId, id: WindowId) -> Result<Option<WindowRecord>, QueryError> {
        let before = Some(WindowId(id.0.saturating_add(1)));
        let filter = WindowFilter { before, limit: 1, ..WindowFilter::default() };
        let page = self.windows(tenant, filter).await?;
        Ok(page.items.into_iter().find(|window| window.id == id))
    }

    /// Knowledge notes a tenant sees, in order of number.
    pub async fn notes(
        &self,
        tenant: &TenantId,
        after: Option<NoteId>,
        limit: usize,
    ) -> Result<Page<Note, NoteId>, QueryError> {
        let (tenant, after) = (self.tenant_number(tenant), after.unwrap_or(NoteId(0)));
        let rows =
            self.store.read(move |conn| note::list(conn, tenant, after, limit.saturating_add(1))).await?;
        Ok(Page::cut(rows, limit, |row| row.id))
    }

    /// One knowledge note a tenant sees.
    pub async fn note(&self, tenant: &TenantId, id: NoteId) -> Result<Option<Note>, QueryError> {
        let tenant = self.tenant_number(tenant);
        Ok(self.store.read(move |conn| note::get(conn, tenant, id)).await?)
    }

    /// A tenant's templates, most lines first.
    pub async fn templates(
        &self,
        tenant: &TenantId,
        text: Option<String>,
        before: Option<(u64, TemplateId)>,
        limit: usize,
    ) -> Result<Page<TemplateRow, (u64, TemplateId)>, QueryError> {
        let tenant = self.tenant_number(tenant);
        let read =
            move |conn: &_| template::list(conn, tenant, text.as_deref(), before, limit.saturating_add(1));
        let rows = self.store.read(read).await?;
        Ok(Page::cut(rows, limit, |row| (row.count, row.id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_next_only_when_a_row_was_left_over() {
        let full = Page::cut(vec![5, 4, 3], 2, |row| *row);
        assert_eq!((full.items, full.next), (vec![5, 4], Some(4)));
        let last = Page::cut(vec![5, 4], 2, |row| *row);
        assert_eq!((last.items, last.next), (vec![5, 4], None));
    }
}
