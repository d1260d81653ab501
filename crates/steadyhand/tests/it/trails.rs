//! Contract 1.14, 1.17, D-18: what is told of an action afterwards.
//!
//! - a trail has `action_id`, `intent`, ≥ 3 events, `plan` and `validate` among them (pinned)
//! - approval, execution, look and end are in it; unknown → 404 (pinned)
//! - `actions.jsonl` and `audit.jsonl`: a line per event, one whole trail per run; `ts` ends in `+00:00`
//! - standard output: one JSON line per call

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Stack, both_auths, is_time, until};

async fn trail(stack: &Stack, action: &Value) -> Value {
    let id = action["action_id"].as_str().unwrap();
    let body = stack.get(&format!("/v1/audit-trails/{id}")).await.ok();
    assert_eq!(body["ok"], true);
    let trail = body["trail"].clone();
    assert_eq!(trail["action_id"], id);
    assert_eq!(trail["intent"], action["intent"]);
    assert_eq!(trail["correlation_id"], action["correlation_id"]);
    assert!(is_time(&trail["created_at"], "Z"), "{trail}");
    assert_eq!(trail["event_count"], trail["events"].as_array().unwrap().len());
    for event in trail["events"].as_array().unwrap() {
        assert!(is_time(&event["timestamp"], "Z"), "{event}");
        assert!(event["duration_ms"].as_f64().unwrap() >= 0.0, "{event}");
    }
    let times = trail["events"].as_array().unwrap().iter();
    assert!(times.map(|e| e["timestamp"].as_str().unwrap().trim_end_matches('Z')).is_sorted(), "{trail}");
    trail
}

/// `phase status` of each event, the executor's own steps aside.
fn phases(trail: &Value) -> Vec<String> {
    let told = trail["events"].as_array().unwrap().iter();
    told.map(|e| format!("{} {}", e["phase"].as_str().unwrap(), e["status"].as_str().unwrap()))
        .filter(|p| p != "dispatch durable")
        .collect()
}

fn event<'t>(trail: &'t Value, phase: &str) -> &'t Value {
    trail["events"].as_array().unwrap().iter().find(|e| e["phase"] == phase).unwrap()
}

#[tokio::test]
async fn a_trail_tells_the_road_of_each_kind_of_action() {
    both_auths(async |stack| {
        std::fs::write(stack.root().join("a.txt"), "x").unwrap();
        let read = stack.plan("file.read", json!({"path": "a.txt"})).await;
        let told = trail(stack, &read).await;
        assert_eq!(
            phases(&told),
            ["plan completed", "validate passed", "execute succeeded", "lifecycle complete"]
        );
        let plan = event(&told, "plan");
        assert_eq!((&plan["risk_level"], &plan["dry_run"]), (&json!("safe"), &json!(false)));
        assert!(event(&told, "validate")["checks_total"].as_u64().unwrap() >= 4);
        let execute = event(&told, "execute");
        assert_eq!((&execute["retries_used"], &execute["error_code"]), (&json!(0), &Value::Null));
        let end = event(&told, "lifecycle");
        assert_eq!(end["final_state"], "succeeded");
        assert!(end["total_ms"].as_f64().unwrap() > 0.0, "{end}");

        let failed = stack.plan("file.read", json!({"path": "none"})).await;
        let told = trail(stack, &failed).await;
        assert_eq!(event(&told, "execute")["error_code"], "EXECUTION_FAILED", "{told}");
        assert_eq!(event(&told, "lifecycle")["final_state"], "failed");

        let invalid = stack.plan("file.read", json!({})).await;
        let told = trail(stack, &invalid).await;
        assert_eq!(phases(&told), ["plan completed", "validate failed", "lifecycle validation_failed"]);
        assert_eq!(event(&told, "lifecycle")["detail"], "Missing required parameter: path");

        let dry = json!({"intent": "file.write", "params": {"path": "a", "content": ""}, "dry_run": true});
        let dry = stack.post("/v1/actions/plan", dry).await.ok();
        let told = trail(stack, &dry).await;
        assert_eq!(phases(&told), ["plan completed", "validate passed", "lifecycle dry_run_complete"]);

        let asked = stack.plan("file.write", json!({"path": "b.txt", "content": "x"})).await;
        let told = trail(stack, &asked).await;
        assert_eq!(phases(&told), ["plan completed", "validate passed", "approval pending"]);
        assert_eq!(event(&told, "approval")["detail"], "Awaiting operator approval (risk=medium)");
        stack.decide("approve", &asked).await;
        let told = trail(stack, &asked).await;
        let expected = [
            "plan completed",
            "validate passed",
            "approval pending",
            "approval approved",
            "execute succeeded",
            "verify passed",
            "lifecycle complete",
        ];
        assert_eq!(phases(&told), expected);

        let asked = stack.plan("shell.run", json!({"command": "ls"})).await;
        stack.decide("deny", &asked).await;
        let told = trail(stack, &asked).await;
        let expected = [
            "plan completed",
            "validate passed",
            "approval pending",
            "approval denied",
            "lifecycle complete",
        ];
        assert_eq!(phases(&told), expected);
        assert_eq!(event(&told, "lifecycle")["final_state"], "denied");

        let list = stack.get("/v1/audit-trails").await.ok();
        assert_eq!((&list["ok"], &list["total"]), (&json!(true), &json!(6)));
        assert_eq!(list["trails"][0]["action_id"], asked["action_id"], "newest first");
        assert_eq!(list["trails"].as_array().unwrap().len(), 6);
    })
    .await;
}

fn lines(stack: &Stack, name: &str) -> Vec<Value> {
    let path: PathBuf = stack.data().join("logs/gateway").join(name);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn lines_of(stack: &Stack, name: &str, action: &Value, n: usize) -> Vec<Value> {
    until(&format!("{n} lines in {name}"), async || {
        let own = lines(stack, name).into_iter().filter(|l| l["action_id"] == action["action_id"]);
        let own: Vec<Value> = own.collect();
        (own.len() >= n).then_some(own)
    })
    .await
}

#[tokio::test]
async fn log_files_have_a_line_per_event_and_one_trail_per_run() {
    both_auths(async |stack| {
        let asked = stack.plan("file.write", json!({"path": "b.txt", "content": "x"})).await;
        stack.decide("approve", &asked).await;
        let told = lines_of(stack, "actions.jsonl", &asked, 7).await;
        let events: Vec<&str> = told.iter().map(|l| l["event"].as_str().unwrap()).collect();
        assert_eq!(
            events,
            ["planned", "validated", "pending_approval", "approved", "executing", "verified", "succeeded"]
        );
        assert!(told.iter().all(|l| is_time(&l["ts"], "+00:00")), "{told:?}");
        let planned = &told[0];
        assert_eq!((&planned["intent"], &planned["risk"]), (&json!("file.write"), &json!("medium")));
        assert_eq!(
            (&planned["dry_run"], &planned["correlation_id"]),
            (&json!(false), &asked["correlation_id"])
        );
        assert!(
            told[1]["checks_passed"].as_u64().unwrap() >= 4
                && told[1]["checks_passed"] == told[1]["checks_total"]
        );
        assert_eq!(told[4]["intent"], "file.write");
        assert!(told[6]["duration_ms"].is_number() && told[6]["retries"] == 0, "{told:?}");
        let audit = lines_of(stack, "audit.jsonl", &asked, 1).await;
        let whole = trail(stack, &asked).await;
        assert_eq!(audit.len(), 1);
        assert_eq!(audit[0]["events"], whole["events"]);
        assert!(is_time(&audit[0]["ts"], "+00:00"));

        for (request, event, reason) in [
            (json!({"intent": "no.such"}), "validation_failed", "unknown_intent"),
            (json!({"intent": "file.read"}), "validation_failed", "missing_params"),
            (json!({"intent": "shell.run", "params": {"command": "rm -rf x"}}), "failed", "policy_denied"),
            (json!({"intent": "file.read", "params": {"path": "none"}}), "failed", "EXECUTION_FAILED"),
        ] {
            let answer = stack.post("/v1/actions/plan", request).await.ok();
            lines_of(stack, "audit.jsonl", &answer, 1).await;
            let told = lines_of(stack, "actions.jsonl", &answer, 2).await;
            let last = told.last().unwrap();
            assert_eq!((&last["event"], &last["reason"]), (&json!(event), &json!(reason)), "{told:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn standard_output_has_one_json_line_per_call() {
    let mut stack = Stack::builder().auth(true).start().await;
    let asked = stack.plan("file.write", json!({"path": "b.txt", "content": "x"})).await;
    stack.decide("approve", &asked).await;
    stack.plan("no.such", json!({})).await;
    stack.stop().await;
    let text = stack.stdout();
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        told.iter()
            .all(|l| l["level"].is_string() && l["service"].is_string() && is_time(&l["timestamp"], "Z"))
    );
    let told_as =
        |key: &str| told.iter().filter_map(|l| l[key].as_str()).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(told_as("operation"), ["action.plan", "action.approve", "action.plan"]);
    assert_eq!(told_as("event"), ["recovered", "startup", "shutdown"]);
    let approve = told.iter().find(|l| l["operation"] == "action.approve").unwrap();
    assert_eq!(approve["action_id"], asked["action_id"]);
    assert_eq!(approve["correlation_id"], asked["correlation_id"]);
    assert_eq!((&approve["ok"], &approve["state"]), (&json!(true), &json!("succeeded")));
    assert!(approve["duration_ms"].is_number());
}
