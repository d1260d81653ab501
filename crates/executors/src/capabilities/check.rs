//! Says in a person's words what is wrong with parameters that don't fit their Rust type.

use std::fmt::Write as _;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// The JSON Schema of `T`, with everything in one piece.
pub(super) fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Checks `params` against `T`; the error names the parameter, what it should be and what it is.
pub(super) fn check<T: DeserializeOwned + JsonSchema>(params: &Value) -> Result<(), String> {
    if !params.is_object() {
        return Err(format!("Parameters must be an object, got {}", kind(params)));
    }
    let Err(error) = serde_path_to_error::deserialize::<_, T>(params) else { return Ok(()) };
    let (path, reason) = (error.path(), error.inner());
    let (Some(name), Some(given)) = (name(path), given(params, path)) else {
        return Err(format!("Parameters don't fit: {reason}"));
    };
    Err(match (wanted(&schema::<T>(), path), given) {
        // A number in place of a number: only its value says what is wrong with it.
        (Some(wanted), Value::Number(n)) if wanted.contains("number") => {
            format!("Parameter '{name}' must be {wanted}, got {n}")
        }
        (Some(wanted), given) => format!("Parameter '{name}' must be {wanted}, got {}", kind(given)),
        (None, _) => format!("Parameter '{name}' doesn't fit: {reason}"),
    })
}

/// `args[1]`, `path`; `None` for the whole.
fn name(path: &Path) -> Option<String> {
    let mut name = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Map { key } if name.is_empty() => name.push_str(key),
            Segment::Map { key } => write!(name, ".{key}").expect("a string takes all"),
            Segment::Seq { index } => write!(name, "[{index}]").expect("a string takes all"),
            Segment::Enum { .. } | Segment::Unknown => return None,
        }
    }
    (!name.is_empty()).then_some(name)
}

fn given<'a>(params: &'a Value, path: &Path) -> Option<&'a Value> {
    path.iter().try_fold(params, |value, segment| match segment {
        Segment::Map { key } => value.get(key),
        Segment::Seq { index } => value.get(index),
        Segment::Enum { .. } | Segment::Unknown => None,
    })
}

/// What the schema says belongs at `path`.
fn wanted(schema: &Value, path: &Path) -> Option<String> {
    let at = path.iter().try_fold(schema, |schema, segment| match segment {
        Segment::Map { key } => schema.get("properties")?.get(key),
        Segment::Seq { .. } => schema.get("items"),
        Segment::Enum { .. } | Segment::Unknown => None,
    })?;
    let (name, or_null) = match at.get("type")? {
        Value::String(name) => (name.as_str(), ""),
        Value::Array(names) => (names.iter().filter_map(Value::as_str).find(|n| *n != "null")?, " or null"),
        _ => return None,
    };
    let words = match name {
        "string" => "a string",
        "boolean" => "true or false",
        "array" => "an array",
        "object" => "an object",
        "number" => "a number",
        "integer" if at.get("format").and_then(Value::as_str) == Some("uint32") => {
            "a whole number from 0 to 4294967295"
        }
        "integer" => "a whole number",
        _ => return None,
    };
    Some(format!("{words}{or_null}"))
}

/// A value's type, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
