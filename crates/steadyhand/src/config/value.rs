//! One setting's value: from the file, the environment or a flag, checked against its range.

use std::{fmt, net::IpAddr, path::PathBuf};

use steadyhand_core::capability::nearest;
use toml::de::DeValue;

use super::keys::{Key, Kind};
use crate::surroundings::Surroundings;

/// A value that fits its setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A word, an address, a display.
    Text(String),
    /// A whole number.
    Integer(u64),
    /// Folders.
    Folders(Vec<PathBuf>),
    /// So many rules.
    Rules(usize),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Folders(folders) => f.debug_list().entries(folders).finish(),
            Self::Rules(0) => f.write_str("[]"),
            Self::Rules(count) => write!(f, "[{count} of them]"),
        }
    }
}

impl Value {
    /// The value as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Integer(number) => (*number).into(),
            Self::Folders(folders) => folders.iter().map(|f| f.display().to_string()).collect(),
            Self::Rules(count) => (*count).into(),
        }
    }
}

/// Takes a value from the file. The error says what would fit.
pub(crate) fn from_toml(key: &Key, value: &DeValue<'_>, around: &Surroundings) -> Result<Value, String> {
    let wrong = |wanted: &str| format!("`{}` must be {wanted}, not {}", key.name, a(value.type_str()));
    match (key.kind, value) {
        (Kind::Integer { .. }, DeValue::Integer(number)) => {
            let digits = number.as_str().trim_start_matches('+');
            let parsed = u64::from_str_radix(digits, number.radix()).ok();
            in_range(key, parsed, digits)
        }
        (Kind::Integer { .. }, _) => Err(wrong("a whole number")),
        (Kind::Folders, DeValue::Array(items)) => {
            let texts: Option<Vec<&str>> = items.iter().map(|i| i.get_ref().as_str()).collect();
            folders(key, &texts.ok_or_else(|| wrong("an array of texts"))?, around)
        }
        (Kind::Folders, _) => Err(wrong("an array of texts")),
        (Kind::Rules, DeValue::Array(items)) => Ok(Value::Rules(items.len())),
        (Kind::Rules, _) => Err(wrong("an array of tables")),
        (_, DeValue::String(text)) => from_text(key, text, around),
        (_, _) => Err(wrong("a text")),
    }
}

/// Takes a value from a variable, a flag or the list of defaults. The error says what would fit.
pub(crate) fn from_text(key: &Key, text: &str, around: &Surroundings) -> Result<Value, String> {
    let fits = match key.kind {
        Kind::Integer { .. } => return in_range(key, text.trim().parse().ok(), text),
        Kind::Folders => {
            let parts: Vec<&str> = text.split(':').filter(|p| !p.is_empty()).collect();
            return folders(key, &parts, around);
        }
        Kind::Rules if text.is_empty() => return Ok(Value::Rules(0)),
        Kind::Rules => false,
        Kind::Word(words) => return word(key, text, words),
        Kind::Address => text.parse::<IpAddr>().is_ok(),
        Kind::Display => text == "auto" || text == "none" || is_display(text),
        Kind::Url => text.is_empty() || is_http_url(text),
    };
    let text = text.to_owned();
    if fits {
        Ok(Value::Text(text))
    } else {
        Err(format!("`{}` must be {}, not {text:?}", key.name, key.range()))
    }
}

/// Takes folders, each whole, so that a `:` in a name is no matter.
pub(crate) fn folders(key: &Key, texts: &[&str], around: &Surroundings) -> Result<Value, String> {
    let mut folders = Vec::with_capacity(texts.len());
    for text in texts {
        let folder = around.expand(text);
        if !folder.is_absolute() {
            return Err(format!("`{}` must be absolute folders, not {text:?}", key.name));
        }
        folders.push(folder);
    }
    if folders.is_empty() {
        return Err(format!("`{}` must name at least one folder", key.name));
    }
    Ok(Value::Folders(folders))
}

fn in_range(key: &Key, number: Option<u64>, given: &str) -> Result<Value, String> {
    let Kind::Integer { min, max } = key.kind else { unreachable!("asked for integers only") };
    match number.filter(|n| (min..=max).contains(n)) {
        Some(number) => Ok(Value::Integer(number)),
        None => {
            let unit = if key.unit.is_empty() { String::new() } else { format!(" {}", key.unit) };
            Err(format!("`{}` must be a whole number from {min} to {max}{unit}, not {given}", key.name))
        }
    }
}

fn word(key: &Key, text: &str, words: &'static [&'static str]) -> Result<Value, String> {
    if words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let meant =
        nearest(text, words.iter().copied()).map(|w| format!("; did you mean {w:?}?")).unwrap_or_default();
    Err(format!("`{}` must be {}, not {text:?}{meant}", key.name, words.join(" or ")))
}

/// The name of a type with its article.
pub(crate) fn a(name: &str) -> String {
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// `:N` or `:N.S`.
fn is_display(text: &str) -> bool {
    let number = |t: &str| !t.is_empty() && t.len() <= 5 && t.bytes().all(|b| b.is_ascii_digit());
    let Some(rest) = text.strip_prefix(':') else { return false };
    match rest.split_once('.') {
        Some((display, screen)) => number(display) && number(screen),
        None => number(rest),
    }
}

fn is_http_url(text: &str) -> bool {
    text.parse::<hyper::Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("http") && uri.host().is_some() && matches!(uri.path(), "" | "/")
    })
}
