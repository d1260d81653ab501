//! Contract 9: undo puts back what was there, unless the world moved on.
//!
//! - a replaced file gets its content back, a new one goes; `rolled_back`; once
//! - a dry run tells and changes nothing; a changed world is `UNDO_CONFLICT` with a diff
//! - what can't be undone is `NOT_REVERSIBLE`; what hasn't succeeded `INVALID_STATE`

use serde_json::{Value, json};

use crate::support::{Stack, both_auths};

async fn write(stack: &Stack, path: &str, content: &str) -> Value {
    let asked = stack.plan("file.write", json!({"path": path, "content": content})).await;
    let done = stack.decide("approve", &asked).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    done
}

fn text(stack: &Stack, path: &str) -> Option<String> {
    std::fs::read_to_string(stack.root().join(path)).ok()
}

#[tokio::test]
async fn a_write_is_put_back_once() {
    both_auths(async |stack| {
        std::fs::write(stack.root().join("a.txt"), "one\ntwo\n").unwrap();
        let done = write(stack, "a.txt", "one\n2\n").await;
        let dry = stack.decide("undo?dry_run=true", &done).await;
        assert_eq!((&dry["ok"], &dry["state"]), (&json!(true), &json!("succeeded")), "{dry}");
        assert_eq!(dry["undo"]["dry_run"], true);
        let diff = dry["undo"]["diff"].as_str().unwrap();
        assert!(diff.contains("-2\n") && diff.contains("+two\n"), "{diff}");
        assert_eq!(text(stack, "a.txt").as_deref(), Some("one\n2\n"));
        let undone = stack.decide("undo", &done).await;
        assert_eq!((&undone["ok"], &undone["state"]), (&json!(true), &json!("rolled_back")), "{undone}");
        assert_eq!(undone["undo"]["dry_run"], false);
        assert!(undone["undo"]["summary"].as_str().unwrap().contains("a.txt"), "{undone}");
        assert_eq!(text(stack, "a.txt").as_deref(), Some("one\ntwo\n"));
        assert_eq!(stack.record(&done).await["state"], "rolled_back");
        let again = stack.decide("undo", &done).await;
        assert_eq!(
            (&again["ok"], &again["error"]["code"]),
            (&json!(false), &json!("INVALID_STATE")),
            "{again}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_file_that_was_not_there_goes_again() {
    for auth in [false, true] {
        let mut stack = Stack::builder().auth(auth).start().await;
        let done = write(&stack, "deep/a.txt", "x").await;
        stack.restart().await;
        let undone = stack.decide("undo", &done).await;
        assert_eq!(undone["state"], "rolled_back", "{undone}");
        assert_eq!(text(&stack, "deep/a.txt"), None);
    }
}

#[tokio::test]
async fn a_world_that_moved_on_is_a_conflict_with_a_diff() {
    both_auths(async |stack| {
        std::fs::write(stack.root().join("a.txt"), "one\n").unwrap();
        let done = write(stack, "a.txt", "two\n").await;
        std::fs::write(stack.root().join("a.txt"), "three\n").unwrap();
        for verb in ["undo?dry_run=true", "undo"] {
            let refused = stack.decide(verb, &done).await;
            assert_eq!(
                (&refused["ok"], &refused["state"]),
                (&json!(false), &json!("succeeded")),
                "{refused}"
            );
            assert_eq!(refused["error"]["code"], "UNDO_CONFLICT");
            let diff = refused["undo"]["diff"].as_str().unwrap();
            assert!(diff.contains("-two\n") && diff.contains("+three\n"), "{diff}");
            assert_eq!(text(stack, "a.txt").as_deref(), Some("three\n"));
        }
        std::fs::remove_file(stack.root().join("a.txt")).unwrap();
        assert_eq!(stack.decide("undo", &done).await["error"]["code"], "UNDO_CONFLICT");
        assert_eq!(text(stack, "a.txt"), None);
        std::fs::write(stack.root().join("a.txt"), "two\n").unwrap();
        assert_eq!(stack.decide("undo", &done).await["state"], "rolled_back", "put right, it can be undone");
        assert_eq!(text(stack, "a.txt").as_deref(), Some("one\n"));
    })
    .await;
}

#[tokio::test]
async fn what_can_not_be_undone_says_why() {
    both_auths(async |stack| {
        std::fs::write(stack.root().join("a.txt"), "x").unwrap();
        let read = stack.plan("file.read", json!({"path": "a.txt"})).await;
        assert_eq!(stack.decide("undo", &read).await["error"]["code"], "NOT_REVERSIBLE");
        let asked = stack.plan("shell.run", json!({"command": "ls"})).await;
        let ran = stack.decide("approve", &asked).await;
        assert_eq!(stack.decide("undo", &ran).await["error"]["code"], "NOT_REVERSIBLE");
        let waiting = stack.plan("file.write", json!({"path": "b.txt", "content": ""})).await;
        let refused = stack.decide("undo", &waiting).await;
        assert_eq!(refused["error"]["code"], "INVALID_STATE");
        assert_eq!(refused["error"]["message"], "Cannot undo action in state 'pending_approval'");
        assert_eq!(stack.record(&waiting).await["state"], "pending_approval");
        assert_eq!(stack.gateway().act("/v1/actions/x/undo?dry_run=perhaps").await.status, 422);
    })
    .await;
}

#[tokio::test]
async fn racing_undos_put_back_once() {
    both_auths(async |stack| {
        std::fs::write(stack.root().join("a.txt"), "one").unwrap();
        let done = write(stack, "a.txt", "two").await;
        let path = format!("/v1/actions/{}/undo", done["action_id"].as_str().unwrap());
        let race: Vec<_> = (0..20)
            .map(|_| {
                let (client, path) = (stack.gateway(), path.clone());
                tokio::spawn(async move { client.act(&path).await.ok() })
            })
            .collect();
        let mut undone = 0;
        for answer in race {
            let answer = answer.await.unwrap();
            undone += usize::from(answer["ok"] == true);
            assert!(answer["ok"] == true || answer["error"]["code"] == "INVALID_STATE", "{answer}");
        }
        assert_eq!(undone, 1);
        assert_eq!(text(stack, "a.txt").as_deref(), Some("one"));
        let id = done["action_id"].as_str().unwrap();
        let trail = stack.get(&format!("/v1/audit-trails/{id}")).await.ok();
        let events = trail["trail"]["events"].as_array().unwrap().iter();
        assert_eq!(events.filter(|e| e["phase"] == "undo" && e["status"] == "begun").count(), 1);
    })
    .await;
}
