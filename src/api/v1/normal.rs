//! Teaching what is normal: `POST /api/v1/findings/{id}/normal`, `GET /api/v1/normals`, `DELETE /api/v1/normals/{id}`.
//!
//! A normal is taught from a finding: on the templates of its lines, and on its stream, its host or everywhere. With
//! `preview=true` nothing is changed: the answer says which stored findings it would have hidden.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    analyze::{
        mine,
        taught::{Normals, Subject},
    },
    api::{
        Api, body,
        caller::{Admin, Reader},
        error::ApiError,
        params::Params,
        v1::untaught,
    },
    model::{Finding, FindingId, FindingStatus, Labels, Normal, Timestamp},
    store::{
        Change,
        finding::{self, FindingChange, FindingFilter},
        incident, normal,
    },
    wire::envelope,
};

/// How far a preview looks back.
const PREVIEW: Duration = Duration::from_secs(7 * 86_400);
/// Findings a preview looks at.
const PREVIEW_MAX: usize = 2_000;
/// Labels that name a host.
const HOST_LABELS: [&str; 7] = ["host", "hostname", "instance", "nodename", "node", "node_name", "server"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Wanted {
    scope: Scope,
    with_source: bool,
    expires_in: Option<String>,
    note: Option<String>,
}

/// Where a normal holds.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scope {
    #[default]
    Stream,
    Host,
    Everywhere,
}

/// Teaches a normal; the finding is resolved.
pub async fn teach(
    State(api): State<Api>,
    Admin(tenant): Admin,
    Path(id): Path<String>,
    mut params: Params,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let is_preview = params.one("preview", "true or false", |text| text.parse().ok())?.unwrap_or(false);
    params.end()?;
    let wanted: Wanted = body::json(request).await?;
    body::check_note(wanted.note.as_deref())?;
    let (number, now) = (api.query.tenant_number(&tenant), api.query.now());
    let finding = api.query.finding(&tenant, FindingId(id)).await?;
    let finding = finding.ok_or(ApiError::NotFound("finding"))?;
    let new = normal_of(&finding, wanted, now)?;
    if is_preview {
        let filter =
            FindingFilter { from: Some(now.minus(PREVIEW)), limit: PREVIEW_MAX, ..FindingFilter::default() };
        let page = api.query.findings(&tenant, filter).await?;
        let is_complete = page.next.is_none();
        let hidden = would_hide(number, &new, &page.items, now);
        let answer = json!({ "normal": new, "would_hide": hidden, "is_complete": is_complete });
        return Ok((StatusCode::OK, Json(answer)));
    }
    let (stored, is_open) = (new.clone(), finding.status.may_become(FindingStatus::Resolved));
    let (key, incident) = (finding.id.clone(), finding.incident_id.clone());
    let has_room = api.store.write(move |tx| {
        if !normal::add(tx, number, &stored)? {
            return Ok(false);
        }
        if is_open {
            let over = FindingChange { status: Some(FindingStatus::Resolved), note: None };
            finding::change(tx, number, &key, &over, now)?;
            if let Some(incident) = &incident {
                incident::follow_findings(tx, number, incident, "person", now)?;
            }
        }
        Ok(true)
    });
    if !has_room.await? {
        return Err(ApiError::TooMany { what: "normals", limit: normal::NORMALS_MAX });
    }
    api.store.announce(Change::Taught);
    api.store.announce(Change::Finding { tenant: number, id: finding.id });
    if let Some(id) = finding.incident_id {
        api.store.announce(Change::Incident { tenant: number, id });
    }
    Ok((StatusCode::CREATED, Json(json!(new))))
}

/// Lists normals with what they have hidden.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    params.end()?;
    Ok(Json(json!({ "normals": api.query.normals(&tenant).await? })))
}

/// Takes a normal back.
pub async fn remove(
    State(api): State<Api>,
    Admin(tenant): Admin,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode, ApiError> {
    params.end()?;
    untaught::remove(&api, &tenant, "normal", move |tx, number| normal::remove(tx, number, &id)).await
}

/// The normal a finding teaches.
fn normal_of(finding: &Finding, wanted: Wanted, now: Timestamp) -> Result<Normal, ApiError> {
    let text = |template: &Option<String>, line: &str| {
        template.clone().unwrap_or_else(|| mine::body(&envelope::open(line.as_bytes()).message).to_owned())
    };
    let expires = wanted.expires_in.as_deref().map(|text| body::span("expires_in", text)).transpose()?;
    let named = |set: &BTreeSet<String>| if wanted.with_source { set.clone() } else { BTreeSet::new() };
    Ok(Normal {
        id: normal::new_id(now),
        finding: finding.id.clone(),
        selector: selector(finding, wanted.scope)?,
        patterns: finding.evidence.iter().map(|line| text(&line.template, &line.line)).collect(),
        source_ips: named(&finding.source_ips),
        users: named(&finding.users),
        severity: finding.severity,
        note: wanted.note.filter(|note| !note.is_empty()),
        created_at: now,
        expires_at: expires.map(|expires| now.plus(expires)),
        hidden: 0,
        last_hidden_at: None,
    })
}

/// The labels that all lines of the finding have in common, as far as the scope asks for them.
fn selector(finding: &Finding, scope: Scope) -> Result<String, ApiError> {
    let mut streams = finding.evidence.iter().map(|line| &line.stream);
    let first = streams.next().ok_or_else(|| ApiError::BadBody("the finding has no lines".to_owned()))?;
    let rest: Vec<&Labels> = streams.collect();
    let common =
        first.iter().filter(|(name, value)| rest.iter().all(|labels| labels.get(name) == Some(value)));
    let wanted: Vec<(&str, &str)> = match scope {
        Scope::Everywhere => return Ok("{}".to_owned()),
        Scope::Stream => common.collect(),
        Scope::Host => common.filter(|(name, _)| HOST_LABELS.contains(name)).take(1).collect(),
    };
    if wanted.is_empty() {
        let problem = "'scope': the lines of the finding have no such labels in common; choose a wider scope";
        return Err(ApiError::BadBody(problem.to_owned()));
    }
    Labels::from_pairs(wanted)
        .map(|labels| labels.to_string())
        .map_err(|error| ApiError::BadBody(error.to_string()))
}

/// The findings that a normal would have hidden.
fn would_hide(tenant: i64, new: &Normal, findings: &[Finding], now: Timestamp) -> Vec<Value> {
    let normals = Normals::new([(tenant, new.clone())]);
    let is_hidden = |finding: &&Finding| {
        let subject = Subject {
            severity: finding.severity,
            evidence: &finding.evidence,
            source_ips: &finding.source_ips,
            users: &finding.users,
        };
        normals.hide(tenant, subject, now).is_some()
    };
    let shown = |finding: &Finding| {
        json!({
            "id": finding.id,
            "title": finding.title,
            "severity": finding.severity,
            "last_seen": finding.last_seen,
        })
    };
    findings.iter().filter(is_hidden).map(shown).collect()
}
