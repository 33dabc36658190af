//! Room `tenancy`: forms as JSON Schema 2020-12, judged by a library that fetches nothing.

use jsonschema::{Draft, PatternOptions, Validator};
use misy_core::error::Fault;
use serde_json::Value;

const LIMIT_BYTES: usize = 16 << 10;

/// Patterns are matched in linear time, so that no text can hold a worker up.
fn build(schema: &Value) -> Option<Validator> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex())
        .should_validate_formats(true)
        .offline()
        .build(schema)
        .ok()
}

/// Whether a form can be used at all.
pub fn check_form(schema: &Value) -> Result<(), String> {
    if schema.to_string().len() > LIMIT_BYTES {
        return Err("expected at most 16 KiB of JSON Schema".to_owned());
    }
    let good = schema.is_object() && build(schema).is_some();
    let detail = "expected a JSON Schema (2020-12) that refers to nothing outside itself";
    if good { Ok(()) } else { Err(detail.to_owned()) }
}

/// Every fault of what was filled in, each by its pointer below `at`.
pub fn judge(schema: &Value, data: &Value, at: &str) -> Vec<Fault> {
    let Some(form) = build(schema) else {
        let detail = "the form itself cannot be used".to_owned();
        return vec![Fault { pointer: at.to_owned(), detail }];
    };
    let told = |error: jsonschema::ValidationError<'_>| Fault {
        pointer: format!("{at}{}", error.instance_path()),
        detail: error.masked().to_string(),
    };
    form.iter_errors(data).map(told).collect()
}

/// Whether it is filled in rightly.
pub fn fits(schema: &Value, data: &Value) -> bool {
    build(schema).is_some_and(|form| form.is_valid(data))
}
