//! What the model says, read strictly and believed in nothing.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::model::{Category, Severity};

/// Claims read of one answer; a window that needs more is told in the first ones.
const CLAIMS_MAX: usize = 20;

/// One statement of a model: untrusted until grounded.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Claim {
    /// What happened, in one line.
    pub title: String,
    /// How bad the model thinks it is.
    pub severity: Severity,
    /// What kind.
    pub category: Category,
    /// What it means.
    pub explanation: String,
    /// What to do.
    pub recommendation: String,
    /// Why it happened.
    pub root_cause: Option<String>,
    /// How sure the model is.
    pub confidence: f64,
    /// Cited lines, as `L1`.
    pub references: Vec<String>,
    /// Addresses it came from.
    pub source_ips: Vec<String>,
    /// Accounts involved.
    pub users: Vec<String>,
    /// The affected service.
    pub service: Option<String>,
    /// The known finding it explains, as `K1`.
    pub explains: Option<String>,
}

/// What a small model says before the large one is asked.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Screening {
    /// Whether the large model is to be asked.
    pub worth_explaining: bool,
    /// The lines that matter, as `L1`.
    pub references: Vec<String>,
}

/// The answer is not JSON of the schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer does not follow the schema: {0}")]
pub struct BadAnswer(pub String);

/// Reads an explanation.
pub fn claims(text: &str) -> Result<Vec<Claim>, BadAnswer> {
    #[derive(Deserialize)]
    struct Claims {
        claims: Vec<Claim>,
    }
    let mut claims = json::<Claims>(text)?.claims;
    claims.truncate(CLAIMS_MAX);
    Ok(claims)
}

/// Reads a screening.
pub fn screening(text: &str) -> Result<Screening, BadAnswer> {
    json(text)
}

/// The numbers of references written as `L7`, `[L7]` or `7`; `None` in place of what is none.
pub fn number_of(reference: &str, letter: char) -> Option<u32> {
    let inner = reference.trim().trim_matches(['[', ']']);
    inner.strip_prefix([letter, letter.to_ascii_lowercase()]).unwrap_or(inner).parse().ok()
}

/// The numbers of all readable line references.
pub fn line_numbers(references: &[String]) -> BTreeSet<u32> {
    references.iter().filter_map(|reference| number_of(reference, 'L')).collect()
}

/// Some models wrap JSON in a code fence or a sentence, whatever they are told.
fn json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, BadAnswer> {
    let start = text.find('{').ok_or_else(|| BadAnswer("no JSON object".to_owned()))?;
    let end = text.rfind('}').ok_or_else(|| BadAnswer("the JSON object does not end".to_owned()))?;
    let inner = text.get(start..=end).ok_or_else(|| BadAnswer("no JSON object".to_owned()))?;
    serde_json::from_str(inner).map_err(|error| BadAnswer(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"claims":[{"title":"t","severity":"high","category":"oom","explanation":"e",
        "recommendation":"r","root_cause":null,"confidence":0.5,"references":["L1"],"source_ips":[],"users":[],
        "service":null,"explains":null}]}"#;

    #[test]
    fn code_fences_are_forgiven_and_types_are_not() {
        assert_eq!(claims(GOOD).unwrap()[0].severity, Severity::High);
        assert_eq!(claims(&format!("Here you are:\n```json\n{GOOD}\n```")).unwrap().len(), 1);
        assert!(claims(&GOOD.replace("\"high\"", "\"catastrophic\"")).is_err());
        assert!(claims(&GOOD.replace("0.5", "\"very\"")).is_err());
        assert!(claims("Everything is fine.").is_err());
        assert!(claims("}{").is_err());
    }

    #[test]
    fn references_are_read_in_every_usual_form() {
        assert_eq!(number_of("[L12]", 'L'), Some(12));
        assert_eq!(number_of("k3", 'K'), Some(3));
        assert_eq!(number_of("L-1", 'L'), None);
    }
}
