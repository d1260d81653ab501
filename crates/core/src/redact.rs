//! The form of parameters and outputs that journal, logs and lists may show.
//!
//! Fields that a capability marks as secret are replaced by their length and a salted digest; in all
//! other text, what looks like a credential is masked. The exact form lives in encrypted payloads only.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::digest::Digest;

/// Words before a `=` or `:` whose value is a credential.
const CREDENTIAL_WORDS: [&str; 9] =
    ["password", "passwd", "secret", "token", "api_key", "apikey", "api-key", "authorization", "bearer"];

/// `value` as it may be shown: the fields named in `secret` replaced, credentials elsewhere masked.
#[must_use]
pub fn redact(value: &Value, secret: &[&str], salt: &[u8]) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(k, v)| {
                    let shown = if secret.contains(&k.as_str()) { conceal(v, salt) } else { mask(v) };
                    (k.clone(), shown)
                })
                .collect(),
        ),
        other => mask(other),
    }
}

/// A secret field's stand-in; empty and null values have nothing to hide.
fn conceal(value: &Value, salt: &[u8]) -> Value {
    let text: Cow<'_, str> = match value {
        Value::Null => return Value::Null,
        Value::String(s) if s.is_empty() => return value.clone(),
        Value::String(s) => Cow::Borrowed(s),
        other => Cow::Owned(other.to_string()),
    };
    let digest = Digest::salted(salt, text.as_bytes());
    let mut stand_in = Map::new();
    stand_in.insert("redacted".to_owned(), Value::Bool(true));
    stand_in.insert("bytes".to_owned(), Value::from(text.len()));
    stand_in.insert("digest".to_owned(), Value::from(digest.to_string()));
    Value::Object(stand_in)
}

fn mask(value: &Value) -> Value {
    match value {
        Value::String(s) => Value::String(mask_text(s).into_owned()),
        Value::Array(items) => Value::Array(items.iter().map(mask).collect()),
        Value::Object(map) => Value::Object(map.iter().map(|(k, v)| (k.clone(), mask(v))).collect()),
        other => other.clone(),
    }
}

/// Masks what follows a credential word and a `=`, `:` or space, up to white space or a quote.
#[must_use]
pub fn mask_text(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    if !CREDENTIAL_WORDS.iter().any(|w| lower.contains(w)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let Some((start, end)) = next_credential(text, &lower, at) else { break };
        out.push_str(&text[at..start]);
        out.push_str("***");
        at = end;
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

/// The byte range of the next credential's value at or after `from`.
fn next_credential(text: &str, lower: &str, from: usize) -> Option<(usize, usize)> {
    let mut search = from;
    loop {
        let (word_at, word) = CREDENTIAL_WORDS
            .iter()
            .filter_map(|w| lower[search..].find(w).map(|i| (search + i, *w)))
            .min_by_key(|(i, _)| *i)?;
        let after = word_at + word.len();
        let separators = text[after..].chars().take_while(|c| matches!(c, '=' | ':' | '"' | '\'' | ' '));
        let start = after + separators.map(char::len_utf8).sum::<usize>();
        let stop = text[start..].find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '&' | ','));
        let end = stop.map_or(text.len(), |i| start + i);
        let is_word = CREDENTIAL_WORDS.contains(&&lower[start..end]);
        let separated = text[after..start].contains(['=', ':']) || (word == "bearer" && start > after);
        if separated && end > start && !is_word {
            return Some((start, end));
        }
        search = after;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secret_fields_keep_length_and_salted_digest_only() {
        let shown = redact(&json!({"path": "a", "content": "hunter2"}), &["content"], b"salt");
        assert_eq!(shown["path"], "a");
        assert_eq!(shown["content"]["bytes"], 7);
        assert!(!shown.to_string().contains("hunter2"));
        assert_ne!(shown, redact(&json!({"path": "a", "content": "hunter2"}), &["content"], b"pepper"));
    }

    #[test]
    fn credentials_in_plain_text_are_masked() {
        for (text, shown) in [
            ("ls -l", "ls -l"),
            ("x --password=abc y", "x --password=*** y"),
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
            ("TOKEN=1&api_key=2", "TOKEN=***&api_key=***"),
            ("a token is a word", "a token is a word"),
            ("{\"secret\": \"ü✓\"}", "{\"secret\": \"***\"}"),
            ("ends with token=", "ends with token="),
        ] {
            assert_eq!(mask_text(text), shown);
        }
    }
}
