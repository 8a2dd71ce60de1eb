//! Taking back what people have entered: normals, verdicts and maintenance windows are removed alike.

use axum::http::StatusCode;

use crate::{
    api::{Api, error::ApiError},
    model::TenantId,
    store::{Change, StoreError, Transaction},
};

/// Removes one entry of a tenant and tells the analysis; `what` names it to whoever asked for one that is not there.
pub async fn remove(
    api: &Api,
    tenant: &TenantId,
    what: &'static str,
    from_store: impl FnOnce(&Transaction<'_>, i64) -> Result<bool, StoreError> + Send + 'static,
) -> Result<StatusCode, ApiError> {
    let number = api.query.tenant_number(tenant);
    if !api.store.write(move |tx| from_store(tx, number)).await? {
        return Err(ApiError::NotFound(what));
    }
    api.store.announce(Change::Taught);
    Ok(StatusCode::NO_CONTENT)
}
