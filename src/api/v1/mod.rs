//! `/api/v1`: one file per endpoint.

mod alerts;
mod change;
mod context;
mod deliveries;
mod detectors;
mod entries;
mod feedback;
mod finding;
mod findings;
mod hosts;
mod incident;
mod incidents;
mod knowledge;
mod maintenance;
mod normal;
mod status;
mod streams;
mod summary;
mod templates;
mod untaught;
mod usage;
mod windows;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::{Api, cursor, routes::Routes};
use crate::query::Page;

/// Rows of a page unless the caller says otherwise.
const DEFAULT_PAGE: usize = 50;
/// Rows of a page at most; a finding is a few KiB.
const MAX_PAGE: usize = 500;

/// Adds every route.
pub fn routes(routes: Routes<Api>) -> Routes<Api> {
    routes
        .get("/api/v1/findings", findings::list)
        .get("/api/v1/findings/summary", summary::summary)
        .get("/api/v1/findings/{id}", finding::one)
        .patch("/api/v1/findings/{id}", change::change)
        .get("/api/v1/findings/{id}/context", context::context)
        .post("/api/v1/findings/{id}/normal", normal::teach)
        .get("/api/v1/incidents", incidents::list)
        .get("/api/v1/incidents/{id}", incident::one)
        .patch("/api/v1/incidents/{id}", incident::change)
        .get("/api/v1/deliveries", deliveries::list)
        .post("/api/v1/alerts/test", alerts::test)
        .get("/api/v1/normals", normal::list)
        .delete("/api/v1/normals/{id}", normal::remove)
        .get("/api/v1/maintenance", maintenance::list)
        .post("/api/v1/maintenance", maintenance::add)
        .delete("/api/v1/maintenance/{id}", maintenance::remove)
        .get("/api/v1/feedback", feedback::list)
        .delete("/api/v1/feedback/{id}", feedback::remove)
        .get("/api/v1/windows", windows::list)
        .get("/api/v1/streams", streams::list)
        .get("/api/v1/hosts", hosts::list)
        .get("/api/v1/detectors", detectors::list)
        .get("/api/v1/entries", entries::list)
        .get("/api/v1/templates", templates::list)
        .get("/api/v1/knowledge", knowledge::list)
        .post("/api/v1/knowledge", knowledge::add)
        .get("/api/v1/knowledge/{id}", knowledge::one)
        .put("/api/v1/knowledge/{id}", knowledge::replace)
        .delete("/api/v1/knowledge/{id}", knowledge::delete)
        .get("/api/v1/usage", usage::usage)
        .get("/api/v1/status", status::status)
}

/// A page in JSON: the rows under their name, and the cursor of the next page or null.
fn page<T: serde::Serialize, C: cursor::Place>(name: &str, page: &Page<T, C>) -> Value {
    json!({ name: page.items, "next_cursor": page.next.as_ref().map(cursor::write) })
}
