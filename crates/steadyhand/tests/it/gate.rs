//! Contract 6.1 to 6.3, 7, D-13, D-14, D-22: the policy gate and its tokens.
//!
//! - the rules of 6.2 with their names and reasons; custom rules and `default_verdict` of the configuration
//! - a token is for one call, bound to its arguments, used once, for 120 s (or as configured), 50 at most
//! - `/approve` in all its forms, beside what is really so; tokens survive restarts

use serde_json::{Value, json};

use crate::support::{Call, Stack, both_auths, is_id, is_time, until};

async fn gate(stack: &Stack, tool: &str, args: Value) -> Value {
    let call = json!({"tool_name": tool, "args": args, "id": "tc1"});
    let answer = stack.supervisor().post("/gate-tool-call", call).await.ok();
    assert_eq!((&answer["service"], &answer["tool_call_id"]), (&json!("eva-os"), &json!("tc1")), "{answer}");
    answer
}

async fn redeem(stack: &Stack, tool: &str, args: Value, token: &Value) -> Value {
    let call = json!({"tool_name": tool, "args": args, "id": "tc2", "approval_token": token});
    stack.supervisor().post("/gate-tool-call", call).await.ok()
}

async fn token(stack: &Stack, tool: &str, args: Value) -> Value {
    gate(stack, tool, args).await["approval_request"]["token_id"].clone()
}

async fn approve(stack: &Stack, body: Value) -> Value {
    stack.supervisor().post("/approve", body).await.ok()
}

#[tokio::test]
async fn each_rule_gives_its_verdict_under_its_name() {
    both_auths(async |stack| {
        for (tool, args, reason) in [
            ("file.read", json!({"path": "a"}), "Allowed by rule 'allow_file_read'"),
            ("FILE.READ", json!({"path": "a"}), "Allowed by rule 'allow_file_read'"),
            ("health.check", json!({}), "Allowed by rule 'allow_health_check'"),
            ("healthz", json!({}), "Allowed by rule 'allow_health_check'"),
        ] {
            let answer = gate(stack, tool, args).await;
            assert_eq!((&answer["status"], &answer["reason"]), (&json!("approved"), &json!(reason)));
            assert!(answer.get("approval_request").is_none());
        }
        for (tool, args) in [
            ("shell.run", json!({"command": "rm -rf x"})),
            ("shell.run", json!({"command": "x; Remove-Item y"})),
            ("file.read", json!({"path": "../x"})),
            ("file.write", json!({"path": "C:\\x"})),
            ("table.drop", json!({})),
        ] {
            let answer = gate(stack, tool, args).await;
            assert_eq!(answer["status"], "denied", "{answer}");
            assert!(answer["reason"].as_str().unwrap().starts_with("Denied: "), "{answer}");
        }
        for (tool, args) in [
            ("file.write", json!({"path": "x"})),
            ("shell.run", json!({"command": "make"})),
            ("browser.open", json!({"url": "https://example.org"})),
            ("process.kill", json!({"pid": 1})),
            ("no.such", json!({})),
            ("", json!({})),
        ] {
            let answer = gate(stack, tool, args).await;
            assert_eq!(answer["status"], "approval_required", "{tool}: {answer}");
            assert!(answer["reason"].as_str().unwrap().starts_with("Confirmation required: "), "{answer}");
            let request = &answer["approval_request"];
            assert!(is_id(&request["token_id"], "ctk_", 16), "{answer}");
            assert_eq!(request["action"], tool);
            assert_eq!(
                (&request["ttl_seconds"], &request["remaining_seconds"]),
                (&json!(120.0), &json!(120.0))
            );
        }
        let named = gate(stack, "file.write", json!({"path": "x", "content": "secret"})).await;
        assert_eq!(named["approval_request"]["summary"], "file.write | path=\"x\"");
        assert_eq!(named["trace_id"], "tc1", "falls back to the id");
        let traced = json!({"tool_name": "file.read", "args": {"path": "a"}, "id": "i", "trace_id": "t"});
        let traced = stack.supervisor().post("/gate-tool-call", traced).await.ok();
        assert_eq!((&traced["tool_call_id"], &traced["trace_id"]), (&json!("i"), &json!("t")));
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_no_call_is_refused() {
    both_auths(async |stack| {
        for body in ["", "{", "[]", "{\"tool_name\": 5}", "{\"args\": []}", "{\"approval_token\": {}}"] {
            let answer = stack.supervisor().send(Call::post("/gate-tool-call", &json!({})).text(body)).await;
            assert_eq!(answer.status, 500, "{body}: {}", answer.text);
            assert!(answer.body["detail"].is_string(), "{}", answer.text);
        }
        let answer = stack.supervisor().send(Call::post("/approve", &json!({})).text("{")).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.body["detail"].is_string());
    })
    .await;
}

#[tokio::test]
async fn a_token_releases_its_own_call_once() {
    both_auths(async |stack| {
        let args = json!({"path": "x", "content": "y"});
        let waiting = token(stack, "file.write", args.clone()).await;
        for (tool, other) in [
            ("file.write", json!({"path": "x", "content": "z"})),
            ("file.write", json!({"path": "x"})),
            ("shell.run", args.clone()),
            ("shell.run", json!({"command": "make"})),
        ] {
            let answer = redeem(stack, tool, other, &waiting).await;
            assert_eq!(answer["status"], "denied", "{answer}");
            assert_eq!(answer["reason"], "Token rejected: Token is for another call");
        }
        let reordered = json!({"content": "y", "path": "x"});
        let used = redeem(stack, "file.write", reordered, &waiting).await;
        assert_eq!(used["status"], "approved", "after all this it waited still: {used}");
        assert_eq!(used["reason"], format!("Approved via token {}", waiting.as_str().unwrap()));
        for was in ["approved", "replayed"] {
            let again = redeem(stack, "file.write", args.clone(), &waiting).await;
            assert_eq!(again["status"], "denied");
            assert_eq!(again["reason"], format!("Token rejected: Token already used (was {was})"));
        }
        let unknown = redeem(stack, "file.write", args.clone(), &json!("ctk_0000000000000000")).await;
        assert_eq!(unknown["reason"], "Token rejected: Token not found");
        let context = token(stack, "file.write", args.clone()).await;
        let call = json!({"tool_name": "file.write", "args": args, "context": {"approval_token": context}});
        assert_eq!(stack.supervisor().post("/gate-tool-call", call).await.ok()["status"], "approved");
    })
    .await;
}

#[tokio::test]
async fn a_token_raced_for_is_won_once() {
    both_auths(async |stack| {
        let args = json!({"path": "x"});
        let waiting = token(stack, "file.write", args.clone()).await;
        let race: Vec<_> = (0..20)
            .map(|_| {
                let call = json!({"tool_name": "file.write", "args": args, "approval_token": waiting});
                let client = stack.supervisor();
                tokio::spawn(async move { client.post("/gate-tool-call", call).await.ok() })
            })
            .collect();
        let mut approved = 0;
        for answer in race {
            approved += usize::from(answer.await.unwrap()["status"] == "approved");
        }
        assert_eq!(approved, 1);
    })
    .await;
}

#[tokio::test]
async fn approve_answers_in_its_old_words_beside_what_is_so() {
    both_auths(async |stack| {
        let args = json!({"path": "x"});
        let waiting = token(stack, "file.write", args.clone()).await;
        let acknowledged = approve(stack, json!({"token_id": waiting})).await;
        let expected = json!({"status": "acknowledged", "token_id": waiting, "decision": "approved", "service": "eva-os",
            "note": "Resubmit tool call with approval_token to proceed", "found": true, "state": "pending"});
        assert_eq!(acknowledged, expected);
        assert_eq!(approve(stack, json!({"approval_id": waiting, "decision": "maybe"})).await["decision"], "maybe");
        let denied = approve(stack, json!({"token_id": waiting, "decision": "denied", "reason": "not today"})).await;
        let expected = json!({"status": "denied", "token_id": waiting, "reason": "not today", "accepted": false,
            "service": "eva-os", "found": true, "state": "denied"});
        assert_eq!(denied, expected);
        let late = redeem(stack, "file.write", args, &waiting).await;
        assert_eq!(late["reason"], "Token rejected: Token already used (was denied)");
        let unknown = approve(stack, json!({"token_id": "ctk_none", "decision": "denied"})).await;
        assert_eq!((&unknown["status"], &unknown["reason"]), (&json!("denied"), &json!("User denied")));
        assert_eq!((&unknown["found"], &unknown["state"]), (&json!(false), &json!("not_found")));
        let unknown = approve(stack, json!({"token_id": "ctk_none"})).await;
        assert_eq!((&unknown["status"], &unknown["state"]), (&json!("acknowledged"), &json!("not_found")));
        let nothing = approve(stack, json!({})).await;
        let expected = json!({"status": "processed", "approval_id": "", "decision": "approved", "service": "eva-os"});
        assert_eq!(nothing, expected);
    })
    .await;
}

#[tokio::test]
async fn what_waits_is_listed_and_at_most_fifty_do() {
    both_auths(async |stack| {
        let first = token(stack, "file.write", json!({"path": "0"})).await;
        let second = token(stack, "file.write", json!({"path": "1"})).await;
        let list = stack.supervisor().get("/approvals").await.ok();
        assert_eq!((&list["pending_count"], &list["service"]), (&json!(2), &json!("eva-os")));
        let entry = &list["approvals"][0];
        assert_eq!(entry["token_id"], first);
        assert_eq!((&entry["action"], &entry["state"]), (&json!("file.write"), &json!("pending")));
        assert_eq!(entry["summary"], "file.write | path=\"0\"");
        assert!(is_id(&entry["args_hash"], "", 16), "{entry}");
        assert!(is_time(&entry["created_utc"], "+00:00"), "{entry}");
        assert_eq!((&entry["trace_id"], &entry["ttl_seconds"]), (&json!("tc1"), &json!(120.0)));
        for n in 2..51 {
            token(stack, "file.write", json!({"path": n.to_string()})).await;
        }
        assert_eq!(stack.supervisor().get("/approvals").await.ok()["pending_count"], 50);
        let oldest = redeem(stack, "file.write", json!({"path": "0"}), &first).await;
        assert_eq!(oldest["reason"], "Token rejected: Token expired", "it made room");
        let next = redeem(stack, "file.write", json!({"path": "1"}), &second).await;
        assert_eq!(next["status"], "approved", "{next}");
    })
    .await;
}

#[tokio::test]
async fn the_configuration_sets_life_and_number() {
    let config = "[action_safety]\nconfirmation_ttl_seconds = 1\nmax_pending_confirmations = 1\n";
    let stack = Stack::builder().config(config).start().await;
    let asked = gate(&stack, "file.write", json!({"path": "x"})).await;
    assert_eq!(asked["approval_request"]["ttl_seconds"], 1.0);
    let second = token(&stack, "file.write", json!({"path": "y"})).await;
    let first = &asked["approval_request"]["token_id"];
    let made_room = redeem(&stack, "file.write", json!({"path": "x"}), first).await;
    assert_eq!(made_room["reason"], "Token rejected: Token expired");
    until("the second to be late", async || {
        (stack.supervisor().get("/approvals").await.ok()["pending_count"] == 0).then_some(())
    })
    .await;
    let late = redeem(&stack, "file.write", json!({"path": "y"}), &second).await;
    assert_eq!(late["reason"], "Token rejected: Token expired");
    let state = approve(&stack, json!({"token_id": second})).await;
    assert_eq!(state["state"], "expired", "{state}");
}

#[tokio::test]
async fn custom_rules_and_the_default_verdict_are_in_force_for_gate_and_actions() {
    let config = r#"
[action_safety]
default_verdict = "deny"
[[action_safety.custom_rules]]
name = "no_notes"
verdict = "deny"
action_pattern = "file\\.write"
description = "notes are closed"
priority = 10
arg_patterns = { path = "^notes/" }
[[action_safety.custom_rules]]
name = "yes_notes"
verdict = "allow"
action_pattern = "file\\.write"
priority = 20
arg_patterns = { path = "notes/" }
"#;
    for auth in [false, true] {
        let stack = Stack::builder().auth(auth).config(config).start().await;
        let denied = gate(&stack, "file.write", json!({"path": "notes/a"})).await;
        assert_eq!(
            (&denied["status"], &denied["reason"]),
            (&json!("denied"), &json!("Denied: notes are closed"))
        );
        let allowed = gate(&stack, "file.write", json!({"path": "my/notes/a"})).await;
        assert_eq!(allowed["reason"], "Allowed by rule 'yes_notes'", "{allowed}");
        assert_eq!(gate(&stack, "no.such", json!({})).await["status"], "denied", "the default verdict");
        assert_eq!(gate(&stack, "file.write", json!({"path": "x"})).await["status"], "approval_required");
        let action = stack.plan("file.write", json!({"path": "notes/a", "content": ""})).await;
        assert_eq!(action["error"]["code"], "POLICY_DENIED", "{action}");
        let action = stack.plan("file.write", json!({"path": "my/notes/a", "content": ""})).await;
        assert_eq!(action["state"], "succeeded", "{action}");
    }
}

#[tokio::test]
async fn tokens_survive_restarts_with_their_states() {
    let mut stack = Stack::builder().auth(true).start().await;
    let (open, used) = (
        token(&stack, "file.write", json!({"path": "o"})).await,
        token(&stack, "file.write", json!({"path": "u"})).await,
    );
    redeem(&stack, "file.write", json!({"path": "u"}), &used).await;
    stack.restart().await;
    assert_eq!(stack.supervisor().get("/approvals").await.ok()["pending_count"], 1);
    let again = redeem(&stack, "file.write", json!({"path": "u"}), &used).await;
    assert_eq!(again["reason"], "Token rejected: Token already used (was approved)");
    let released = redeem(&stack, "file.write", json!({"path": "o"}), &open).await;
    assert_eq!(released["status"], "approved", "{released}");
}
