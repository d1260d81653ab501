use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use steadyhand_core::capability::{Capability, ParamError, RepeatSafe, Tier};

use super::*;

/// Contract 1.10, row by row: intent, display name, required, optional, risk, asks, idempotent, reversible,
/// tags (sorted, D-17), ceiling.
const TABLE: &str = "
file.read       | Read File          | path         |                  | safe   | no  | yes | no  | filesystem readonly        | 15000
file.write      | Write File         | path content |                  | medium | yes | no  | yes | filesystem write           | 15000
shell.run       | Run Shell Command  | command      |                  | medium | yes | no  | no  | compute shell              | 15000
browser.open    | Open Browser       | url          |                  | low    | yes | yes | no  | browser network            | 15000
app.launch      | Launch Application | target       | args working_dir | medium | yes | no  | yes | app desktop                | 30000
app.close       | Close Application  | target       | force            | high   | yes | yes | no  | app desktop                | 30000
window.focus    | Focus Window       | title        |                  | safe   | no  | yes | no  | desktop window             | 30000
window.list     | List Windows       |              |                  | safe   | no  | yes | no  | desktop readonly window    | 30000
keyboard.type   | Type Text          | text         | delay_ms         | high   | yes | no  | no  | desktop input              | 30000
keyboard.hotkey | Press Hotkey       | keys         |                  | high   | yes | no  | no  | desktop input              | 30000
mouse.click     | Mouse Click        | x y          | button clicks    | high   | yes | no  | no  | desktop input              | 30000
clipboard.read  | Read Clipboard     |              |                  | safe   | no  | yes | no  | clipboard desktop readonly | 30000
clipboard.write | Write Clipboard    | text         |                  | low    | no  | yes | yes | clipboard desktop          | 30000
";

/// Contract 5.1: tool, display name, tier, sandbox, timeout.
const TOOLS: &str = "
shell.run       | Shell Run       | TIER_1_COMPUTE  | no  | 5000
file.read       | File Read       | TIER_0_READONLY | yes | 5000
file.write      | File Write      | TIER_2_CREATE   | yes | 5000
browser.open    | Browser Open    | TIER_1_COMPUTE  | no  | 5000
app.launch      | App Launch      | TIER_1_COMPUTE  | no  | 10000
app.close       | App Close       | TIER_2_CREATE   | no  | 10000
window.focus    | Window Focus    | TIER_1_COMPUTE  | no  | 5000
window.list     | Window List     | TIER_0_READONLY | no  | 5000
keyboard.type   | Keyboard Type   | TIER_2_CREATE   | no  | 10000
keyboard.hotkey | Keyboard Hotkey | TIER_2_CREATE   | no  | 5000
mouse.click     | Mouse Click     | TIER_2_CREATE   | no  | 5000
clipboard.read  | Clipboard Read  | TIER_0_READONLY | no  | 5000
clipboard.write | Clipboard Write | TIER_2_CREATE   | no  | 5000
";

fn rows(table: &str) -> Vec<Vec<String>> {
    let row = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
    table.lines().filter(|line| !line.is_empty()).map(row).collect()
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

#[test]
fn the_registry_is_the_contracts_table() {
    let row = |c: &Capability| {
        vec![
            c.intent.to_owned(),
            c.display_name.to_owned(),
            c.required.join(" "),
            c.optional.join(" "),
            c.risk.to_string(),
            yes(c.asks),
            yes(c.idempotent),
            yes(c.reversible),
            c.tags.join(" "),
            c.timeout_max_ms.to_string(),
        ]
    };
    let registry: Vec<Vec<String>> = registry().iter().map(|c| row(c)).collect();
    assert_eq!(registry, rows(TABLE));
}

#[test]
fn the_tools_are_the_contracts_table() {
    let all = registry();
    for expected in rows(TOOLS) {
        let c = all.get(&expected[0]).unwrap();
        let tool = [
            c.intent.to_owned(),
            c.tool_name.to_owned(),
            c.tier.as_str().to_owned(),
            yes(c.sandboxed),
            c.tool_timeout_ms.to_string(),
        ];
        assert_eq!(tool.as_slice(), expected.as_slice());
    }
    let tier = |tier| all.iter().filter(|c| c.tier == tier).count();
    assert_eq!((tier(Tier::Readonly), tier(Tier::Compute), tier(Tier::Create)), (3, 4, 6));
}

#[test]
fn the_counts_are_the_contracts() {
    let all = registry();
    let mut by_risk = BTreeMap::new();
    for capability in all.iter() {
        *by_risk.entry(capability.risk.as_str()).or_insert(0) += 1;
    }
    assert_eq!(by_risk, BTreeMap::from([("safe", 4), ("low", 2), ("medium", 3), ("high", 4)]));
    let count = |f: fn(&Capability) -> bool| all.iter().filter(|c| f(c)).count();
    assert_eq!(count(|c| c.asks), 8);
    assert_eq!(count(|c| c.reversible), 3);
    assert_eq!(count(|c| c.idempotent), 7);
    assert_eq!(all.iter().count(), 13);
}

#[test]
fn only_these_may_be_repeated() {
    let of = |wanted| -> Vec<&str> {
        registry().iter().filter(|c| c.repeat_safe == wanted).map(|c| c.intent).collect()
    };
    assert_eq!(
        of(RepeatSafe::Always),
        ["file.read", "window.focus", "window.list", "clipboard.read", "clipboard.write"]
    );
    assert_eq!(of(RepeatSafe::WhenProbed), ["file.write"]);
}

#[test]
fn what_changes_nothing_and_what_is_secret_is_marked() {
    let all = registry();
    let still: Vec<&str> = all.iter().filter(|c| !c.has_effect).map(|c| c.intent).collect();
    assert_eq!(still, ["file.read", "window.list", "clipboard.read"]);
    let secrets: Vec<_> = all
        .iter()
        .filter(|c| !c.secret_params.is_empty() || !c.secret_outputs.is_empty())
        .map(|c| (c.intent, c.secret_params, c.secret_outputs))
        .collect();
    let expected: [(&str, &[&str], &[&str]); 6] = [
        ("file.read", &[], &["content"]),
        ("file.write", &["content"], &[]),
        ("shell.run", &[], &["stdout", "stderr"]),
        ("keyboard.type", &["text"], &[]),
        ("clipboard.read", &[], &["text"]),
        ("clipboard.write", &["text"], &[]),
    ];
    assert_eq!(secrets, expected);
}

#[test]
fn parameter_lists_agree_with_the_derived_schemas() {
    for c in registry().iter() {
        let names = |value: Option<&Value>| -> BTreeSet<String> {
            match value {
                Some(Value::Array(names)) => names.iter().map(|n| n.as_str().unwrap().to_owned()).collect(),
                Some(Value::Object(map)) => map.keys().cloned().collect(),
                _ => BTreeSet::new(),
            }
        };
        let set = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(names(c.params_schema.get("required")), set(c.required), "{}", c.intent);
        let all: BTreeSet<_> = set(c.required).union(&set(c.optional)).cloned().collect();
        assert_eq!(names(c.params_schema.get("properties")), all, "{}", c.intent);
        assert_eq!(c.params_schema["additionalProperties"], json!(false), "{}", c.intent);
        assert!(set(c.secret_params).is_subset(&all), "{}", c.intent);
        let outputs = names(c.output_schema.get("properties"));
        assert!(set(c.secret_outputs).is_subset(&outputs), "{}", c.intent);
        for (name, property) in c.params_schema["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{}: {name} isn't described", c.intent);
        }
    }
}

#[test]
fn bounds_and_defaults_are_in_the_schemas() {
    let all = registry();
    for (intent, pointer, expected) in [
        ("browser.open", "/url/maxLength", json!(4096)),
        ("keyboard.type", "/text/maxLength", json!(1000)),
        ("clipboard.write", "/text/maxLength", json!(100_000)),
        ("mouse.click", "/x/maximum", json!(7680)),
        ("mouse.click", "/y/maximum", json!(4320)),
        ("mouse.click", "/button/default", json!("left")),
        ("app.launch", "/args/default", json!([])),
        ("app.close", "/force/default", json!(false)),
    ] {
        let found = all.get(intent).unwrap().params_schema["properties"].pointer(pointer).cloned();
        assert_eq!(found, Some(expected), "{intent} {pointer}");
    }
}

fn errors(intent: &str, params: Value) -> Vec<String> {
    let Value::Object(params) = params else { panic!("an object is passed") };
    registry().get(intent).unwrap().ill_typed(&params).iter().map(ToString::to_string).collect()
}

#[test]
fn wrong_types_are_named_with_what_was_wanted_and_given() {
    for (intent, params, message) in [
        ("file.read", json!({"path": 1}), "Parameter 'path' must be a string, got a number"),
        ("file.read", json!({"path": true}), "Parameter 'path' must be a string, got a boolean"),
        ("file.read", json!({"path": ["a"]}), "Parameter 'path' must be a string, got an array"),
        ("file.read", json!({"path": {}}), "Parameter 'path' must be a string, got an object"),
        (
            "file.write",
            json!({"path": "a", "content": 0.5}),
            "Parameter 'content' must be a string, got a number",
        ),
        ("shell.run", json!({"command": ["ls"]}), "Parameter 'command' must be a string, got an array"),
        ("browser.open", json!({"url": false}), "Parameter 'url' must be a string, got a boolean"),
        (
            "app.launch",
            json!({"target": "a", "args": "b"}),
            "Parameter 'args' must be an array or null, got a string",
        ),
        (
            "app.launch",
            json!({"target": "a", "args": ["b", 2]}),
            "Parameter 'args[1]' must be a string, got a number",
        ),
        (
            "app.launch",
            json!({"target": "a", "working_dir": 1}),
            "Parameter 'working_dir' must be a string or null, got a number",
        ),
        (
            "app.close",
            json!({"target": "a", "force": "yes"}),
            "Parameter 'force' must be true or false or null, got a string",
        ),
        ("window.focus", json!({"title": 7}), "Parameter 'title' must be a string, got a number"),
        (
            "keyboard.type",
            json!({"text": "a", "delay_ms": -1}),
            "Parameter 'delay_ms' must be a whole number from 0 to 4294967295 or null, got -1",
        ),
        (
            "keyboard.type",
            json!({"text": "a", "delay_ms": 1.5}),
            "Parameter 'delay_ms' must be a whole number from 0 to 4294967295 or null, got 1.5",
        ),
        ("keyboard.hotkey", json!({"keys": ["ctrl"]}), "Parameter 'keys' must be a string, got an array"),
        ("mouse.click", json!({"x": "1", "y": 2}), "Parameter 'x' must be a whole number, got a string"),
        ("mouse.click", json!({"x": 1.5, "y": 2}), "Parameter 'x' must be a whole number, got 1.5"),
        (
            "mouse.click",
            json!({"x": 1, "y": 2, "button": 1}),
            "Parameter 'button' must be a string or null, got a number",
        ),
        ("clipboard.write", json!({"text": 5}), "Parameter 'text' must be a string, got a number"),
    ] {
        assert_eq!(errors(intent, params.clone()), [message], "{intent} {params}");
    }
}

#[test]
fn what_fits_passes() {
    for (intent, params) in [
        ("file.read", json!({"path": ""})),
        ("file.write", json!({"path": "a", "content": ""})),
        ("app.launch", json!({"target": "a"})),
        ("app.launch", json!({"target": "a", "args": null, "working_dir": null})),
        ("app.launch", json!({"target": "a", "args": ["b"], "working_dir": "/"})),
        ("app.close", json!({"target": "a", "force": true})),
        ("mouse.click", json!({"x": -1, "y": 99_999})),
        ("mouse.click", json!({"x": 1, "y": 2, "button": "middle", "clicks": 3})),
        ("window.list", json!({})),
        ("clipboard.read", json!({})),
    ] {
        assert_eq!(errors(intent, params.clone()), Vec::<String>::new(), "{intent} {params}");
    }
}

#[test]
fn unknown_parameters_are_named_with_the_nearest_known() {
    for (intent, params, message) in [
        ("file.read", json!({"paht": "a"}), "Unknown parameter: paht; did you mean 'path'?"),
        ("file.read", json!({"path": "a", "encoding": "x"}), "Unknown parameter: encoding; known are path"),
        ("window.list", json!({"title": "a"}), "Unknown parameter: title; this capability takes none"),
        (
            "mouse.click",
            json!({"x": 1, "y": 2, "buton": "left"}),
            "Unknown parameter: buton; did you mean 'button'?",
        ),
    ] {
        assert_eq!(errors(intent, params), [message], "{intent}");
    }
}

#[test]
fn a_missing_parameter_is_named_once() {
    let all = registry();
    let read = all.get("file.read").unwrap();
    assert_eq!(read.missing(&Map::new()), [ParamError::Missing("path")]);
    assert_eq!(read.missing(json!({"path": "a"}).as_object().unwrap()), []);
}

#[test]
fn the_check_refuses_what_is_no_object() {
    for (params, got) in [(json!([]), "an array"), (json!(null), "null"), (json!("a"), "a string")] {
        let message = format!("Parameters must be an object, got {got}");
        assert_eq!((registry().get("file.read").unwrap().check)(&params), Err(message));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,4}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_makes_a_check_panic_or_blame_nobody(value in any_json()) {
        for c in registry().iter() {
            for name in c.required.iter().chain(c.optional) {
                let mut params: Map<String, Value> = c.required.iter().map(|n| ((*n).to_owned(), json!("a"))).collect();
                params.insert((*name).to_owned(), value.clone());
                if let Err(message) = (c.check)(&Value::Object(params)) {
                    prop_assert!(message.starts_with("Parameter '"), "{message}");
                }
            }
            let _ = (c.check)(&value);
        }
    }
}
