//! The shape of answers: every property required, none further, as the strictest provider wants it.

use serde_json::{Value, json};

use crate::model::{Category, Severity};

/// The schema of an explanation.
pub fn claims_schema() -> Value {
    let text = || json!({"type": "string"});
    let texts = || json!({"type": "array", "items": {"type": "string"}});
    let or_null = || json!({"type": ["string", "null"]});
    let claim = object(&[
        ("title", text()),
        ("severity", json!({"type": "string", "enum": Severity::ALL.map(Severity::as_str)})),
        ("category", json!({"type": "string", "enum": Category::ALL.map(Category::as_str)})),
        ("explanation", text()),
        ("recommendation", text()),
        ("root_cause", or_null()),
        ("confidence", json!({"type": "number"})),
        ("references", texts()),
        ("source_ips", texts()),
        ("users", texts()),
        ("service", or_null()),
        ("explains", or_null()),
    ]);
    object(&[("claims", json!({"type": "array", "items": claim}))])
}

/// The schema of a screening.
pub fn screen_schema() -> Value {
    object(&[
        ("worth_explaining", json!({"type": "boolean"})),
        ("references", json!({"type": "array", "items": {"type": "string"}})),
    ])
}

fn object(properties: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
    let properties: serde_json::Map<String, Value> =
        properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
}
