//! Which model to ask, and how.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::net::{Secret, host_of};

/// How a model is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// OpenAI's chat completions, and the many servers that speak the same (llama.cpp, vLLM, LM Studio, …).
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Ollama's own chat.
    Ollama,
}

impl Provider {
    /// The name used in configuration, metrics and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Provider::OpenAi => "openai",
            Provider::Anthropic => "anthropic",
            Provider::Ollama => "ollama",
        }
    }

    /// Reads the name; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        [Provider::OpenAi, Provider::Anthropic, Provider::Ollama].into_iter().find(|p| p.as_str() == text)
    }

    /// Where the provider lives unless configured otherwise.
    pub const fn default_base_url(self) -> &'static str {
        match self {
            Provider::OpenAi => "https://api.openai.com/v1",
            Provider::Anthropic => "https://api.anthropic.com",
            Provider::Ollama => "http://127.0.0.1:11434",
        }
    }
}

/// What a model charges, in millionths of a dollar per million tokens (0.15 dollars are 150,000).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// For a million tokens sent.
    pub input_micros: u64,
    /// For a million tokens received.
    pub output_micros: u64,
}

impl Price {
    /// The price of one call in millionths of a dollar, rounded up so that no call is free.
    pub fn of(self, input_tokens: u64, output_tokens: u64) -> u64 {
        let input = u128::from(input_tokens) * u128::from(self.input_micros);
        let output = u128::from(output_tokens) * u128::from(self.output_micros);
        u64::try_from((input + output).div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// What the operator may set about the connection to a model.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which API. A base URL at Anthropic's host is always spoken to natively, because its OpenAI-like API ignores schemas.
    pub provider: Provider,
    /// Base URL; the provider's own when empty.
    pub base_url: String,
    /// The model that explains.
    pub model: String,
    /// A small model that says first whether there is anything to explain; none asks the large one at once.
    pub screen_model: Option<String>,
    /// API key; local servers need none.
    pub api_key: Option<Secret>,
    /// Time to get a connection.
    pub connect_timeout: Duration,
    /// Time for one answer; local models on a small machine are slow.
    pub timeout: Duration,
    /// Tries per call, the first included.
    pub tries: u32,
    /// Tokens an answer may have.
    pub max_output_tokens: u32,
    /// Context window asked of Ollama; its default would cut the prompt without a word.
    pub num_ctx: u32,
    /// Sampling temperature; not sent when none (some models refuse it).
    pub temperature: Option<f64>,
    /// Prices by model name. A model without one counts tokens and has no known cost.
    pub prices: BTreeMap<String, Price>,
    /// A model on this machine sees raw text: nothing masked. Ignored for any other host.
    pub local_raw: bool,
    /// Further trusted certificates (PEM).
    pub ca_file: Option<PathBuf>,
    /// Proxy for the calls.
    pub proxy: Option<String>,
    /// Failed calls in a row after which the model is left alone for a while.
    pub breaker_failures: u32,
    /// How long it is left alone before one call probes it.
    pub breaker_pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            provider: Provider::OpenAi,
            base_url: String::new(),
            model: String::new(),
            screen_model: None,
            api_key: None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(120),
            tries: 3,
            max_output_tokens: 2_048,
            num_ctx: 16_384,
            temperature: None,
            prices: BTreeMap::new(),
            local_raw: false,
            ca_file: None,
            proxy: None,
            breaker_failures: 5,
            breaker_pause: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// The base URL in effect, without a slash at its end.
    pub fn base_url(&self) -> &str {
        let url = self.base_url.trim();
        let url = if url.is_empty() { self.provider.default_base_url() } else { url };
        url.trim_end_matches('/')
    }

    /// The API in effect.
    pub fn effective_provider(&self) -> Provider {
        match host_of(self.base_url()).as_deref() {
            Some("api.anthropic.com") => Provider::Anthropic,
            _ => self.provider,
        }
    }

    /// Whether the model may see raw text: configured, and on this very machine.
    pub fn sees_raw(&self) -> bool {
        self.local_raw && self.proxy.is_none() && crate::net::is_loopback(self.base_url())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anthropics_host_is_spoken_to_natively_whatever_was_configured() {
        let settings =
            Settings { base_url: "https://api.anthropic.com/v1/".to_owned(), ..Settings::default() };
        assert_eq!(settings.effective_provider(), Provider::Anthropic);
        assert_eq!(Settings::default().effective_provider(), Provider::OpenAi);
    }

    #[test]
    fn raw_text_stays_on_this_machine() {
        let at = |url: &str| Settings { base_url: url.to_owned(), local_raw: true, ..Settings::default() };
        assert!(at("http://127.0.0.1:11434").sees_raw());
        assert!(!at("http://10.0.0.5:11434").sees_raw());
        assert!(!Settings { proxy: Some("http://p".to_owned()), ..at("http://localhost") }.sees_raw());
        assert!(!Settings { local_raw: false, ..at("http://localhost") }.sees_raw());
    }

    #[test]
    fn a_call_is_never_rounded_down_to_nothing() {
        let price = Price { input_micros: 150_000, output_micros: 600_000 };
        assert_eq!(price.of(1, 0), 1);
        assert_eq!(price.of(1_000_000, 500_000), 150_000 + 300_000);
    }
}
