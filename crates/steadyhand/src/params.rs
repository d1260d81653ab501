//! Parameters from the command line: `key=text`, `key:=json`, `key=@file`, `key=-`, repeated for arrays.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::{escape, exit::Exit, fault::Fault};

#[cfg(test)]
mod tests;

/// Most parameters that one command line may have.
const PARAMS_MAX: usize = 200;
/// Largest file or input that one parameter takes, in bytes: what file.write takes, 10 MiB, and some.
const INPUT_BYTES_MAX: u64 = 16 << 20;

/// A parameter's value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Raw {
    /// A text, to become what the schema says.
    Text(String),
    /// JSON as it stands.
    Json(Value),
    /// The text of a file.
    File(PathBuf),
    /// The text of standard input.
    Input,
}

/// Reads files and standard input for parameters.
pub(crate) trait Reader {
    /// The text of a file.
    fn file(&mut self, path: &std::path::Path) -> Result<String, Fault>;
    /// The text of standard input.
    fn input(&mut self) -> Result<String, Fault>;
}

/// Takes one `key=value` apart.
pub(crate) fn pair(text: &str) -> Result<(String, Raw), Fault> {
    let usage = |message: String| Fault::new(Exit::Usage, message);
    let Some((key, value)) = text.split_once('=') else {
        return Err(usage(format!("`{}` is no parameter: write KEY=VALUE", escape::short(text, 60))));
    };
    let (key, json) = match key.strip_suffix(':') {
        Some(key) => (key, true),
        None => (key, false),
    };
    if key.is_empty() {
        return Err(usage(format!("`{}` has no name before the `=`", escape::short(text, 60))));
    }
    let raw = if json {
        let parsed = serde_json::from_str(value);
        Raw::Json(parsed.map_err(|e| usage(format!("`{key}:=` takes JSON, and this isn't: {e}")))?)
    } else if let Some(path) = value.strip_prefix('@') {
        Raw::File(PathBuf::from(path))
    } else if value == "-" {
        Raw::Input
    } else {
        Raw::Text(value.to_owned())
    };
    Ok((key.to_owned(), raw))
}

/// Whether some of the values need the capability's schema to be understood.
pub(crate) fn needs_schema(pairs: &[(String, Raw)]) -> bool {
    pairs.iter().any(|(_, raw)| matches!(raw, Raw::Text(_)))
}

/// Takes all of a command line's `key=value` apart.
pub(crate) fn pairs(texts: &[String]) -> Result<Vec<(String, Raw)>, Fault> {
    if texts.len() > PARAMS_MAX {
        return Err(Fault::new(
            Exit::Usage,
            format!("{} parameters are more than {PARAMS_MAX}", texts.len()),
        ));
    }
    texts.iter().map(|text| pair(text)).collect()
}

/// Puts the parameters together: `base` (from `--json-params`) and the pairs, typed by `schema`.
pub(crate) fn assemble(
    base: Option<&str>,
    pairs: Vec<(String, Raw)>,
    schema: Option<&Value>,
    reader: &mut dyn Reader,
) -> Result<Map<String, Value>, Fault> {
    let inputs = pairs.iter().filter(|(_, raw)| *raw == Raw::Input).count() + usize::from(base == Some("-"));
    if inputs > 1 {
        return Err(Fault::new(Exit::Usage, "standard input can be read once only"));
    }
    let mut params = match base {
        None => Map::new(),
        Some("-") => object(&reader.input()?)?,
        Some(text) => object(text)?,
    };
    let given: Vec<String> = params.keys().cloned().collect();
    for (key, raw) in pairs {
        if given.contains(&key) {
            return Err(Fault::new(Exit::Usage, format!("`{key}` is in --json-params already")));
        }
        let wanted = schema.map_or(Wanted::Text, |schema| wanted(schema, &key));
        let value = match raw {
            Raw::Json(value) => value,
            Raw::Text(text) => typed(&key, &text, wanted)?,
            Raw::File(path) => Value::String(reader.file(&path)?),
            Raw::Input => Value::String(reader.input()?),
        };
        add(&mut params, key, value, wanted, schema.is_some())?;
    }
    Ok(params)
}

/// Puts a value in; a repeated key becomes an array where the schema has one, or where there is no schema.
fn add(
    params: &mut Map<String, Value>,
    key: String,
    value: Value,
    wanted: Wanted,
    has_schema: bool,
) -> Result<(), Fault> {
    let is_array = wanted == Wanted::Array;
    match params.remove(&key) {
        None if is_array && !value.is_array() => drop(params.insert(key, Value::Array(vec![value]))),
        None => drop(params.insert(key, value)),
        Some(Value::Array(mut items)) if is_array || !has_schema => {
            items.push(value);
            params.insert(key, Value::Array(items));
        }
        Some(first) if !has_schema => drop(params.insert(key, Value::Array(vec![first, value]))),
        Some(_) => {
            return Err(Fault::new(Exit::Usage, format!("`{key}` is given twice and takes one value")));
        }
    }
    Ok(())
}

/// What a schema wants a text to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Text,
    Integer,
    Number,
    Boolean,
    Array,
}

fn wanted(schema: &Value, key: &str) -> Wanted {
    let property = &schema["properties"][key];
    let types: Vec<&str> = match &property["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if types.contains(&"string") {
        return Wanted::Text;
    }
    types
        .iter()
        .find_map(|t| match *t {
            "integer" => Some(Wanted::Integer),
            "number" => Some(Wanted::Number),
            "boolean" => Some(Wanted::Boolean),
            "array" => Some(Wanted::Array),
            _ => None,
        })
        .unwrap_or(Wanted::Text)
}

fn typed(key: &str, text: &str, wanted: Wanted) -> Result<Value, Fault> {
    let parsed = match wanted {
        Wanted::Text | Wanted::Array => return Ok(Value::String(text.to_owned())),
        Wanted::Integer => text.parse::<i64>().ok().map(Value::from),
        Wanted::Number => text.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::from),
        Wanted::Boolean => match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
    };
    let name = match wanted {
        Wanted::Integer => "a whole number",
        Wanted::Number => "a number",
        _ => "true or false",
    };
    parsed.ok_or_else(|| {
        Fault::new(Exit::Usage, format!("`{key}` must be {name}, not `{}`", escape::short(text, 60)))
    })
}

fn object(text: &str) -> Result<Map<String, Value>, Fault> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Fault::new(Exit::Usage, "--json-params takes a JSON object: {\"path\": \"…\"}")),
        Err(error) => Err(Fault::new(Exit::Usage, format!("--json-params isn't JSON: {error}"))),
    }
}

/// Reads from the disk and from the process's standard input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemReader;

impl Reader for SystemReader {
    fn file(&mut self, path: &std::path::Path) -> Result<String, Fault> {
        let file = std::fs::File::open(path)
            .map_err(|e| Fault::new(Exit::Usage, format!("can't read {}: {e}", path.display())))?;
        bounded(file, &path.display().to_string())
    }

    fn input(&mut self) -> Result<String, Fault> {
        bounded(std::io::stdin().lock(), "standard input")
    }
}

fn bounded(source: impl std::io::Read, name: &str) -> Result<String, Fault> {
    use std::io::Read as _;
    let usage = |message: String| Fault::new(Exit::Usage, message);
    let mut bytes = Vec::new();
    source
        .take(INPUT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| usage(format!("can't read {name}: {e}")))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(usage(format!("{name} is larger than {INPUT_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| usage(format!("{name} isn't UTF-8 text, which parameters are")))
}
