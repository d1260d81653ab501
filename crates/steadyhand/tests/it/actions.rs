//! Contract 1.9, 1.9.1, 1.9.3, 0.2, 0.3: one action, from request to answer.
//!
//! - a safe action runs in one call; its answer has every field of 1.9 (pinned)
//! - a guarded one waits, with its risk, and nothing runs (pinned for all seven guarded capabilities)
//! - a dry run validates any of the thirteen, leaves the world alone, and has no `execution` (pinned)
//! - telemetry keys, at least four checks (pinned); `failure_class` absent on success (pinned)
//! - how executions end: not found, outside the sandbox, non-zero exit, timeout (1.9.3, D-5, D-43)
//! - what was started goes on when the caller hangs up

use serde_json::{Value, json};

use crate::support::{Stack, both_auths, is_id, is_time, until};

/// The guarded capabilities with a request that each takes, and its risk.
fn guarded() -> [(&'static str, Value, &'static str); 8] {
    [
        ("file.write", json!({"path": "w.txt", "content": "x"}), "medium"),
        ("shell.run", json!({"command": "ls"}), "medium"),
        ("browser.open", json!({"url": "https://example.org/"}), "low"),
        ("app.launch", json!({"target": "xterm"}), "medium"),
        ("app.close", json!({"target": "xterm"}), "high"),
        ("keyboard.type", json!({"text": "hello"}), "high"),
        ("keyboard.hotkey", json!({"keys": "ctrl+a"}), "high"),
        ("mouse.click", json!({"x": 1, "y": 2}), "high"),
    ]
}

/// The others.
fn unguarded() -> [(&'static str, Value, &'static str); 5] {
    [
        ("file.read", json!({"path": "r.txt"}), "safe"),
        ("window.list", json!({}), "safe"),
        ("window.focus", json!({"title": "no such window"}), "safe"),
        ("clipboard.read", json!({}), "safe"),
        ("clipboard.write", json!({"text": "x"}), "low"),
    ]
}

#[tokio::test]
async fn a_safe_action_is_planned_run_and_told_in_one_answer() {
    both_auths(async |stack| {
        std::fs::create_dir(stack.root().join("config")).unwrap();
        let text = "{\"greeting\": \"grüß ✓\"}\n";
        std::fs::write(stack.root().join("config/a.json"), text).unwrap();
        let answer = stack.plan("file.read", json!({"path": "config/a.json"})).await;
        assert_eq!(answer["ok"], true, "{answer}");
        assert!(is_id(&answer["action_id"], "act_", 16), "{answer}");
        assert_eq!(answer["state"], "succeeded");
        assert_eq!(answer["intent"], "file.read");
        assert_eq!(answer["risk_level"], "safe");
        assert_eq!(answer["requires_confirmation"], false);
        let execution = &answer["execution"];
        assert_eq!(execution["success"], true);
        assert!(execution.get("failure_class").is_none(), "{execution}");
        assert!(execution.get("error_code").is_none(), "{execution}");
        assert_eq!(execution["retries_used"], 0);
        assert_eq!(execution["side_effects"], json!([]));
        assert!(execution["duration_ms"].as_f64().unwrap() >= 0.0);
        let output = &execution["output"];
        assert_eq!(output["path"], stack.root().join("config/a.json").to_str().unwrap());
        assert_eq!(output["size_bytes"], text.len());
        assert_eq!(output["content"], text);
        assert_eq!(output["success"], true);
        assert!(output["elapsed_ms"].as_f64().unwrap() >= 0.0);
        for key in ["plan_ms", "validate_ms", "approval_wait_ms", "execute_ms", "verify_ms", "total_ms"] {
            assert!(answer["telemetry"][key].as_f64().unwrap() >= 0.0, "{key}: {answer}");
        }
        let validation = &answer["validation"];
        assert_eq!(validation["valid"], true);
        assert!(validation.get("rejection_reason").is_none());
        let checks = validation["checks"].as_array().unwrap();
        assert!(checks.len() >= 4, "{validation}");
        assert!(checks.iter().all(|c| c["check"].is_string() && c["pass"] == true), "{validation}");
        assert!(is_id(&answer["correlation_id"], "req_", 12));
        assert!(answer.get("error").is_none(), "null fields are left out: {answer}");
        assert!(!answer.as_object().unwrap().values().any(Value::is_null), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_guarded_action_waits_and_nothing_runs() {
    both_auths(async |stack| {
        for (intent, params, risk) in guarded() {
            let answer = stack.plan(intent, params).await;
            assert_eq!(answer["ok"], true, "{answer}");
            assert_eq!(answer["state"], "pending_approval", "{answer}");
            assert_eq!(answer["risk_level"], risk, "{answer}");
            assert_eq!(answer["requires_confirmation"], true, "{answer}");
            assert!(answer.get("execution").is_none(), "{answer}");
            let record = stack.record(&answer).await;
            assert_eq!(record["state"], "pending_approval");
            assert!(record.get("execution").is_none() && record.get("completed_at").is_none(), "{record}");
        }
        assert_eq!(std::fs::read_dir(stack.root()).unwrap().count(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_validates_any_capability_and_touches_nothing() {
    both_auths(async |stack| {
        for (intent, params, risk) in guarded().into_iter().chain(unguarded()) {
            let request = json!({"intent": intent, "params": params, "dry_run": true});
            let answer = stack.post("/v1/actions/plan", request).await.ok();
            assert_eq!((&answer["ok"], &answer["state"]), (&json!(true), &json!("validated")), "{answer}");
            assert_eq!(answer["validation"]["valid"], true, "{answer}");
            assert_eq!(answer["risk_level"], risk);
            assert!(answer.get("execution").is_none(), "{answer}");
            let record = stack.record(&answer).await;
            assert_eq!((&record["dry_run"], &record["state"]), (&json!(true), &json!("validated")));
            let late = stack.decide("approve", &answer).await;
            assert_eq!(late["error"]["message"], "Cannot approve action in state 'validated'");
        }
        assert_eq!(std::fs::read_dir(stack.root()).unwrap().count(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_this_build_can_not_do_says_so_and_is_not_gated_differently() {
    both_auths(async |stack| {
        let capabilities = stack.get("/v1/capabilities").await.ok()["capabilities"].clone();
        let is_implemented = |intent: &str| {
            capabilities.as_array().unwrap().iter().any(|c| c["intent"] == intent && c["implemented"] == true)
        };
        for (intent, params, _) in unguarded().into_iter().filter(|(intent, ..)| !is_implemented(intent)) {
            let answer = stack.plan(intent, params).await;
            assert_eq!((&answer["ok"], &answer["state"]), (&json!(false), &json!("failed")), "{answer}");
            assert_eq!(answer["requires_confirmation"], false, "{answer}");
            assert_eq!(answer["execution"]["error_code"], "VALIDATION_FAILED", "{answer}");
            assert_eq!(answer["execution"]["failure_class"], "validation_failed", "{answer}");
            assert_eq!(answer["execution"]["retries_used"], 0, "{answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_record_has_its_fields_and_only_the_ones_that_are_so() {
    both_auths(async |stack| {
        let request = json!({"intent": "file.read", "params": {"path": "none"}, "session_id": "s1",
            "idempotency_key": "k1", "timeout_ms": 5000, "max_retries": 2, "metadata": {"dropped": true}});
        let answer = stack.post("/v1/actions/plan", request).await.ok();
        let record = stack.record(&answer).await;
        assert_eq!(record["action_id"], answer["action_id"]);
        assert_eq!(record["intent"], "file.read");
        assert_eq!(record["params"], json!({"path": "none"}));
        assert_eq!(record["session_id"], "s1");
        assert_eq!(record["idempotency_key"], "k1");
        assert_eq!((&record["timeout_ms"], &record["max_retries"]), (&json!(5000), &json!(2)));
        assert_eq!(record["retry_count"], 0);
        assert_eq!(record["caller"], "operator");
        assert_eq!(record["correlation_id"], answer["correlation_id"]);
        assert!(record.get("metadata").is_none());
        for key in ["created_at", "updated_at", "completed_at"] {
            assert!(is_time(&record[key], ""), "{record}");
        }
        for key in ["validation", "telemetry", "execution"] {
            assert!(record[key].is_object(), "{record}");
        }
        let bare = stack.plan("file.read", json!({"path": "none"})).await;
        let record = stack.record(&bare).await;
        assert_eq!(record["max_retries"], Value::Null);
        assert_eq!(record["timeout_ms"], 10_000);
        assert!(record.get("session_id").is_none() && record.get("idempotency_key").is_none(), "{record}");
    })
    .await;
}

#[tokio::test]
async fn executions_end_as_their_failures_are_classed() {
    both_auths(async |stack| {
        std::fs::create_dir(stack.root().join("folder")).unwrap();
        std::fs::write(stack.root().join("latin"), b"\xff\xfe").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", stack.root().join("out")).unwrap();
        let sibling = stack.root().parent().unwrap().join("root-sibling");
        std::fs::create_dir(&sibling).unwrap();
        std::fs::write(sibling.join("s.txt"), "x").unwrap();
        let sibling = sibling.join("s.txt").to_str().unwrap().to_owned();
        let outside = |path: &str| format!("Path '{path}' is outside sandbox or is protected");
        let rows = [
            ("none.txt", "EXECUTION_FAILED", "execution_error", "File not found: none.txt".to_owned()),
            ("folder", "EXECUTION_FAILED", "execution_error", "Not a file: folder".to_owned()),
            ("latin", "EXECUTION_FAILED", "execution_error", "invalid UTF-8".to_owned()),
            ("/etc/passwd", "POLICY_DENIED", "policy_denied", outside("/etc/passwd")),
            ("out", "POLICY_DENIED", "policy_denied", outside("out")),
            (&sibling, "POLICY_DENIED", "policy_denied", outside(&sibling)),
        ];
        for (path, code, class, message) in rows {
            let answer = stack.plan("file.read", json!({"path": path})).await;
            assert_eq!((&answer["ok"], &answer["state"]), (&json!(false), &json!("failed")), "{answer}");
            let execution = &answer["execution"];
            assert_eq!(execution["success"], false, "{answer}");
            assert_eq!(execution["error_code"], code, "{answer}");
            assert_eq!(execution["failure_class"], class, "{answer}");
            assert_eq!(execution["retries_used"], 0, "{answer}");
            assert!(execution["error_message"].as_str().unwrap().contains(&message), "{answer}");
            assert_eq!(stack.record(&answer).await["retry_count"], 0);
        }
    })
    .await;
}

#[tokio::test]
async fn writes_and_commands_that_policy_allows_run_and_are_verified() {
    let policy = "[[rule]]\nname = \"trusted\"\ncapability = \"*\"\ndecision = \"allow\"\n";
    for auth in [false, true] {
        let stack = Stack::builder().auth(auth).policy(policy).start().await;
        let path = stack.root().join("deep/er/a.txt");
        let first = stack.plan("file.write", json!({"path": "deep/er/a.txt", "content": "one\n"})).await;
        assert_eq!((&first["ok"], &first["state"]), (&json!(true), &json!("succeeded")), "{first}");
        assert_eq!(first["requires_confirmation"], false);
        let output = &first["execution"]["output"];
        assert_eq!(output["path"], path.to_str().unwrap());
        assert_eq!((&output["bytes_written"], &output["was_existing"]), (&json!(4), &json!(false)));
        assert_eq!(first["execution"]["verification"]["verdict"], "confirmed", "{first}");
        assert!(first["execution"]["verification"]["evidence"].is_string());
        assert!(!first["execution"]["side_effects"].as_array().unwrap().is_empty(), "{first}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
        let again = stack.plan("file.write", json!({"path": "deep/er/a.txt", "content": ""})).await;
        assert_eq!(again["execution"]["output"]["was_existing"], true, "{again}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");

        let ran = stack.plan("shell.run", json!({"command": "ls deep"})).await;
        assert_eq!(ran["execution"]["output"]["stdout"], "er\n", "{ran}");
        assert_eq!(ran["execution"]["output"]["return_code"], 0);
        assert_eq!(ran["execution"]["verification"]["verdict"], "confirmed");
        let failed = stack.plan("shell.run", json!({"command": "ls none"})).await;
        assert_eq!((&failed["ok"], &failed["state"]), (&json!(true), &json!("succeeded")), "{failed}");
        assert_eq!(failed["execution"]["output"]["success"], false);
        assert_ne!(failed["execution"]["output"]["return_code"], 0);
    }
}

#[tokio::test]
async fn a_command_beyond_its_time_is_stopped_and_not_repeated() {
    let policy = "[shell]\nallow = [\"sleep\"]\n[[rule]]\nname = \"t\"\ncapability = \"shell.run\"\ndecision = \"allow\"\n";
    let stack = Stack::builder().policy(policy).start().await;
    let command = crate::support::sleep_of_its_own("61.");
    let request = json!({"intent": "shell.run", "params": {"command": command}, "timeout_ms": 300});
    let answer = stack.post("/v1/actions/plan", request).await.ok();
    assert_eq!((&answer["ok"], &answer["state"]), (&json!(false), &json!("timeout")), "{answer}");
    assert_eq!(answer["execution"]["error_code"], "OUTCOME_UNKNOWN", "{answer}");
    assert_eq!(answer["execution"]["failure_class"], "timeout", "{answer}");
    assert_eq!(answer["execution"]["retries_used"], 0, "{answer}");
    assert_eq!(answer["execution"]["error_message"], "Command timed out after 300ms", "{answer}");
    crate::support::soon("the command to be gone", || !crate::support::is_running(&command)).await;
}

#[tokio::test]
async fn an_action_goes_on_when_its_caller_hangs_up() {
    let policy = "[[rule]]\nname = \"t\"\ncapability = \"file.write\"\ndecision = \"allow\"\n";
    let stack = Stack::builder().auth(true).policy(policy).start().await;
    for n in 0..20 {
        let path = format!("{n}.txt");
        let request = json!({"intent": "file.write", "params": {"path": path, "content": "x"},
            "idempotency_key": format!("cut-{n}")});
        let operator = stack.gateway();
        operator.hang_up_after("/v1/actions/plan", &request).await;
        let repeat = stack.post("/v1/actions/plan", request).await.ok();
        assert_eq!((&repeat["ok"], &repeat["state"]), (&json!(true), &json!("succeeded")), "{repeat}");
        assert_eq!(repeat["execution"]["output"]["was_existing"], false, "{repeat}");
        assert!(stack.root().join(&path).exists());
    }
    let all = until("all to end", async || {
        let all = stack.get("/v1/actions?limit=500").await.ok();
        all["actions"].as_array().unwrap().iter().all(|a| a["state"] == "succeeded").then_some(all)
    })
    .await;
    assert_eq!(all["total"], 20, "one action for each key");
}
