//! Turns an exhibit into a question and an answer into claims. In: raw lines. Out: `Redacted` text only, within the
//! token budget, log text fenced and marked as data. What the model says comes back as an untrusted [`Claim`].

mod claim;
mod context;
mod digest;
mod family;
mod schema;

pub use claim::{BadAnswer, Claim, Screening, claims, line_numbers, number_of, screening};
pub use digest::Digest;
pub use family::Family;
pub use schema::{claims_schema, screen_schema};

use crate::redact::{Redacted, Redactor};

/// Changes whenever the wording or the schema does: old answers are then not used again.
pub const PROMPT_VERSION: &str = "2";

const RULES: &str = include_str!("rules.txt");
const SCREEN: &str = include_str!("screen.txt");

/// The instructions for explaining.
pub fn instructions(family: Family, own: &str, language: &str, redactor: Redactor) -> Redacted {
    let mut text = Redacted::literal(RULES);
    text.push_literal(family.text());
    if !own.trim().is_empty() {
        text.push_literal("\nFrom the operator of this server:\n");
        text.push(&redactor.redact(own));
    }
    text.push_literal("\nWrite title, explanation, recommendation and root_cause in this language: ");
    text.push(&redactor.redact(language_name(language)));
    text.push_literal(". Names of severities and categories stay as in the schema.\n");
    text
}

/// The instructions for screening.
pub fn screen_instructions() -> Redacted {
    Redacted::literal(SCREEN)
}

/// The material, between marks with a number that its authors could not know.
pub fn fenced(digest: &Digest, nonce: u64) -> Redacted {
    let mut text = digest.head.clone();
    text.push_literal("\n");
    let beside = &digest.beside;
    let none = Redacted::default();
    let parts = [
        ("⟦LOG ", &digest.body),
        ("⟦RELATED ", &beside.related),
        ("⟦EARLIER ", &beside.earlier),
        ("⟦NOTES ", &beside.notes),
        ("⟦END ", &none),
    ];
    for (mark, part) in parts {
        if !part.is_empty() || matches!(mark, "⟦LOG " | "⟦END ") {
            text.push_literal(mark);
            text.push_number(nonce);
            text.push_literal("⟧\n");
            text.push(part);
        }
    }
    text
}

/// The same question after an answer that could not be read.
pub fn repair(question: &Redacted, problem: &BadAnswer, redactor: Redactor) -> Redacted {
    let mut text = question.clone();
    text.push_literal("\nYour last answer was not valid: ");
    text.push(&redactor.redact(&problem.0).cut(200));
    text.push_literal(". Answer again with JSON of the schema only.\n");
    text
}

fn language_name(language: &str) -> &str {
    match language {
        "" | "en" => "English",
        "zh" => "Chinese (简体中文)",
        "de" => "German",
        "ja" => "Japanese",
        other => other,
    }
}
