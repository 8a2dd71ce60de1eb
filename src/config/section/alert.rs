//! `alert`: who is told what.

use serde::Deserialize;

use super::{Context, put};
use crate::{
    alert::{Route, Settings},
    config::value::Span,
    model::{Category, Severity, TenantId},
    notify,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Raw {
    wait: Option<Span>,
    routes: Vec<RawRoute>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawRoute {
    channels: Vec<String>,
    severity: Option<String>,
    categories: Vec<String>,
    hosts: Vec<String>,
    tenants: Vec<String>,
    selector: Option<String>,
    resolved: Option<bool>,
    repeat: Option<Span>,
}

/// Routes may name the channels there are.
pub(super) fn fill(raw: Raw, channels: &[notify::Settings], context: &mut Context<'_>) -> Settings {
    let mut settings = Settings::default();
    put(&mut settings.wait, raw.wait);
    for (at, raw) in raw.routes.into_iter().enumerate() {
        settings.routes.push(route(raw, &format!("alert.routes[{at}]"), channels, context));
    }
    settings
}

fn route(raw: RawRoute, key: &str, channels: &[notify::Settings], context: &mut Context<'_>) -> Route {
    let mut route = Route { channels: raw.channels, hosts: raw.hosts, ..Route::default() };
    for name in &route.channels {
        if !channels.iter().any(|channel| channel.name == *name) {
            let known: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
            let mend = format!("there are: {}", known.join(", "));
            context.wrong(&format!("{key}.channels"), format!("there is no channel '{name}'"), mend);
        }
    }
    if let Some(name) = raw.severity {
        match Severity::parse(&name) {
            Some(severity) => route.severity = severity,
            None => {
                let mend = "write info, low, medium, high or critical";
                context.wrong(&format!("{key}.severity"), format!("unknown severity '{name}'"), mend);
            }
        }
    }
    for name in raw.categories {
        match Category::parse(&name) {
            Some(category) => route.categories.push(category),
            None => {
                let mend = "write one such as brute_force; the API document lists them";
                context.wrong(&format!("{key}.categories"), format!("unknown category '{name}'"), mend);
            }
        }
    }
    for name in raw.tenants {
        match TenantId::parse(&name) {
            Ok(tenant) => route.tenants.push(tenant),
            Err(error) => {
                context.wrong(&format!("{key}.tenants"), error, "use letters, digits and !-_.*'()");
            }
        }
    }
    if let Some(selector) = raw.selector.filter(|text| !text.trim().is_empty()) {
        match selector.parse() {
            Ok(selector) => route.selector = Some(selector),
            Err(error) => {
                let mend = r#"write {job="nginx", host=~"web-.*"}"#;
                context.wrong(&format!("{key}.selector"), error, mend);
            }
        }
    }
    put(&mut route.resolved, raw.resolved);
    put(&mut route.repeat, raw.repeat);
    route
}
