use proptest::prelude::*;
use serde_json::json;

use super::*;

struct Fake;

impl Reader for Fake {
    fn file(&mut self, path: &std::path::Path) -> Result<String, Fault> {
        match path.to_str() {
            Some("draft.txt") => Ok("a draft\n".to_owned()),
            _ => Err(Fault::new(Exit::Usage, format!("can't read {}", path.display()))),
        }
    }

    fn input(&mut self) -> Result<String, Fault> {
        Ok("{\"from\":\"input\"}".to_owned())
    }
}

fn schema() -> Value {
    json!({"type": "object", "properties": {
        "path": {"type": "string"},
        "x": {"type": "integer"},
        "clicks": {"type": ["integer", "null"]},
        "ratio": {"type": "number"},
        "force": {"type": "boolean"},
        "args": {"type": "array", "items": {"type": "string"}},
        "either": {"type": ["integer", "string"]},
        "button": {"enum": ["left", "right"]}
    }})
}

fn run(base: Option<&str>, texts: &[&str], schema: Option<&Value>) -> Result<Value, Fault> {
    let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
    assemble(base, pairs(&texts)?, schema, &mut Fake).map(Value::Object)
}

#[test]
fn values_become_what_the_schema_says() {
    for (texts, params) in [
        (&["path=notes.txt"][..], json!({"path": "notes.txt"})),
        (&["path="], json!({"path": ""})),
        (&["path=a=b=c"], json!({"path": "a=b=c"})),
        (&["path=7"], json!({"path": "7"})),
        (&["x=-7", "clicks=2"], json!({"x": -7, "clicks": 2})),
        (&["ratio=0.5"], json!({"ratio": 0.5})),
        (&["force=true"], json!({"force": true})),
        (&["args=a"], json!({"args": ["a"]})),
        (&["args=a", "args=b", "args=-c"], json!({"args": ["a", "b", "-c"]})),
        (&["args:=[\"a\"]", "args=b"], json!({"args": ["a", "b"]})),
        (&["either=7"], json!({"either": "7"})),
        (&["button=left"], json!({"button": "left"})),
        (&["unknown=7"], json!({"unknown": "7"})),
        (&["x:=3", "path:=null"], json!({"x": 3, "path": null})),
        (&["path=@draft.txt"], json!({"path": "a draft\n"})),
        (&["path:=\"@draft.txt\""], json!({"path": "@draft.txt"})),
        (&["path=-"], json!({"path": "{\"from\":\"input\"}"})),
    ] {
        assert_eq!(run(None, texts, Some(&schema())).unwrap(), params, "{texts:?}");
    }
}

#[test]
fn without_a_schema_texts_stay_and_repeats_become_arrays() {
    assert_eq!(run(None, &["x=7"], None).unwrap(), json!({"x": "7"}));
    assert_eq!(run(None, &["a=1", "a=2", "a=3"], None).unwrap(), json!({"a": ["1", "2", "3"]}));
}

#[test]
fn an_object_is_the_base() {
    assert_eq!(
        run(Some("{\"path\":\"a\"}"), &["x=1"], Some(&schema())).unwrap(),
        json!({"path": "a", "x": 1})
    );
    assert_eq!(run(Some("-"), &[], None).unwrap(), json!({"from": "input"}));
}

#[test]
fn slips_are_named() {
    for (base, texts, said) in [
        (None, &["path"][..], "`path` is no parameter"),
        (None, &["=x"], "no name before"),
        (None, &[":=1"], "no name before"),
        (None, &["x:=one"], "takes JSON"),
        (None, &["x=one"], "`x` must be a whole number, not `one`"),
        (None, &["x=1.5"], "whole number"),
        (None, &["x=99999999999999999999"], "whole number"),
        (None, &["ratio=nan"], "a number"),
        (None, &["force=yes"], "true or false"),
        (None, &["path=a", "path=b"], "given twice"),
        (None, &["path=@missing"], "can't read missing"),
        (None, &["path=-", "x=-"], "once only"),
        (Some("-"), &["path=-"], "once only"),
        (Some("{\"path\":1}"), &["path=a"], "in --json-params already"),
        (Some("[1]"), &[], "a JSON object"),
        (Some("{"), &[], "isn't JSON"),
    ] {
        let fault = run(base, texts, Some(&schema())).unwrap_err();
        assert_eq!(fault.exit, Exit::Usage);
        assert!(fault.message.contains(said), "{texts:?}: {}", fault.message);
    }
}

#[test]
fn so_many_parameters_and_no_more() {
    let texts: Vec<String> = (0..=PARAMS_MAX).map(|i| format!("k{i}=v")).collect();
    assert!(pairs(&texts[1..]).is_ok());
    assert!(pairs(&texts).is_err());
}

#[test]
fn inputs_are_bounded_text() {
    assert_eq!(bounded(&b"text"[..], "it").unwrap(), "text");
    assert!(bounded(&b"\xff"[..], "it").unwrap_err().message.contains("isn't UTF-8"));
    assert!(bounded(std::io::repeat(b'a'), "it").unwrap_err().message.contains("larger than"));
}

proptest! {
    #[test]
    fn any_text_after_the_sign_is_kept_exactly(value in "[^@].*") {
        prop_assume!(value != "-");
        let (key, raw) = pair(&format!("k={value}")).unwrap();
        prop_assert_eq!((key.as_str(), raw), ("k", Raw::Text(value)));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _either = run(None, &[&text], Some(&schema()));
    }
}
