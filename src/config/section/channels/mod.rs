//! `channels`: where messages go. A list of named channels, each with the keys of its type; well-known variables of the
//! environment make channels by themselves.

mod environment;
mod service;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Context, put};
use crate::{
    config::value::{Hidden, Span},
    notify::{Language, Service, Settings, Template},
};

/// One channel as written: the keys of all types. Which belong to which is in [`service::KEYS`].
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Raw {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    language: Option<String>,
    template: Option<String>,
    timeout: Option<Span>,
    burst: Option<u32>,
    per_minute: Option<u32>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
    url: Option<Hidden>,
    url_file: Option<PathBuf>,
    token: Option<Hidden>,
    token_file: Option<PathBuf>,
    chat_id: Option<String>,
    thread_id: Option<String>,
    api_url: Option<String>,
    server: Option<String>,
    tls: Option<String>,
    user: Option<String>,
    password: Option<Hidden>,
    password_file: Option<PathBuf>,
    from: Option<String>,
    to: Option<Vec<String>>,
    secret: Option<Hidden>,
    secret_file: Option<PathBuf>,
    previous_secret: Option<Hidden>,
    previous_secret_file: Option<PathBuf>,
    keyword: Option<String>,
    topic: Option<Hidden>,
    topic_file: Option<PathBuf>,
    user_key: Option<Hidden>,
    user_key_file: Option<PathBuf>,
    emergency: Option<bool>,
    routing_key: Option<Hidden>,
    routing_key_file: Option<PathBuf>,
    hold: Option<Span>,
    body: Option<String>,
    content_type: Option<String>,
    headers: BTreeMap<String, Hidden>,
    urls: Option<Hidden>,
    urls_file: Option<PathBuf>,
    tag: Option<String>,
}

/// Keys that every type takes.
const COMMON: [&str; 9] =
    ["name", "type", "language", "template", "timeout", "burst", "per_minute", "ca_file", "proxy"];

/// The channels written and those that the environment makes.
pub(super) fn fill(raw: Vec<Raw>, warnings: &mut Vec<String>, context: &mut Context<'_>) -> Vec<Settings> {
    let mut channels: Vec<Settings> = Vec::new();
    for (at, raw) in raw.into_iter().enumerate() {
        let key = format!("channels[{at}]");
        let Some(channel) = channel(raw, &key, context) else { continue };
        if channels.iter().any(|known| known.name == channel.name) {
            let problem = format!("another channel is called '{}' too", channel.name);
            context.wrong(&format!("{key}.name"), problem, "give every channel a name of its own");
        }
        channels.push(channel);
    }
    for service in environment::services(context, warnings) {
        // What was written goes before what the environment suggests.
        if !channels.iter().any(|known| known.name == service.kind()) {
            channels.push(Settings::new(service.kind(), service));
        }
    }
    channels
}

fn channel(mut raw: Raw, key: &str, context: &mut Context<'_>) -> Option<Settings> {
    let kinds = Service::KINDS.join(", ");
    let Some(kind) = raw.kind.take() else {
        context.wrong(&format!("{key}.type"), "is missing", format!("write one of: {kinds}"));
        return None;
    };
    let Some((kind, own)) = service::KEYS.iter().find(|(known, _)| *known == kind) else {
        context.wrong(
            &format!("{key}.type"),
            format!("unknown type '{kind}'"),
            format!("write one of: {kinds}"),
        );
        return None;
    };
    foreign_keys(key, kind, own, context);
    let name = raw.name.take().filter(|name| !name.trim().is_empty()).unwrap_or_else(|| (*kind).to_owned());
    let language = raw.language.take().and_then(|name| language(&name, key, context));
    let template = raw.template.take().and_then(|text| template(&text, &format!("{key}.template"), context));
    let (ca_file, proxy) = (raw.ca_file.take(), raw.proxy.take());
    let (timeout, burst, per_minute) = (raw.timeout, raw.burst, raw.per_minute);
    transport(ca_file.as_deref(), proxy.as_deref().filter(|_| *kind == "email"), key, context);
    let service = service::service(kind, raw, key, context)?;
    let mut settings = Settings { language, template, ..Settings::new(name, service) };
    put(&mut settings.timeout, timeout);
    (settings.ca_file, settings.proxy) = (ca_file, proxy);
    if burst.is_some() || per_minute.is_some() {
        let mut limits = settings.service.limits();
        put(&mut limits.burst, burst);
        put(&mut limits.per_minute, per_minute);
        context.positive(&format!("{key}.burst"), limits.burst.into());
        context.positive(&format!("{key}.per_minute"), limits.per_minute.into());
        settings.limits = Some(limits);
    }
    Some(settings)
}

/// A key of another type would be ignored without a word.
fn foreign_keys(key: &str, kind: &str, own: &[&str], context: &mut Context<'_>) {
    let mut others: Vec<&str> = service::KEYS.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    others.sort_unstable();
    others.dedup();
    for other in others.into_iter().filter(|other| !own.contains(other)) {
        let written = format!("{key}.{other}");
        if context.root.has(&written) {
            let all: Vec<&str> = own.iter().chain(&COMMON).copied().collect();
            context.wrong(&written, format!("is no key of {kind}"), format!("it takes: {}", all.join(", ")));
        }
    }
}

fn transport(ca_file: Option<&Path>, proxy_of_mail: Option<&str>, key: &str, context: &mut Context<'_>) {
    if let Some(path) = ca_file
        && let Err(error) = std::fs::File::open(path)
    {
        let problem = format!("cannot read {}: {error}", path.display());
        context.wrong(&format!("{key}.ca_file"), problem, "check path and rights");
    }
    if proxy_of_mail.is_some() {
        let mend = "leave it out, or name a relay as server";
        context.wrong(&format!("{key}.proxy"), "mail goes through no proxy", mend);
    }
}

fn language(name: &str, key: &str, context: &mut Context<'_>) -> Option<Language> {
    let language = Language::parse(name);
    if language.is_none() {
        context.wrong(&format!("{key}.language"), format!("unknown language '{name}'"), "write en or zh");
    }
    language
}

fn template(text: &str, key: &str, context: &mut Context<'_>) -> Option<Template> {
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(error) => {
            context.wrong(key, error, format!("known are: {}", Template::PLACEHOLDERS.join(", ")));
            None
        }
    }
}

#[cfg(test)]
mod tests;
