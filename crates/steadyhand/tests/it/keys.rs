//! Contract 1.9.5, D-1: one key, one action, one effect.
//!
//! - same key, same `action_id` (pinned); the stored outcome, and no second run, whatever the outcome was
//! - racing requests run once; another request under the key is `IDEMPOTENCY_CONFLICT` with the first id
//! - the key belongs to its caller, and stands across restarts, kills included
//! - only what was asked matters: `timeout_ms` or session may differ

use serde_json::{Value, json};

use crate::support::{Client, Stack, Token, until};

const ALLOW: &str = "[[rule]]\nname = \"t\"\ncapability = \"*\"\ndecision = \"allow\"\n";

fn write(key: &str, path: &str, content: &str) -> Value {
    json!({"intent": "file.write", "params": {"path": path, "content": content}, "idempotency_key": key})
}

async fn plan(client: &Client, request: &Value) -> Value {
    client.post("/v1/actions/plan", request.clone()).await.ok()
}

/// How often the action was handed to the executor, by the journal's account.
async fn dispatches(stack: &Stack, action: &Value) -> usize {
    let id = action["action_id"].as_str().unwrap();
    let trail = stack.get(&format!("/v1/audit-trails/{id}")).await.ok();
    trail["trail"]["events"].as_array().unwrap().iter().filter(|e| e["phase"] == "dispatch").count()
}

#[tokio::test]
async fn a_hundred_racing_requests_with_one_key_have_one_effect() {
    for auth in [false, true] {
        let stack = Stack::builder().auth(auth).policy(ALLOW).start().await;
        let request = write("race", "race.txt", "once\n");
        let client = stack.gateway();
        let race = (0..100).map(|_| {
            let (client, request) = (client.clone(), request.clone());
            tokio::spawn(async move { plan(&client, &request).await })
        });
        let mut answers = Vec::new();
        for answer in race.collect::<Vec<_>>() {
            answers.push(answer.await.unwrap());
        }
        for answer in &answers {
            assert_eq!((&answer["ok"], &answer["state"]), (&json!(true), &json!("succeeded")), "{answer}");
            assert_eq!(answer["action_id"], answers[0]["action_id"]);
            // A second write would have found the first's file.
            assert_eq!(answer["execution"]["output"]["was_existing"], false, "{answer}");
            assert_eq!(answer["execution"], answers[0]["execution"]);
        }
        assert_eq!(stack.get("/v1/actions").await.ok()["total"], 1);
        assert_eq!(dispatches(&stack, &answers[0]).await, 1);
        assert_eq!(
            stack
                .client(crate::support::Service::Executor, Token::Operator)
                .get("/logs/execution")
                .await
                .ok()["total"],
            1,
            "the hands moved once"
        );
    }
}

#[tokio::test]
async fn racing_requests_of_an_action_that_asks_are_one_question() {
    let stack = Stack::builder().start().await;
    let client = stack.gateway();
    let race: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { plan(&client, &write("ask", "a.txt", "x")).await })
        })
        .collect();
    let mut ids = std::collections::BTreeSet::new();
    for answer in race {
        let answer = answer.await.unwrap();
        assert_eq!(answer["state"], "pending_approval", "{answer}");
        ids.insert(answer["action_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(stack.get("/v1/actions").await.ok()["total"], 1);
}

#[tokio::test]
async fn another_request_under_the_key_is_a_conflict_and_runs_nothing() {
    for auth in [false, true] {
        let stack = Stack::builder().auth(auth).policy(ALLOW).start().await;
        let first = plan(&stack.gateway(), &write("k", "a.txt", "one")).await;
        let others = [
            write("k", "a.txt", "two"),
            write("k", "b.txt", "one"),
            json!({"intent": "file.read", "params": {"path": "a.txt"}, "idempotency_key": "k"}),
            json!({"intent": "file.write", "params": {"path": "a.txt", "content": "one"}, "idempotency_key": "k",
                "dry_run": true}),
            json!({"intent": "no.such", "idempotency_key": "k"}),
        ];
        for other in others {
            let answer = plan(&stack.gateway(), &other).await;
            assert_eq!(answer["ok"], false, "{answer}");
            assert_eq!(answer["error"]["code"], "IDEMPOTENCY_CONFLICT", "{answer}");
            assert_eq!(answer["action_id"], first["action_id"], "{answer}");
        }
        assert_eq!(std::fs::read_to_string(stack.root().join("a.txt")).unwrap(), "one");
        assert!(!stack.root().join("b.txt").exists());
        let mut same = write("k", "a.txt", "one");
        same["timeout_ms"] = json!(9_000);
        same["session_id"] = json!("another");
        let answer = plan(&stack.gateway(), &same).await;
        assert_eq!((&answer["ok"], &answer["action_id"]), (&json!(true), &first["action_id"]), "{answer}");
    }
}

#[tokio::test]
async fn a_repeat_answers_the_stored_end_whatever_it_was() {
    for auth in [false, true] {
        let stack = Stack::builder().auth(auth).start().await;
        let client = stack.gateway();
        // Failed: the file that comes later isn't read.
        let read = json!({"intent": "file.read", "params": {"path": "late"}, "idempotency_key": "failed"});
        let failed = plan(&client, &read).await;
        std::fs::write(stack.root().join("late"), "here now").unwrap();
        assert_eq!(plan(&client, &read).await, failed);
        // Denied: it doesn't come back to life.
        let asked = plan(&client, &write("denied", "d.txt", "x")).await;
        stack.decide("deny", &asked).await;
        let denied = plan(&client, &write("denied", "d.txt", "x")).await;
        assert_eq!(
            (&denied["state"], &denied["action_id"]),
            (&json!("denied"), &asked["action_id"]),
            "{denied}"
        );
        // Approved and done: no second question, no second run.
        let asked = plan(&client, &write("done", "e.txt", "x")).await;
        let done = stack.decide("approve", &asked).await;
        assert_eq!(done["state"], "succeeded", "{done}");
        std::fs::write(stack.root().join("e.txt"), "edited since").unwrap();
        let repeat = plan(&client, &write("done", "e.txt", "x")).await;
        assert_eq!((&repeat["state"], &repeat["action_id"]), (&json!("succeeded"), &asked["action_id"]));
        assert_eq!(repeat["execution"]["output"], done["execution"]["output"]);
        assert_eq!(std::fs::read_to_string(stack.root().join("e.txt")).unwrap(), "edited since");
        // Invalid and dry runs keep their keys, too.
        let invalid = json!({"intent": "no.such", "idempotency_key": "invalid"});
        let once = plan(&client, &invalid).await;
        assert_eq!(plan(&client, &invalid).await["action_id"], once["action_id"]);
    }
}

#[tokio::test]
async fn a_repeat_answers_the_exact_output_that_records_redact() {
    let stack = Stack::builder().start().await;
    std::fs::write(stack.root().join("s.txt"), "the exact content").unwrap();
    let read = json!({"intent": "file.read", "params": {"path": "s.txt"}, "idempotency_key": "exact"});
    let first = plan(&stack.gateway(), &read).await;
    std::fs::remove_file(stack.root().join("s.txt")).unwrap();
    let repeat = plan(&stack.gateway(), &read).await;
    assert_eq!(repeat["execution"]["output"]["content"], "the exact content", "{repeat}");
    assert_eq!(repeat["execution"]["output"], first["execution"]["output"]);
    assert!(!stack.record(&first).await.to_string().contains("the exact content"));
}

#[tokio::test]
async fn a_key_stands_across_orderly_stops_and_kills() {
    let mut stack = Stack::builder().auth(true).policy(ALLOW).start().await;
    let first = plan(&stack.gateway(), &write("k", "a.txt", "one")).await;
    std::fs::write(stack.root().join("a.txt"), "edited since").unwrap();
    for orderly in [true, false] {
        if orderly {
            stack.stop().await;
            stack.start_again().await;
        } else {
            stack.restart().await;
        }
        let repeat = plan(&stack.gateway(), &write("k", "a.txt", "one")).await;
        assert_eq!((&repeat["ok"], &repeat["action_id"]), (&json!(true), &first["action_id"]), "{repeat}");
        assert_eq!(repeat["execution"]["output"], first["execution"]["output"], "{repeat}");
        let conflict = plan(&stack.gateway(), &write("k", "a.txt", "two")).await;
        assert_eq!(conflict["error"]["code"], "IDEMPOTENCY_CONFLICT", "{conflict}");
        assert_eq!(std::fs::read_to_string(stack.root().join("a.txt")).unwrap(), "edited since");
    }
}

#[tokio::test]
async fn a_key_belongs_to_its_caller() {
    let stack = Stack::builder().auth(true).policy(ALLOW).start().await;
    let mine = plan(&stack.agent(), &write("k", "a.txt", "one")).await;
    let theirs = plan(&stack.gateway(), &write("k", "b.txt", "two")).await;
    assert_eq!(theirs["ok"], true, "{theirs}");
    assert_ne!(mine["action_id"], theirs["action_id"]);
    assert_eq!(std::fs::read_to_string(stack.root().join("b.txt")).unwrap(), "two");
}

#[tokio::test]
async fn a_repeat_of_a_running_action_waits_its_own_time_and_tells_how_far_it_is() {
    let policy = format!("[shell]\nallow = [\"sleep\"]\n{ALLOW}");
    let stack = Stack::builder().policy(&policy).start().await;
    let run = json!({"intent": "shell.run", "params": {"command": "sleep 62.5"}, "idempotency_key": "slow"});
    let (client, request) = (stack.gateway(), run.clone());
    let first = tokio::spawn(async move { plan(&client, &request).await });
    let running = until("the action to run", async || {
        let all = stack.get("/v1/actions?state=executing").await.ok();
        all["actions"].as_array().unwrap().first().cloned()
    })
    .await;
    let mut impatient = run;
    impatient["timeout_ms"] = json!(100);
    let now = plan(&stack.gateway(), &impatient).await;
    assert_eq!((&now["state"], &now["action_id"]), (&json!("executing"), &running["action_id"]), "{now}");
    assert_eq!(stack.decide("cancel", &running).await["state"], "cancelled");
    let end = first.await.unwrap();
    assert_eq!((&end["state"], &end["action_id"]), (&json!("cancelled"), &running["action_id"]), "{end}");
}
