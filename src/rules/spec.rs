//! What a rule file may say. Strict: an unknown key is a mistake, not a wish.

use serde::Deserialize;

use super::{field::Field, request::Part};
use crate::model::{Category, Severity};

/// One rule file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileSpec {
    /// Rules; one with a known id replaces it.
    pub rules: Vec<RuleSpec>,
    /// Ids of rules of earlier files to switch off.
    pub disable: Vec<String>,
    /// Lines known to be harmless.
    pub noise: Vec<NoiseSpec>,
}

/// Lines of some streams that no rule shall look at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoiseSpec {
    /// The streams.
    #[serde(default)]
    pub selector: Option<String>,
    /// The lines; any pattern.
    pub patterns: Vec<PatternSpec>,
}

/// One rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleSpec {
    pub id: String,
    pub title: String,
    pub category: Category,
    pub severity: Severity,
    /// A finding of this rule is written at once.
    #[serde(default)]
    pub urgent: bool,
    /// Streams it applies to.
    #[serde(default)]
    pub selector: Option<String>,
    /// Programs it applies to, where a line names its program; `x*` for every name that begins so, `!x` for all but x.
    #[serde(default)]
    pub programs: Vec<String>,
    #[serde(default)]
    pub ignore_case: bool,
    #[serde(default)]
    pub patterns: Vec<PatternSpec>,
    #[serde(default)]
    pub requests: Vec<RequestSpec>,
    #[serde(default)]
    pub exclude: Vec<PatternSpec>,
    /// The field findings are kept apart by; without it there is one per host.
    #[serde(default)]
    pub by: Option<Field>,
    /// Several lines of one attempt count once.
    #[serde(default)]
    pub fold: bool,
    #[serde(default)]
    pub thresholds: Vec<ThresholdSpec>,
    #[serde(default)]
    pub after: Option<AfterSpec>,
    #[serde(default)]
    pub escalate: Vec<EscalateSpec>,
    /// Findings of one story and key become one.
    #[serde(default)]
    pub story: Option<String>,
    /// The story that is over when this is seen: such a rule makes no findings, it resolves those of the same key.
    #[serde(default)]
    pub resolves: Option<String>,
    /// Stories this may be a symptom of, on the same host at the same time.
    #[serde(default)]
    pub symptom_of: Vec<String>,
    /// The service named in findings; the line's program where this is missing.
    #[serde(default)]
    pub service: Option<String>,
    pub summary: String,
    pub recommendation: String,
    /// Lines the rule must match; the pack's test holds it to that.
    #[serde(default)]
    pub matches: Vec<String>,
    /// Lines the rule must not match.
    #[serde(default)]
    pub ignores: Vec<String>,
}

/// A pattern: text in the pattern language, or keywords with a regular expression.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum PatternSpec {
    /// The pattern language.
    Text(String),
    /// Keywords (any of them) and an expression.
    Regex(RegexSpec),
}

/// Keywords and an expression.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegexSpec {
    pub text: Vec<String>,
    #[serde(default)]
    pub regex: Option<String>,
}

/// What a web request must be like; everything given must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RequestSpec {
    /// Parts to look at; all when empty.
    pub parts: Vec<Part>,
    /// Texts (decoded, lower case) of which one must occur.
    pub text: Vec<String>,
    /// An expression that a part must match.
    pub regex: Option<String>,
    /// Methods.
    pub methods: Vec<String>,
    /// Statuses: `404` or `5xx`.
    pub status: Vec<String>,
}

/// So many events within a time.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThresholdSpec {
    pub count: u32,
    pub within: String,
    #[serde(default)]
    pub by: Option<Field>,
    /// Counts distinct values of this field instead of events.
    #[serde(default)]
    pub distinct: Option<Field>,
    #[serde(default)]
    pub severity: Option<Severity>,
    #[serde(default)]
    pub title: Option<String>,
}

/// Holds only after so many sightings of another rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AfterSpec {
    pub rule: String,
    pub count: u32,
    pub within: String,
    pub same: Field,
}

/// When it is worse: fields that fit, or a count.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EscalateSpec {
    #[serde(default)]
    pub field: Option<Field>,
    #[serde(default)]
    pub fits: Option<String>,
    #[serde(default)]
    pub count: Option<u64>,
    pub severity: Severity,
}

/// Reads `90s`, `10m`, `2h`, `1d` as seconds.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    let bad = || format!("'{text}' is no duration (90s, 10m, 2h, 1d)");
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    let number: i64 = digits.parse().map_err(|_| bad())?;
    let scale = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(bad()),
    };
    Some(number.saturating_mul(scale)).filter(|seconds| (1..=7 * 86_400).contains(seconds)).ok_or_else(bad)
}
