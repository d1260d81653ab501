//! Contract 1.10, D-17, 9: what can be done.
//!
//! - the thirteen in order with name, risk, confirmation, parameters, flags and sorted tags
//! - `stats` counts them: 13 in all (pinned), 4 safe, 4 high, 8 that ask (pinned bounds)
//! - `all=true` adds schemas, repeat safety, bounds, availability with the reason when not

use serde_json::{Value, json};

use crate::support::both_auths;

/// Intent, name, required, optional, risk, confirm, idempotent, reversible, tags.
type Row = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
    bool,
    bool,
    bool,
    &'static [&'static str],
);

const TABLE: [Row; 13] = [
    ("file.read", "Read File", &["path"], &[], "safe", false, true, false, &["filesystem", "readonly"]),
    (
        "file.write",
        "Write File",
        &["path", "content"],
        &[],
        "medium",
        true,
        false,
        true,
        &["filesystem", "write"],
    ),
    (
        "shell.run",
        "Run Shell Command",
        &["command"],
        &[],
        "medium",
        true,
        false,
        false,
        &["compute", "shell"],
    ),
    ("browser.open", "Open Browser", &["url"], &[], "low", true, true, false, &["browser", "network"]),
    (
        "app.launch",
        "Launch Application",
        &["target"],
        &["args", "working_dir"],
        "medium",
        true,
        false,
        true,
        &["app", "desktop"],
    ),
    (
        "app.close",
        "Close Application",
        &["target"],
        &["force"],
        "high",
        true,
        true,
        false,
        &["app", "desktop"],
    ),
    ("window.focus", "Focus Window", &["title"], &[], "safe", false, true, false, &["desktop", "window"]),
    ("window.list", "List Windows", &[], &[], "safe", false, true, false, &["desktop", "readonly", "window"]),
    (
        "keyboard.type",
        "Type Text",
        &["text"],
        &["delay_ms"],
        "high",
        true,
        false,
        false,
        &["desktop", "input"],
    ),
    ("keyboard.hotkey", "Press Hotkey", &["keys"], &[], "high", true, false, false, &["desktop", "input"]),
    (
        "mouse.click",
        "Mouse Click",
        &["x", "y"],
        &["button", "clicks"],
        "high",
        true,
        false,
        false,
        &["desktop", "input"],
    ),
    (
        "clipboard.read",
        "Read Clipboard",
        &[],
        &[],
        "safe",
        false,
        true,
        false,
        &["clipboard", "desktop", "readonly"],
    ),
    (
        "clipboard.write",
        "Write Clipboard",
        &["text"],
        &[],
        "low",
        false,
        true,
        true,
        &["clipboard", "desktop"],
    ),
];

#[tokio::test]
async fn the_thirteen_are_those_of_the_table_in_its_order() {
    both_auths(async |stack| {
        let body = stack.get("/v1/capabilities").await.ok();
        assert_eq!(body["ok"], true);
        let listed = body["capabilities"].as_array().unwrap();
        assert_eq!(listed.len(), TABLE.len());
        for (entry, row) in listed.iter().zip(TABLE) {
            let (intent, name, required, optional, risk, asks, idempotent, reversible, tags) = row;
            let mut entry = entry.clone();
            let fields = entry.as_object_mut().unwrap();
            assert!(fields.remove("description").is_some_and(|d| d.as_str().is_some_and(|d| !d.is_empty())));
            assert!(fields.remove("implemented").is_some_and(|i| i.is_boolean()));
            let expected = json!({"intent": intent, "display_name": name, "required_params": required,
                "optional_params": optional, "risk_level": risk, "requires_confirmation": asks,
                "idempotent": idempotent, "reversible": reversible, "tags": tags});
            assert_eq!(entry, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn stats_count_what_is_listed() {
    both_auths(async |stack| {
        let body = stack.get("/v1/capabilities").await.ok();
        let listed = body["capabilities"].as_array().unwrap();
        let implemented: Vec<&Value> = listed.iter().filter(|c| c["implemented"] == true).collect();
        for hand in ["file.read", "file.write", "shell.run"] {
            assert!(implemented.iter().any(|c| c["intent"] == hand), "{hand}");
        }
        let stats = json!({"total": 13, "implemented": implemented.len(),
            "by_risk": {"safe": 4, "low": 2, "medium": 3, "high": 4, "critical": 0},
            "confirmable": 8, "reversible": 3, "idempotent": 7});
        assert_eq!(body["stats"], stats);
    })
    .await;
}

#[tokio::test]
async fn all_adds_schemas_and_says_what_is_in_the_way() {
    both_auths(async |stack| {
        let body = stack.get("/v1/capabilities?all=yes").await.ok();
        for entry in body["capabilities"].as_array().unwrap() {
            let properties = entry["params_schema"]["properties"].as_object();
            let named = |key: &str| {
                entry[key]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|p| p.as_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
            };
            for param in [named("required_params"), named("optional_params")].concat() {
                assert!(properties.is_some_and(|p| p.contains_key(&param)), "{param}: {entry}");
            }
            assert!(entry["output_schema"].is_object(), "{entry}");
            assert!(["always", "never", "when_probed"].contains(&entry["repeat_safe"].as_str().unwrap()));
            let short = ["file.read", "file.write", "shell.run", "browser.open"];
            let max = if short.contains(&entry["intent"].as_str().unwrap()) { 15_000 } else { 30_000 };
            assert_eq!(entry["timeout_max_ms"], max, "{entry}");
            assert!(entry["sandbox"].is_string());
            let says_why = entry["unavailable_reason"].is_string();
            assert_eq!(says_why, entry["available"] == false, "{entry}");
            assert!(entry["implemented"] == true || entry["available"] == false, "{entry}");
        }
        assert!(stack.get("/v1/capabilities?all=perhaps").await.status == 422);
    })
    .await;
}
