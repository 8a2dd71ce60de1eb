//! A configured model: asks, tries again where that helps, and leaves a failing server alone.

use std::time::{Duration, Instant};

use super::{
    Answer, Ask, BreakerState, LlmError, Next, Provider, Settings, anthropic,
    breaker::Breaker,
    ollama,
    openai::{self, Quirks},
    tokens_at_most, wire,
};
use crate::{
    model::Timestamp,
    net::{self, Egress, HttpClient, HttpError, Request, Response},
    runtime::{Backoff, Clock},
};

/// Waits between tries: those of the providers' own clients.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// A server that wants a longer pause gets it, but nobody waits for it here: the question is asked again later.
const PATIENCE: Duration = Duration::from_secs(20);

/// Largest answer accepted; 8,192 tokens with their wrapping are about 60 KiB.
const RESPONSE_MAX: usize = 2 * 1024 * 1024;

/// Which of the two configured models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The small one that says whether there is anything to explain.
    Screen,
    /// The one that explains.
    Explain,
}

/// One HTTP exchange with the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// `ok` or the kind of failure.
    pub outcome: &'static str,
    /// Tokens sent, as far as the server says; estimated for an answer that was cut off or declined.
    pub input_tokens: u64,
    /// Tokens received, as far as the server says.
    pub output_tokens: u64,
    /// How long it took.
    pub duration: Duration,
}

/// What became of a question, with every exchange it took.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The answer, or the last failure.
    pub result: Result<Answer, LlmError>,
    /// Every exchange; none when the breaker was open.
    pub attempts: Vec<Attempt>,
}

/// A model to ask. Shared by reference; holds no lock while it waits.
#[derive(Debug)]
pub struct Model {
    settings: Settings,
    provider: Provider,
    client: HttpClient,
    quirks: Quirks,
    breaker: Breaker,
    clock: Clock,
}

impl Model {
    /// Takes the settings. Fails only when the base URL is none.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, HttpError> {
        let egress = Egress::to_host_of(settings.base_url()).ok_or(HttpError::BadUrl)?;
        let client = HttpClient::new(net::Settings {
            connect_timeout: settings.connect_timeout,
            total_timeout: settings.timeout,
            max_response_bytes: RESPONSE_MAX,
            ca_file: settings.ca_file.clone(),
            proxy: settings.proxy.clone(),
            egress,
        });
        Ok(Model {
            provider: settings.effective_provider(),
            quirks: Quirks::of(&settings),
            breaker: Breaker::new(settings.breaker_failures, settings.breaker_pause),
            client,
            settings,
            clock,
        })
    }

    /// Asks, with as many tries as configured.
    pub async fn ask(&self, tier: Tier, ask: &Ask<'_>) -> Asked {
        let model = self.model_name(tier);
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut attempts = Vec::new();
        let mut last = None;
        loop {
            if let Err(wait) = self.breaker.admit(self.clock.now()) {
                // What failed just now says more than that the breaker has opened over it.
                return Asked { result: Err(last.unwrap_or(LlmError::BreakerOpen(wait))), attempts };
            }
            let started = Instant::now();
            let result = self.exchange(model, ask).await;
            attempts.push(attempt(&result, ask, started.elapsed()));
            self.report(&result);
            let error = match result {
                Ok(answer) => return Asked { result: Ok(answer), attempts },
                Err(error) => error,
            };
            match self.wait_before_retry(&error, &mut backoff) {
                Some(wait) if attempts.len() < self.settings.tries.max(1) as usize => {
                    tokio::time::sleep(wait).await;
                    last = Some(error);
                }
                _ => return Asked { result: Err(error), attempts },
            }
        }
    }

    /// The configured model of a tier; the large one where no small one is configured.
    pub fn model_name(&self, tier: Tier) -> &str {
        match (tier, &self.settings.screen_model) {
            (Tier::Screen, Some(small)) => small,
            _ => &self.settings.model,
        }
    }

    /// Provider and model, as they stand in findings and bookings.
    pub fn full_name(&self, tier: Tier) -> String {
        format!("{}/{}", self.provider.as_str(), self.model_name(tier))
    }

    /// Whether a small model screens first.
    pub fn screens(&self) -> bool {
        self.settings.screen_model.as_ref().is_some_and(|small| !small.is_empty())
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What a call costs in millionths of a dollar; `None` when the model's price is not known.
    pub fn cost(&self, tier: Tier, input_tokens: u64, output_tokens: u64) -> Option<u64> {
        self.settings.prices.get(self.model_name(tier)).map(|price| price.of(input_tokens, output_tokens))
    }

    /// Where the breaker stands.
    pub fn breaker(&self, now: Timestamp) -> BreakerState {
        self.breaker.state(now)
    }

    /// How long the breaker still refuses calls.
    pub fn pause_left(&self, now: Timestamp) -> Option<Duration> {
        self.breaker.pause_left(now)
    }

    async fn exchange(&self, model: &str, ask: &Ask<'_>) -> Result<Answer, LlmError> {
        let response = self.client.send(self.request(model, ask)?).await?;
        if !(200..300).contains(&response.status) {
            return Err(wire::failure(&self.settings, model, &response, self.clock.now()));
        }
        self.read(&response, ask)
    }

    fn request(&self, model: &str, ask: &Ask<'_>) -> Result<Request, LlmError> {
        match self.provider {
            Provider::OpenAi => openai::request(&self.settings, model, &self.quirks, ask),
            Provider::Anthropic => anthropic::request(&self.settings, model, ask),
            Provider::Ollama => ollama::request(&self.settings, model, ask),
        }
    }

    fn read(&self, response: &Response, ask: &Ask<'_>) -> Result<Answer, LlmError> {
        match self.provider {
            Provider::OpenAi => openai::read(response),
            Provider::Anthropic => anthropic::read(response),
            Provider::Ollama => ollama::read(&self.settings, response, ask),
        }
    }

    fn report(&self, result: &Result<Answer, LlmError>) {
        match result {
            Err(error) if error.trips_breaker() => self.breaker.failed(self.clock.now()),
            // Any other answer shows that the server is well.
            _ => self.breaker.succeeded(),
        }
    }

    /// How long to wait before the same call again; `None` when that is of no use here.
    fn wait_before_retry(&self, error: &LlmError, backoff: &mut Backoff) -> Option<Duration> {
        if self.provider == Provider::OpenAi && self.quirks.learn(error) {
            return Some(Duration::ZERO);
        }
        let wait = match error.next() {
            Next::Retry(asked_for) => asked_for.unwrap_or(Duration::ZERO).max(backoff.next_wait()),
            Next::Shrink | Next::GiveUp | Next::Mend => return None,
        };
        (wait <= PATIENCE).then_some(wait)
    }
}

fn attempt(result: &Result<Answer, LlmError>, ask: &Ask<'_>, duration: Duration) -> Attempt {
    match result {
        Ok(answer) => Attempt {
            outcome: "ok",
            input_tokens: answer.input_tokens,
            output_tokens: answer.output_tokens,
            duration,
        },
        Err(error) => {
            let (input_tokens, output_tokens) = match error {
                // The question was read and is paid for, whatever became of the answer.
                LlmError::AnswerCut(output) => (sent(ask), *output),
                LlmError::Declined => (sent(ask), 0),
                LlmError::PromptCut { read, .. } => (*read, 0),
                _ => (0, 0),
            };
            Attempt { outcome: error.kind(), input_tokens, output_tokens, duration }
        }
    }
}

/// Tokens of a question of which the server has not said how many it read.
fn sent(ask: &Ask<'_>) -> u64 {
    tokens_at_most(ask.system.as_str()).saturating_add(tokens_at_most(ask.user.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        llm::fake::{FakeModel, Reply},
        redact::Redacted,
    };

    async fn ask(model: &Model) -> Asked {
        let schema = json!({"type": "object"});
        let (system, user) = (Redacted::literal("rules"), Redacted::literal("lines"));
        let ask = Ask { system, user, schema: &schema, schema_name: "claims", max_output_tokens: 50 };
        model.ask(Tier::Explain, &ask).await
    }

    fn model(settings: Settings) -> (Model, Clock) {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        (Model::new(settings, clock.clone()).unwrap(), clock)
    }

    fn outcomes(asked: &Asked) -> Vec<&'static str> {
        asked.attempts.iter().map(|attempt| attempt.outcome).collect()
    }

    fn busy(seconds: &str) -> Reply {
        Reply::Status(429, vec![("retry-after", seconds.to_owned())], String::new())
    }

    #[tokio::test]
    async fn every_provider_recovers_from_a_moment_of_trouble() {
        for provider in [Provider::OpenAi, Provider::Anthropic, Provider::Ollama] {
            for trouble in
                [busy("0"), Reply::Garbage, Reply::Hangs, Reply::Status(503, vec![], String::new())]
            {
                let fake = FakeModel::start(provider, [trouble.clone(), Reply::Says("{}".to_owned())]).await;
                let (model, _) = model(Settings { timeout: Duration::from_millis(100), ..fake.settings() });
                let asked = ask(&model).await;
                assert_eq!(asked.result.as_ref().unwrap().text, "{}", "{provider:?} {trouble:?}");
                assert_eq!(asked.attempts.len(), 2);
            }
        }
    }

    #[tokio::test]
    async fn hopeless_answers_are_not_asked_for_again() {
        let quota = r#"{"error":{"code":"insufficient_quota","message":"pay"}}"#;
        for (reply, expected) in [
            (Reply::Status(429, vec![], quota.to_owned()), "quota_spent"),
            (Reply::Status(401, vec![], String::new()), "unauthorised"),
            (Reply::Status(404, vec![], r#"{"error":"model not found"}"#.to_owned()), "model_missing"),
            (Reply::CutOff("{".to_owned()), "answer_cut"),
            (Reply::Refuses, "declined"),
            (busy("600"), "rate_limited"),
        ] {
            let fake = FakeModel::start(Provider::OpenAi, [reply]).await;
            assert_eq!(outcomes(&ask(&model(fake.settings()).0).await), [expected]);
        }
    }

    #[tokio::test]
    async fn the_question_of_an_answer_that_was_cut_off_is_booked_as_well() {
        let fake = FakeModel::start(Provider::OpenAi, [Reply::CutOff("{".to_owned()), Reply::Refuses]).await;
        let (model, _) = model(fake.settings());
        // "rules" and "lines" are five bytes each: two tokens at most.
        assert_eq!(ask(&model).await.attempts[0].input_tokens, 4);
        assert_eq!(ask(&model).await.attempts[0].input_tokens, 4);
    }

    #[tokio::test]
    async fn a_prompt_that_ollama_cut_is_no_answer() {
        let replies = [2_048, 1, 2_300].map(|read| Reply::ReadOnly(read, "{}".to_owned()));
        let fake = FakeModel::start(Provider::Ollama, replies).await;
        let (model, _) = model(Settings { num_ctx: 8_192, ..fake.settings() });
        let schema = json!({"type": "object"});
        // 15,000 bytes are at least 2,500 tokens; one half of a context of 4,096 was read.
        let user = crate::redact::Redactor::for_local_model().redact(&"word ".repeat(3_000));
        let system = Redacted::literal("rules");
        let ask = Ask { system, user, schema: &schema, schema_name: "claims", max_output_tokens: 50 };
        assert_eq!(outcomes(&model.ask(Tier::Explain, &ask).await), ["prompt_cut"]);
        for _ in 0..2 {
            assert_eq!(outcomes(&model.ask(Tier::Explain, &ask).await), ["ok"]);
        }
    }

    #[tokio::test]
    async fn the_breaker_opens_and_a_probe_closes_it() {
        let fake = FakeModel::start(Provider::OpenAi, []).await;
        let (model, clock) = model(Settings { breaker_failures: 2, ..fake.settings() });
        assert_eq!(outcomes(&ask(&model).await), ["server_error", "server_error"]);
        assert_eq!(model.breaker(clock.now()), BreakerState::Open);
        let refused = ask(&model).await;
        assert_eq!((refused.result.unwrap_err().kind(), refused.attempts.len()), ("breaker_open", 0));
        clock.advance(Duration::from_secs(61));
        fake.then(Reply::Says("{}".to_owned()));
        assert!(ask(&model).await.result.is_ok());
        assert_eq!(model.breaker(clock.now()), BreakerState::Closed);
    }

    #[test]
    fn debug_output_holds_no_key() {
        let settings = Settings { api_key: Some(net::Secret::new("sk-hidden")), ..Settings::default() };
        assert!(!format!("{:?}", model(settings).0).contains("hidden"));
    }
}
