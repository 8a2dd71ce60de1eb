//! `llm`: which model to ask, how, and how often.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{Context, put};
use crate::{
    analyze::{ask::Family, explain},
    config::value::{Hidden, Size, Span},
    llm::{Price, Provider, Settings},
    net::Secret,
    redact,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Raw {
    provider: Option<String>,
    base_url: Option<String>,
    model: Option<String>,
    screen_model: Option<String>,
    api_key: Option<Hidden>,
    api_key_file: Option<PathBuf>,
    connect_timeout: Option<Span>,
    timeout: Option<Span>,
    tries: Option<u32>,
    max_output_tokens: Option<u32>,
    num_ctx: Option<u32>,
    temperature: Option<f64>,
    prices: BTreeMap<String, RawPrice>,
    local_raw: Option<bool>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
    breaker_failures: Option<u32>,
    breaker_pause: Option<Span>,
    family: Option<String>,
    instructions: Option<String>,
    language: Option<String>,
    prompt_tokens: Option<u64>,
    attempts: Option<u32>,
    patience: Option<Span>,
    backlog: Option<Size>,
    cache_age: Option<Span>,
    budget: RawBudget,
}

/// Dollars per million tokens.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawPrice {
    input: f64,
    output: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawBudget {
    calls_per_hour: Option<u64>,
    calls_per_day: Option<u64>,
    tokens_per_hour: Option<Size>,
    tokens_per_day: Option<Size>,
    dollars_per_day: Option<f64>,
}

/// Small models that hold to a schema; what is asked when only a key is known.
const OPENAI_MODEL: &str = "gpt-4o-mini";
const ANTHROPIC_MODEL: &str = "claude-haiku-4-5";

pub(super) fn fill(
    mut raw: Raw,
    redact: redact::Settings,
    dedup: Duration,
    context: &mut Context<'_>,
) -> (Option<Settings>, explain::Settings) {
    let explain = explain_settings(&mut raw, redact, dedup, context);
    let Some(provider) = provider(raw.provider.as_deref(), context) else {
        let is_meant = ["llm.model", "llm.base_url", "llm.api_key"].iter().any(|key| context.root.has(key));
        if is_meant && raw.provider.is_none() {
            context.wrong("llm.provider", "is missing", "write openai (or compatible), anthropic or ollama");
        }
        return (None, explain);
    };
    (Some(model_settings(raw, provider, context)), explain)
}

/// The provider written, or the one whose well-known variables are set.
fn provider(written: Option<&str>, context: &mut Context<'_>) -> Option<Provider> {
    match written {
        Some("none") => None,
        Some(name) => {
            let provider = Provider::parse(name);
            if provider.is_none() {
                let problem = format!("unknown provider '{name}'");
                context.wrong(
                    "llm.provider",
                    problem,
                    "write openai (or compatible), anthropic, ollama or none",
                );
            }
            provider
        }
        None => [
            ("ANTHROPIC_API_KEY", Provider::Anthropic),
            ("OPENAI_API_KEY", Provider::OpenAi),
            ("LLM_BASE_URL", Provider::OpenAi),
            ("OLLAMA_MODEL", Provider::Ollama),
        ]
        .into_iter()
        .find_map(|(name, provider)| context.environment.get(name).map(|_| provider)),
    }
}

fn model_settings(raw: Raw, provider: Provider, context: &mut Context<'_>) -> Settings {
    let known = |name: &str| context.environment.get(name).map(str::to_owned);
    let (key_name, model_name, default_model) = match provider {
        Provider::OpenAi => ("OPENAI_API_KEY", "LLM_MODEL", Some(OPENAI_MODEL)),
        Provider::Anthropic => ("ANTHROPIC_API_KEY", "LLM_MODEL", Some(ANTHROPIC_MODEL)),
        Provider::Ollama => ("", "OLLAMA_MODEL", None),
    };
    let base_url = raw.base_url.or_else(|| known("LLM_BASE_URL")).unwrap_or_default();
    let default_model = default_model.filter(|_| base_url.is_empty());
    let model = raw.model.or_else(|| known(model_name)).or_else(|| default_model.map(str::to_owned));
    let env_key = known(key_name);
    let api_key = context.secret("llm.api_key", raw.api_key, raw.api_key_file).or(env_key);
    if model.is_none() {
        context.wrong("llm.model", "is missing", format!("name the model, or set {model_name}"));
    }
    if api_key.is_none() && base_url.is_empty() && provider != Provider::Ollama {
        context.wrong("llm.api_key", "is missing", format!("set it, llm.api_key_file, or {key_name}"));
    }
    if !base_url.is_empty() && !base_url.starts_with("http://") && !base_url.starts_with("https://") {
        context.wrong("llm.base_url", format!("not an http(s) URL: '{base_url}'"), "write https://host/v1");
    }
    let mut settings = Settings {
        provider,
        base_url,
        model: model.unwrap_or_default(),
        screen_model: raw.screen_model,
        api_key: api_key.map(|key| Secret::new(&key)),
        temperature: raw.temperature,
        ca_file: raw.ca_file,
        proxy: raw.proxy,
        ..Settings::default()
    };
    put(&mut settings.connect_timeout, raw.connect_timeout);
    put(&mut settings.timeout, raw.timeout);
    put(&mut settings.tries, raw.tries);
    put(&mut settings.max_output_tokens, raw.max_output_tokens);
    put(&mut settings.num_ctx, raw.num_ctx);
    put(&mut settings.local_raw, raw.local_raw);
    put(&mut settings.breaker_failures, raw.breaker_failures);
    put(&mut settings.breaker_pause, raw.breaker_pause);
    settings.prices = raw
        .prices
        .into_iter()
        .map(|(model, price)| {
            (model, Price { input_micros: micros(price.input), output_micros: micros(price.output) })
        })
        .collect();
    context.positive("llm.tries", settings.tries.into());
    context.positive("llm.max_output_tokens", settings.max_output_tokens.into());
    settings
}

fn explain_settings(
    raw: &mut Raw,
    redact: redact::Settings,
    dedup: Duration,
    context: &mut Context<'_>,
) -> explain::Settings {
    let mut settings = explain::Settings { redact, dedup, ..explain::Settings::default() };
    if let Some(name) = raw.family.take() {
        match Family::parse(&name) {
            Some(family) => settings.family = family,
            None => {
                let problem = format!("unknown family '{name}'");
                context.wrong("llm.family", problem, "write general, security or performance");
            }
        }
    }
    put(&mut settings.instructions, raw.instructions.take());
    put(&mut settings.language, raw.language.take());
    put(&mut settings.prompt_tokens, raw.prompt_tokens);
    put(&mut settings.attempts, raw.attempts);
    put(&mut settings.patience, raw.patience);
    put(&mut settings.backlog, raw.backlog);
    context.positive("llm.backlog", settings.backlog as u64);
    put(&mut settings.cache_age, raw.cache_age);
    // A limit of 0 is none.
    let limit = |slot: &mut Option<u64>, given: Option<u64>| {
        if let Some(given) = given {
            *slot = Some(given).filter(|&limit| limit > 0);
        }
    };
    let budget = &mut settings.budget;
    limit(&mut budget.calls_per_hour, raw.budget.calls_per_hour);
    limit(&mut budget.calls_per_day, raw.budget.calls_per_day);
    limit(&mut budget.tokens_per_hour, raw.budget.tokens_per_hour.map(Into::into));
    limit(&mut budget.tokens_per_day, raw.budget.tokens_per_day.map(Into::into));
    limit(&mut budget.cost_micros_per_day, raw.budget.dollars_per_day.map(micros));
    settings
}

/// Dollars as millionths; negative and absurd amounts saturate.
fn micros(dollars: f64) -> u64 {
    (dollars * 1_000_000.0).round() as u64
}
