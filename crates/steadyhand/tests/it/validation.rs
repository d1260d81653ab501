//! Contract 1.9.2, D-35, D-36: what is refused before anything runs.
//!
//! - HTTP 200, `ok` false, `planned`, `VALIDATION_FAILED`, no `execution` (pinned)
//! - `Unknown intent` and `Missing required` in the message (pinned); unknown is `high` and asks
//! - empty texts pass, wrong types don't; ceilings of 15 s and 30 s
//! - policy denies: `failed`, `POLICY_DENIED`, the rule's name, no `execution`

use serde_json::{Value, json};

use crate::support::{Stack, both_auths};

async fn refused(stack: &Stack, intent: &str, params: Value, timeout_ms: u32) -> Value {
    let request = json!({"intent": intent, "params": params, "timeout_ms": timeout_ms});
    let answer = stack.post("/v1/actions/plan", request).await.ok();
    assert_eq!((&answer["ok"], &answer["state"]), (&json!(false), &json!("planned")), "{answer}");
    assert_eq!(answer["error"]["code"], "VALIDATION_FAILED", "{answer}");
    assert_eq!(answer["error"]["message"], answer["validation"]["rejection_reason"], "{answer}");
    assert_eq!(answer["validation"]["valid"], false, "{answer}");
    assert!(answer.get("execution").is_none(), "{answer}");
    let record = stack.record(&answer).await;
    assert_eq!(record["state"], "planned", "{record}");
    assert!(record["completed_at"].is_string(), "it has ended: {record}");
    let late = stack.decide("approve", &answer).await;
    assert_eq!(late["error"]["code"], "INVALID_STATE", "{late}");
    answer
}

fn last_check(answer: &Value) -> &Value {
    answer["validation"]["checks"].as_array().unwrap().iter().find(|c| c["pass"] == false).unwrap()
}

#[tokio::test]
async fn unknown_intents_are_named_and_assessed_high() {
    both_auths(async |stack| {
        for intent in
            ["no.such", "", "file.reed", "FILE.READ", "file.read ", "file.read\u{0}", "../file.read"]
        {
            let answer = refused(stack, intent, json!({"path": "a"}), 10_000).await;
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.starts_with(&format!("Unknown intent: {intent}")), "{answer}");
            assert_eq!(
                (&answer["risk_level"], &answer["requires_confirmation"]),
                (&json!("high"), &json!(true))
            );
            assert_eq!(last_check(&answer)["check"], "capability_exists");
        }
        let near = refused(stack, "file.reed", json!({}), 10_000).await;
        assert!(near["error"]["message"].as_str().unwrap().contains("file.read"), "{near}");
    })
    .await;
}

#[tokio::test]
async fn missing_parameters_are_named_one_by_one() {
    both_auths(async |stack| {
        for (intent, params, missing) in [
            ("file.read", json!({}), vec!["path"]),
            ("file.read", json!({"path": null}), vec!["path"]),
            ("file.write", json!({"path": "a"}), vec!["content"]),
            ("file.write", json!({}), vec!["path", "content"]),
            ("shell.run", json!({}), vec!["command"]),
            ("mouse.click", json!({"x": 1}), vec!["y"]),
        ] {
            let answer = refused(stack, intent, params, 10_000).await;
            let expected: Vec<String> =
                missing.iter().map(|p| format!("Missing required parameter: {p}")).collect();
            assert_eq!(last_check(&answer)["check"], "required_params", "{answer}");
            assert_eq!(last_check(&answer)["detail"], json!(expected), "{answer}");
            assert_eq!(answer["error"]["message"], expected.join("; "), "{answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn wrong_types_are_refused_and_empty_texts_are_not() {
    both_auths(async |stack| {
        for (intent, params) in [
            ("file.read", json!({"path": 5})),
            ("file.read", json!({"path": ["a"]})),
            ("file.write", json!({"path": "a", "content": {"b": 1}})),
            ("shell.run", json!({"command": true})),
            ("mouse.click", json!({"x": "left", "y": 2})),
            ("app.close", json!({"target": "x", "force": "perhaps"})),
        ] {
            let answer = refused(stack, intent, params.clone(), 10_000).await;
            assert_eq!(last_check(&answer)["check"], "param_types", "{params}: {answer}");
        }
        let empty = stack.plan("file.read", json!({"path": ""})).await;
        assert_eq!(
            (&empty["validation"]["valid"], &empty["state"]),
            (&json!(true), &json!("failed")),
            "{empty}"
        );
        assert_eq!(empty["execution"]["error_message"], "path argument required", "{empty}");
    })
    .await;
}

#[tokio::test]
async fn each_capability_has_its_own_longest_timeout() {
    both_auths(async |stack| {
        for (intent, params, max) in [
            ("file.read", json!({"path": "a"}), 15_000),
            ("file.write", json!({"path": "a", "content": ""}), 15_000),
            ("shell.run", json!({"command": "ls"}), 15_000),
            ("browser.open", json!({"url": "https://example.org"}), 15_000),
            ("window.list", json!({}), 30_000),
            ("keyboard.type", json!({"text": "x"}), 30_000),
        ] {
            let answer = refused(stack, intent, params.clone(), max + 1).await;
            let detail = format!("Timeout {}ms exceeds max {max}ms", max + 1);
            assert_eq!(
                last_check(&answer),
                &json!({"check": "timeout_bounds", "pass": false, "detail": detail})
            );
            assert_eq!(answer["error"]["message"], "Pre-flight check failed");
            let request = json!({"intent": intent, "params": params, "timeout_ms": max, "dry_run": true});
            assert_eq!(stack.post("/v1/actions/plan", request).await.ok()["state"], "validated", "{intent}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_policy_denies_never_runs_and_names_its_rule() {
    let rule = "[[rule]]\nname = \"keep_out\"\ncapability = \"file.read\"\ndecision = \"deny\"\n\
                description = \"this folder is closed\"\n[rule.args]\npath = { regex = \"^closed/\" }\n";
    for auth in [false, true] {
        let stack = Stack::builder().auth(auth).policy(rule).start().await;
        std::fs::create_dir(stack.root().join("closed")).unwrap();
        std::fs::write(stack.root().join("closed/a"), "x").unwrap();
        for (intent, params, name) in [
            ("file.read", json!({"path": "closed/a"}), "keep_out"),
            ("file.read", json!({"path": "../a"}), "deny_path_escape"),
            ("file.write", json!({"path": "a/../../b", "content": ""}), "deny_path_escape"),
            ("shell.run", json!({"command": "rm -rf ."}), "deny_destructive_shell"),
        ] {
            let answer = stack.plan(intent, params).await;
            assert_eq!((&answer["ok"], &answer["state"]), (&json!(false), &json!("failed")), "{answer}");
            assert_eq!(answer["error"]["code"], "POLICY_DENIED", "{answer}");
            assert!(answer["error"]["message"].as_str().unwrap().contains(name), "{answer}");
            assert!(answer.get("execution").is_none(), "{answer}");
            assert_eq!(stack.record(&answer).await["rule"], name);
        }
        let open = stack.plan("file.read", json!({"path": "open"})).await;
        assert_eq!(open["execution"]["error_message"], "File not found: open");
    }
}
