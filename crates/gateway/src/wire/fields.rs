//! Reads a JSON body or a query field by field and collects what doesn't fit, in the shape of the
//! contract's 422 answers (0.4). Unknown fields are ignored; numbers and booleans written as text are
//! taken, as the contract's first implementation took them.

use std::num::IntErrorKind;

use serde_json::{Map, Value, json};

/// Where a field comes from: the first word of an error's `loc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The JSON body.
    Body,
    /// The query string.
    Query,
}

impl Place {
    fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Query => "query",
        }
    }
}

/// A request's fields, read one by one.
#[derive(Debug)]
pub struct Fields {
    place: Place,
    values: Map<String, Value>,
    errors: Vec<Value>,
}

/// The `detail` of a 422 answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfit(pub Vec<Value>);

impl Fields {
    /// The fields of a JSON body.
    ///
    /// # Errors
    /// When there is no body, or it is no JSON object.
    pub fn of_body(body: &[u8]) -> Result<Self, Unfit> {
        if body.is_empty() {
            return Err(Unfit(vec![missing(json!(["body"]), Value::Null)]));
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(values)) => Ok(Self { place: Place::Body, values, errors: Vec::new() }),
            Ok(other) => Err(Unfit(vec![json!({
                "type": "model_attributes_type",
                "loc": ["body"],
                "msg": "Input should be a valid dictionary or object to extract fields from",
                "input": other,
            })])),
            Err(error) => Err(not_json(body, &error)),
        }
    }

    /// The fields of a query string; the last of a repeated name counts.
    #[must_use]
    pub fn of_query(query: &str) -> Self {
        let values = pairs(query).map(|(k, v)| (k, Value::String(v))).collect();
        Self { place: Place::Query, values, errors: Vec::new() }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Everything that didn't fit.
    pub fn finish(self) -> Result<(), Unfit> {
        if self.errors.is_empty() { Ok(()) } else { Err(Unfit(self.errors)) }
    }

    /// A text that must be there.
    pub fn text(&mut self, name: &str) -> String {
        match self.values.remove(name) {
            Some(Value::String(text)) => text,
            Some(other) => self.wrong("string_type", name, "Input should be a valid string", other),
            None => {
                let input = self.shown();
                let loc = self.loc(name);
                self.errors.push(missing(loc, input));
                String::new()
            }
        }
    }

    /// A text that may be absent or null.
    pub fn optional_text(&mut self, name: &str) -> Option<String> {
        match self.values.remove(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => {
                let _: String = self.wrong("string_type", name, "Input should be a valid string", other);
                None
            }
        }
    }

    /// A text of at most `bytes_max` bytes that may be absent or null.
    pub fn bounded_text(&mut self, name: &str, bytes_max: usize) -> Option<String> {
        self.optional_text(name).filter(|text| self.fits(name, text, bytes_max))
    }

    /// A text of at most `bytes_max` bytes that must be there.
    pub fn text_up_to(&mut self, name: &str, bytes_max: usize) -> String {
        let text = self.text(name);
        if self.fits(name, &text, bytes_max) { text } else { String::new() }
    }

    fn fits(&mut self, name: &str, text: &str, bytes_max: usize) -> bool {
        if text.len() <= bytes_max {
            return true;
        }
        let loc = self.loc(name);
        self.errors.push(json!({
            "type": "string_too_long",
            "loc": loc,
            "msg": format!("String should have at most {bytes_max} bytes"),
            "input": text,
            "ctx": {"max_length": bytes_max},
        }));
        false
    }

    /// An object that may be absent.
    pub fn object(&mut self, name: &str) -> Map<String, Value> {
        match self.values.remove(name) {
            None => Map::new(),
            Some(Value::Object(map)) => map,
            Some(other) => self.wrong("dict_type", name, "Input should be a valid dictionary", other),
        }
    }

    /// An object of at most `fields_max` fields with names of at most `name_bytes_max` bytes, which may be
    /// absent.
    pub fn object_up_to(
        &mut self,
        name: &str,
        fields_max: usize,
        name_bytes_max: usize,
    ) -> Map<String, Value> {
        let map = self.object(name);
        if map.len() > fields_max {
            let message = format!("Dictionary should have at most {fields_max} items");
            return self.wrong("too_long", name, &message, Value::from(map.len()));
        }
        if map.keys().any(|key| key.len() > name_bytes_max) {
            let message = format!("Keys should have at most {name_bytes_max} bytes");
            return self.wrong("too_long", name, &message, Value::from(map.len()));
        }
        map
    }

    /// An object that may be absent or null.
    pub fn optional_object(&mut self, name: &str) -> Map<String, Value> {
        if self.values.get(name).is_some_and(Value::is_null) {
            self.values.remove(name);
        }
        self.object(name)
    }

    /// A whole number within bounds that may be absent.
    pub fn integer(&mut self, name: &str, default: i64, min: i64, max: i64) -> i64 {
        let Some(value) = self.values.remove(name) else { return default };
        self.bounded(name, value, min, max).unwrap_or(default)
    }

    /// A whole number within bounds that may be absent or null.
    pub fn optional_integer(&mut self, name: &str, min: i64, max: i64) -> Option<i64> {
        match self.values.remove(name) {
            None | Some(Value::Null) => None,
            Some(value) => self.bounded(name, value, min, max),
        }
    }

    /// `limit` and `offset` of a page, clamped and not refused (D-15): 1 to 500, and at least 0.
    pub fn page(&mut self) -> (usize, usize) {
        const LIMIT_MAX: i64 = 500;
        let limit = self.integer("limit", 50, i64::MIN, i64::MAX).clamp(1, LIMIT_MAX);
        let offset = self.integer("offset", 0, i64::MIN, i64::MAX).max(0);
        (usize::try_from(limit).unwrap_or(1), usize::try_from(offset).unwrap_or(0))
    }

    /// A truth value that may be absent.
    pub fn boolean(&mut self, name: &str, default: bool) -> bool {
        let Some(value) = self.values.remove(name) else { return default };
        let read = match &value {
            Value::Bool(b) => Some(*b),
            Value::String(s) => truth(s),
            Value::Number(n) if n.as_f64() == Some(1.0) => Some(true),
            Value::Number(n) if n.as_f64() == Some(0.0) => Some(false),
            _ => None,
        };
        read.unwrap_or_else(|| {
            let message = "Input should be a valid boolean, unable to interpret input";
            self.wrong("bool_parsing", name, message, value)
        })
    }

    fn bounded(&mut self, name: &str, value: Value, min: i64, max: i64) -> Option<i64> {
        let number = match whole(&value) {
            Ok(number) => number,
            Err((kind, message)) => return self.wrong(kind, name, message, value),
        };
        let (kind, word, limit, key) = if number < min {
            ("greater_than_equal", "greater", min, "ge")
        } else if number > max {
            ("less_than_equal", "less", max, "le")
        } else {
            return Some(number);
        };
        let loc = self.loc(name);
        self.errors.push(json!({
            "type": kind,
            "loc": loc,
            "msg": format!("Input should be {word} than or equal to {limit}"),
            "input": value,
            "ctx": {key: limit},
        }));
        None
    }

    fn wrong<T: Default>(&mut self, kind: &str, name: &str, message: &str, input: Value) -> T {
        let loc = self.loc(name);
        self.errors.push(json!({"type": kind, "loc": loc, "msg": message, "input": input}));
        T::default()
    }

    fn loc(&self, name: &str) -> Value {
        json!([self.place.as_str(), name])
    }

    fn shown(&self) -> Value {
        match self.place {
            Place::Body => Value::Object(self.values.clone()),
            Place::Query => Value::Null,
        }
    }
}

fn missing(loc: Value, input: Value) -> Value {
    json!({"type": "missing", "loc": loc, "msg": "Field required", "input": input})
}

fn not_json(body: &[u8], error: &serde_json::Error) -> Unfit {
    let before_line = body.split(|b| *b == b'\n').take(error.line().saturating_sub(1));
    let at = before_line.map(|line| line.len() + 1).sum::<usize>() + error.column().saturating_sub(1);
    Unfit(vec![json!({
        "type": "json_invalid",
        "loc": ["body", at],
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": error.to_string()},
    })])
}

/// A whole number, also one written as text or with a fraction of zero.
fn whole(value: &Value) -> Result<i64, (&'static str, &'static str)> {
    let parsing = ("int_parsing", "Input should be a valid integer, unable to parse string as an integer");
    match value {
        Value::Number(n) => {
            if let Some(i) = n.as_i64() {
                return Ok(i);
            }
            match n.as_f64() {
                Some(f) if f.fract() == 0.0 && f.abs() < 9e15 => Ok(f as i64),
                Some(f) if f.fract() == 0.0 => Ok(if f > 0.0 { i64::MAX } else { i64::MIN }),
                _ => Err((
                    "int_from_float",
                    "Input should be a valid integer, got a number with a fractional part",
                )),
            }
        }
        Value::String(s) => match s.trim().parse::<i64>() {
            Ok(i) => Ok(i),
            // A number all the same; its bounds are told or clamped by whoever asked for it.
            Err(error) if *error.kind() == IntErrorKind::PosOverflow => Ok(i64::MAX),
            Err(error) if *error.kind() == IntErrorKind::NegOverflow => Ok(i64::MIN),
            Err(_) => Err(parsing),
        },
        Value::Bool(b) => Ok(i64::from(*b)),
        _ => Err(("int_type", "Input should be a valid integer")),
    }
}

/// The words for true and false, in any case.
fn truth(word: &str) -> Option<bool> {
    const TRUE: [&str; 6] = ["true", "1", "yes", "on", "t", "y"];
    const FALSE: [&str; 6] = ["false", "0", "no", "off", "f", "n"];
    if TRUE.iter().any(|w| w.eq_ignore_ascii_case(word)) {
        Some(true)
    } else if FALSE.iter().any(|w| w.eq_ignore_ascii_case(word)) {
        Some(false)
    } else {
        None
    }
}

/// The pairs of a query string, percent-decoded; what isn't UTF-8 is replaced.
fn pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = |b: u8| char::from(b).to_digit(16);
        match bytes[i] {
            b'+' => out.push(b' '),
            b'%' if i + 2 < bytes.len() => match (hex(bytes[i + 1]), hex(bytes[i + 2])) {
                (Some(high), Some(low)) => {
                    out.push((high * 16 + low) as u8);
                    i += 2;
                }
                _ => out.push(b'%'),
            },
            byte => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Fields {
        Fields::of_body(text.as_bytes()).expect("an object")
    }

    #[test]
    fn errors_have_the_contracts_shape() {
        let mut f = body(r#"{"user_id":"u","timeout_ms":99}"#);
        f.integer("timeout_ms", 10_000, 100, 120_000);
        f.text("input_text");
        let Err(Unfit(errors)) = f.finish() else { panic!("two errors") };
        assert_eq!(
            errors,
            [
                json!({"type":"greater_than_equal","loc":["body","timeout_ms"],
                    "msg":"Input should be greater than or equal to 100","input":99,"ctx":{"ge":100}}),
                json!({"type":"missing","loc":["body","input_text"],"msg":"Field required",
                    "input":{"user_id":"u"}}),
            ]
        );
    }

    #[test]
    fn each_kind_of_misfit_is_named() {
        type Read = fn(&mut Fields);
        let cases: [(&str, Read, &str); 10] = [
            (
                r#"{"a":1}"#,
                |f| {
                    let _ = f.text("a");
                },
                "string_type",
            ),
            (
                r#"{"a":[]}"#,
                |f| {
                    let _ = f.object("a");
                },
                "dict_type",
            ),
            (
                r#"{"a":null}"#,
                |f| {
                    let _ = f.object("a");
                },
                "dict_type",
            ),
            (
                r#"{"a":"x"}"#,
                |f| {
                    let _ = f.integer("a", 0, 0, 9);
                },
                "int_parsing",
            ),
            (
                r#"{"a":1.5}"#,
                |f| {
                    let _ = f.integer("a", 0, 0, 9);
                },
                "int_from_float",
            ),
            (
                r#"{"a":[]}"#,
                |f| {
                    let _ = f.integer("a", 0, 0, 9);
                },
                "int_type",
            ),
            (
                r#"{"a":10}"#,
                |f| {
                    let _ = f.integer("a", 0, 0, 9);
                },
                "less_than_equal",
            ),
            (
                r#"{"a":1e300}"#,
                |f| {
                    let _ = f.optional_integer("a", 0, 9);
                },
                "less_than_equal",
            ),
            (
                r#"{"a":"maybe"}"#,
                |f| {
                    let _ = f.boolean("a", false);
                },
                "bool_parsing",
            ),
            (
                r#"{"a":"long"}"#,
                |f| {
                    let _ = f.bounded_text("a", 3);
                },
                "string_too_long",
            ),
        ];
        for (text, read, kind) in cases {
            let mut f = body(text);
            read(&mut f);
            let Err(Unfit(errors)) = f.finish() else { panic!("{text} fits") };
            assert_eq!(errors[0]["type"], kind, "{text}");
        }
    }

    #[test]
    fn what_may_be_lax_is() {
        let mut f = body(r#"{"a":"12","b":3.0,"c":"YES","d":0,"e":null,"zzz":1}"#);
        assert_eq!(f.integer("a", 0, 0, 99), 12);
        assert_eq!(f.integer("b", 0, 0, 99), 3);
        assert!(f.boolean("c", false));
        assert!(!f.boolean("d", true));
        assert_eq!(f.optional_text("e"), None);
        assert_eq!(f.integer("absent", 7, 0, 9), 7);
        f.finish().expect("all fit");
    }

    #[test]
    fn bodies_that_are_no_object_are_refused() {
        for (text, kind) in [("", "missing"), ("[]", "model_attributes_type"), ("{\"a\":", "json_invalid")] {
            let Err(Unfit(errors)) = Fields::of_body(text.as_bytes()) else { panic!("{text} is taken") };
            assert_eq!(errors[0]["type"], kind, "{text}");
        }
        assert!(Fields::of_body(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn query_strings_are_decoded() {
        let mut f = Fields::of_query("a=x%20y+z&b=%zz&c=%C3%BC&dry_run=T&b=2");
        assert_eq!(f.text("a"), "x y z");
        assert_eq!(f.text("b"), "2");
        assert_eq!(f.text("c"), "ü");
        assert!(f.boolean("dry_run", false));
    }
}
