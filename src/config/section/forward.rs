//! `forward`: the Loki everything is passed on to.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use super::{Context, put};
use crate::{
    config::value::{Hidden, Size, Span},
    forward::{Auth, Settings},
    model::TenantId,
    net::{HeaderName, HeaderValue, Secret},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Raw {
    url: Option<String>,
    tenant: Option<String>,
    user: Option<String>,
    password: Option<Hidden>,
    password_file: Option<PathBuf>,
    bearer_token: Option<Hidden>,
    bearer_token_file: Option<PathBuf>,
    headers: BTreeMap<String, Hidden>,
    ca_file: Option<PathBuf>,
    selector: Option<String>,
    batch_bytes: Option<Size>,
    batch_entries: Option<Size>,
    timeout: Option<Span>,
    min_backoff: Option<Span>,
    max_backoff: Option<Span>,
}

pub(super) fn fill(raw: Raw, own: SocketAddr, context: &mut Context<'_>) -> Option<Settings> {
    let url = raw.url.clone().or_else(|| context.environment.get("LOKI_URL").map(str::to_owned))?;
    let mut settings = Settings::to(push_url(&url, own, context)?);
    settings.auth = auth(&raw, context);
    if let Some(tenant) = raw.tenant {
        match TenantId::parse(&tenant) {
            Ok(tenant) => settings.tenant = Some(tenant),
            Err(error) => context.wrong("forward.tenant", error, "use letters, digits and !-_.*'()"),
        }
    }
    for (name, value) in raw.headers {
        match (name.parse::<HeaderName>(), HeaderValue::from_str(&value.0)) {
            (Ok(name), Ok(value)) => settings.headers.push((name, value)),
            _ => context.wrong(
                "forward.headers",
                format!("'{name}' is no valid header"),
                "mind spaces and line ends",
            ),
        }
    }
    settings.ca_file = raw.ca_file;
    if let Some(selector) = raw.selector.filter(|text| !text.trim().is_empty()) {
        match selector.parse() {
            Ok(selector) => settings.selector = selector,
            Err(error) => context.wrong("forward.selector", error, r#"write {job="nginx", host=~"web-.*"}"#),
        }
    }
    put(&mut settings.batch_bytes, raw.batch_bytes);
    put(&mut settings.batch_entries, raw.batch_entries);
    put(&mut settings.timeout, raw.timeout);
    put(&mut settings.min_backoff, raw.min_backoff);
    put(&mut settings.max_backoff, raw.max_backoff);
    context.positive("forward.batch_bytes", settings.batch_bytes as u64);
    context.positive("forward.batch_entries", settings.batch_entries as u64);
    if settings.min_backoff > settings.max_backoff {
        context.wrong("forward.min_backoff", "is longer than forward.max_backoff", "lower it");
    }
    Some(settings)
}

/// A URL without a path gets Loki's push path. Forwarding to oneself would never end.
fn push_url(text: &str, own: SocketAddr, context: &mut Context<'_>) -> Option<String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let Some(rest) = rest.filter(|rest| !rest.is_empty() && !rest.starts_with('/')) else {
        let mend = "write http://loki:3100 or the full push URL";
        context.wrong("forward.url", format!("not an http(s) URL: '{text}'"), mend);
        return None;
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_own = host.parse::<SocketAddr>().is_ok_and(|addr| addr == own)
        || own.ip().is_loopback() && host == format!("localhost:{}", own.port());
    if is_own {
        context.wrong("forward.url", "is Sigyn's own address", "name the Loki behind it, or unset LOKI_URL");
        return None;
    }
    let is_bare = path.is_empty();
    Some(if is_bare { format!("{}/loki/api/v1/push", text.trim_end_matches('/')) } else { text.to_owned() })
}

fn auth(raw: &Raw, context: &mut Context<'_>) -> Auth {
    let password = context.secret("forward.password", raw.password.clone(), raw.password_file.clone());
    let bearer =
        context.secret("forward.bearer_token", raw.bearer_token.clone(), raw.bearer_token_file.clone());
    match (raw.user.clone(), password, bearer) {
        (Some(user), Some(password), None) => Auth::Basic { user, password: Secret::new(&password) },
        (None, None, Some(token)) => Auth::Bearer(Secret::new(&token)),
        (None, None, None) => Auth::None,
        (_, _, Some(_)) => {
            context.wrong(
                "forward.bearer_token",
                "user or password are set as well",
                "keep one way to authenticate",
            );
            Auth::None
        }
        _ => {
            context.wrong("forward.user", "user and password belong together", "set both");
            Auth::None
        }
    }
}
