//! One window's conversation with the model: cache, screening, explanation, one repair, one shorter prompt.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
};

use super::Explainer;
use crate::{
    analyze::{
        ask::{
            BadAnswer, Claim, Digest, claims, claims_schema, fenced, instructions, line_numbers, repair,
            screen_instructions, screen_schema, screening,
        },
        exhibit::Exhibit,
    },
    llm::{Answer, Ask, LlmError, Next, Tier},
    model::{ModelUse, NoteRef, Severity, WindowId},
    redact::{Redacted, Redactor, Session},
    store::{
        StoreError,
        model_call::{ModelCall, cached_answer},
    },
    telemetry::CountedCall,
};

/// Tokens a screening may have.
const SCREEN_OUTPUT: u32 = 300;

/// Why the conversation brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    /// The model gave no usable answer.
    #[error(transparent)]
    Model(#[from] LlmError),
    /// It answered twice with something else than JSON of the schema.
    #[error(transparent)]
    Answer(#[from] BadAnswer),
    /// The cache could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A conversation under way; what it took is kept whether it succeeds or not.
pub struct Talk<'a> {
    explainer: &'a Explainer,
    tenant: i64,
    window: WindowId,
    redactor: Redactor,
    /// Turns pseudonyms back.
    pub session: Session,
    /// Every exchange, to be booked.
    pub calls: Vec<ModelCall>,
    /// What it took.
    pub used: ModelUse,
    /// The operator's notes that were shown.
    pub notes: Vec<NoteRef>,
    /// The answer to be kept for equal digests.
    pub keep: Option<([u8; 32], String)>,
}

impl<'a> Talk<'a> {
    /// Begins a conversation about one window.
    pub fn new(explainer: &'a Explainer, tenant: i64, window: WindowId) -> Self {
        let redactor = match explainer.model.settings().sees_raw() {
            true => Redactor::for_local_model(),
            false => Redactor::new(explainer.settings.redact),
        };
        let used = ModelUse {
            model: explainer.model.full_name(Tier::Explain),
            prompt: explainer.settings.family.version(),
            cost_micros: Some(0),
            ..ModelUse::default()
        };
        let (calls, notes, keep) = (Vec::new(), Vec::new(), None);
        Talk { explainer, tenant, window, redactor, session: redactor.session(), calls, used, notes, keep }
    }

    /// The model's claims about the exhibit.
    pub async fn claims(&mut self, exhibit: &Exhibit) -> Result<Vec<Claim>, TalkError> {
        let budget = self.explainer.settings.prompt_tokens;
        let system = self.instructions();
        let digest = Digest::render(exhibit, &mut self.session, budget, system.len());
        let hash = digest.hash(&self.used.model, &system);
        self.used.digest = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        self.notes.clone_from(&digest.beside.shown);
        if let Some(claims) = self.cached(hash).await? {
            return Ok(claims);
        }
        let focused;
        let (exhibit, digest) = match self.screened(exhibit, &digest).await {
            Screened::Nothing => return Ok(Vec::new()),
            Screened::Everything => (exhibit, digest),
            Screened::These(lines) => {
                focused = moved_forward(exhibit, &lines);
                let digest = Digest::render(&focused, &mut self.session, budget, system.len());
                self.notes.clone_from(&digest.beside.shown);
                (&focused, digest)
            }
        };
        let (claims, answer) = match self.explained(&system, &digest).await {
            Err(TalkError::Model(error)) if error.next() == Next::Shrink => {
                let shorter = Digest::render(exhibit, &mut self.session, budget / 2, system.len());
                self.notes.clone_from(&shorter.beside.shown);
                self.explained(&system, &shorter).await?
            }
            other => other?,
        };
        self.used.claims = u32::try_from(claims.len()).unwrap_or(u32::MAX);
        self.keep = Some((hash, answer));
        Ok(claims)
    }

    fn instructions(&self) -> Redacted {
        let settings = &self.explainer.settings;
        instructions(settings.family, &settings.instructions, &settings.language, self.redactor)
    }

    async fn cached(&mut self, hash: [u8; 32]) -> Result<Option<Vec<Claim>>, TalkError> {
        let oldest = self.explainer.clock.now().minus(self.explainer.settings.cache_age);
        let answer = self.explainer.store.read(move |conn| cached_answer(conn, &hash, oldest)).await?;
        let Some(claims) = answer.and_then(|answer| claims(&answer).ok()) else { return Ok(None) };
        self.used.cached = true;
        self.used.claims = u32::try_from(claims.len()).unwrap_or(u32::MAX);
        self.explainer.metrics.count_cached();
        Ok(Some(claims))
    }

    /// Asks the small model. Whatever goes wrong there, the large one is asked; and what rules found grave is always
    /// explained: a line that talks the small model round gains nothing.
    async fn screened(&mut self, exhibit: &Exhibit, digest: &Digest) -> Screened {
        if !self.explainer.model.screens() {
            return Screened::Everything;
        }
        let schema = screen_schema();
        let user = fenced(digest, nonce());
        let ask = Ask {
            system: screen_instructions(),
            user,
            schema: &schema,
            schema_name: "screening",
            max_output_tokens: SCREEN_OUTPUT,
        };
        let Ok(answer) = self.ask(Tier::Screen, "screen", &ask).await else { return Screened::Everything };
        let Ok(verdict) = screening(&answer.text) else { return Screened::Everything };
        let grave = exhibit.known.iter().any(|known| known.draft.severity >= Severity::High);
        match (verdict.worth_explaining || grave, line_numbers(&verdict.references)) {
            (false, _) => Screened::Nothing,
            (true, lines) if lines.is_empty() => Screened::Everything,
            (true, lines) => Screened::These(lines),
        }
    }

    async fn explained(
        &mut self,
        system: &Redacted,
        digest: &Digest,
    ) -> Result<(Vec<Claim>, String), TalkError> {
        let schema = claims_schema();
        let max_output_tokens = self.explainer.model.settings().max_output_tokens;
        let user = fenced(digest, nonce());
        let ask = Ask {
            system: system.clone(),
            user: user.clone(),
            schema: &schema,
            schema_name: "claims",
            max_output_tokens,
        };
        let answer = self.ask(Tier::Explain, "explain", &ask).await?;
        let problem = match claims(&answer.text) {
            Ok(claims) => return Ok((claims, answer.text)),
            Err(problem) => problem,
        };
        let again = repair(&user, &problem, self.redactor);
        let ask = Ask {
            system: system.clone(),
            user: again,
            schema: &schema,
            schema_name: "claims",
            max_output_tokens,
        };
        let answer = self.ask(Tier::Explain, "repair", &ask).await?;
        Ok((claims(&answer.text)?, answer.text))
    }

    async fn ask(&mut self, tier: Tier, purpose: &'static str, ask: &Ask<'_>) -> Result<Answer, LlmError> {
        let model = &self.explainer.model;
        let asked = model.ask(tier, ask).await;
        let at = self.explainer.clock.now();
        for attempt in &asked.attempts {
            let cost_micros = model.cost(tier, attempt.input_tokens, attempt.output_tokens);
            self.used.calls = self.used.calls.saturating_add(1);
            self.used.input_tokens = self.used.input_tokens.saturating_add(attempt.input_tokens);
            self.used.output_tokens = self.used.output_tokens.saturating_add(attempt.output_tokens);
            // One call without a known price makes the sum unknown.
            self.used.cost_micros =
                self.used.cost_micros.zip(cost_micros).map(|(sum, one)| sum.saturating_add(one));
            self.explainer.metrics.count_call(CountedCall {
                tier: purpose,
                outcome: attempt.outcome,
                input_tokens: attempt.input_tokens,
                output_tokens: attempt.output_tokens,
                cost_micros,
                duration: attempt.duration,
            });
            self.calls.push(ModelCall {
                at,
                tenant: self.tenant,
                window: Some(self.window),
                model: model.full_name(tier),
                tier: purpose.to_owned(),
                outcome: attempt.outcome.to_owned(),
                input_tokens: attempt.input_tokens,
                output_tokens: attempt.output_tokens,
                cost_micros,
                duration: attempt.duration,
            });
        }
        asked.result
    }
}

enum Screened {
    Nothing,
    Everything,
    These(BTreeSet<u32>),
}

/// The templates with the named lines first: they are the last to be left out.
fn moved_forward(exhibit: &Exhibit, lines: &BTreeSet<u32>) -> Exhibit {
    let mut moved = exhibit.clone();
    moved.items.sort_by_key(|item| !item.exemplars.iter().any(|quoted| lines.contains(&quoted.reference)));
    moved
}

/// A number that authors of log lines cannot know: a fresh `RandomState` is keyed by the system.
fn nonce() -> u64 {
    RandomState::new().hash_one(0_u8)
}
