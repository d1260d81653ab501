//! Contract 1.9.4, D-4, D-19, D-22, D-39: a person's yes releases exactly what was shown, once.
//!
//! - approve runs it (pinned for an allowlisted command); deny ends it `denied` (pinned)
//! - another state: `INVALID_STATE`; an unknown id: HTTP 200, `failed`, `unknown`, `NOT_FOUND`
//! - answers carry the plan's correlation id
//! - what changed after it was shown isn't run: content, identity, links, folders, policy; the world stays
//! - a yes is used once, by whoever comes first
//! - caps on what waits; what waits survives restarts and isn't run by them

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Call, Stack, both_auths, is_time};

async fn ask_write(stack: &Stack, path: &str) -> Value {
    let answer = stack.plan("file.write", json!({"path": path, "content": "written"})).await;
    assert_eq!(answer["state"], "pending_approval", "{answer}");
    answer
}

#[tokio::test]
async fn a_yes_runs_it_and_a_no_ends_it() {
    both_auths(async |stack| {
        std::fs::write(stack.root().join("a.txt"), "before").unwrap();
        let asked = ask_write(stack, "a.txt").await;
        assert_eq!(std::fs::read_to_string(stack.root().join("a.txt")).unwrap(), "before");
        let id = asked["action_id"].as_str().unwrap();
        let approve =
            Call::post(&format!("/v1/actions/{id}/approve"), &json!({})).header("x-correlation-id", "mine");
        let done = stack.gateway().send(approve).await.ok();
        assert_eq!((&done["ok"], &done["state"]), (&json!(true), &json!("succeeded")), "{done}");
        assert_eq!(done["action_id"], asked["action_id"]);
        assert_eq!(done["execution"]["success"], true);
        assert_eq!(done["execution"]["verification"]["verdict"], "confirmed");
        assert_eq!(done["correlation_id"], asked["correlation_id"], "the plan's, not the approval's");
        let telemetry = &done["telemetry"];
        let of = |key: &str| telemetry[key].as_f64().unwrap();
        assert!(of("approval_wait_ms") > 0.0 && of("execute_ms") > 0.0, "{telemetry}");
        assert!(of("total_ms") >= of("approval_wait_ms"), "{telemetry}");
        assert_eq!(std::fs::read_to_string(stack.root().join("a.txt")).unwrap(), "written");
        let record = stack.record(&asked).await;
        assert_eq!(record["decided_by"], "operator");
        assert!(is_time(&record["completed_at"], ""));

        let asked = stack.plan("shell.run", json!({"command": "ls a.txt"})).await;
        assert_eq!((&asked["risk_level"], &asked["state"]), (&json!("medium"), &json!("pending_approval")));
        let ran = stack.decide("approve", &asked).await;
        assert_eq!((&ran["ok"], &ran["execution"]["success"]), (&json!(true), &json!(true)), "{ran}");
        assert_eq!(ran["execution"]["output"]["stdout"], "a.txt\n");

        let asked = ask_write(stack, "b.txt").await;
        let denied = stack.decide("deny", &asked).await;
        assert_eq!((&denied["ok"], &denied["state"]), (&json!(true), &json!("denied")), "{denied}");
        assert!(denied.get("execution").is_none(), "{denied}");
        assert!(!stack.root().join("b.txt").exists());
        assert!(is_time(&stack.record(&asked).await["completed_at"], ""));
    })
    .await;
}

#[tokio::test]
async fn a_decision_in_another_state_or_of_nothing_is_an_answer_not_an_error() {
    both_auths(async |stack| {
        let done = stack.plan("file.read", json!({"path": "none"})).await;
        let denied = ask_write(stack, "a.txt").await;
        stack.decide("deny", &denied).await;
        for (action, state) in [(&done, "failed"), (&denied, "denied")] {
            for verb in ["approve", "deny", "cancel"] {
                let answer = stack.decide(verb, action).await;
                assert_eq!((&answer["ok"], &answer["state"]), (&json!(false), &json!(state)), "{answer}");
                assert_eq!(answer["error"]["code"], "INVALID_STATE");
                assert_eq!(answer["error"]["message"], format!("Cannot {verb} action in state '{state}'"));
            }
        }
        for verb in ["approve", "deny", "cancel", "undo"] {
            for id in ["act_ffffffffffffffff", "no-id", "%F0%9F%92%A9"] {
                let answer = stack.gateway().act(&format!("/v1/actions/{id}/{verb}")).await.ok();
                assert_eq!((&answer["ok"], &answer["state"]), (&json!(false), &json!("failed")), "{answer}");
                assert_eq!((&answer["intent"], &answer["risk_level"]), (&json!("unknown"), &json!("medium")));
                assert_eq!(answer["error"], json!({"code": "NOT_FOUND", "message": "Action not found"}));
                assert_eq!(answer["requires_confirmation"], false);
                assert!(id.starts_with('%') || answer["action_id"] == id, "{answer}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_decides_sees_exactly_what_would_run() {
    let stack = Stack::builder().auth(true).start().await;
    std::fs::write(stack.root().join("a.txt"), "before").unwrap();
    let asked = ask_write(&stack, "a.txt").await;
    let id = asked["action_id"].as_str().unwrap();
    let shown = stack.get(&format!("/v1/actions/{id}?exact=true")).await.ok()["action"].clone();
    assert_eq!(shown["params"], json!({"path": "a.txt", "content": "written"}));
    let approval = &shown["approval"];
    assert!(is_time(&approval["expires_at"], "Z"), "{approval}");
    let left = approval["remaining_seconds"].as_f64().unwrap();
    assert!(left > 60.0 && left <= 120.0, "{approval}");
    assert_eq!(approval["rule"], "confirm_file_write");
    let operand = &approval["operands"][0];
    assert_eq!(operand["path"], stack.root().join("a.txt").to_str().unwrap());
    assert_eq!(operand["size"], "before".len());
    let plain = stack.agent().get(&format!("/v1/actions/{id}")).await;
    assert!(!plain.text.contains("written"), "{}", plain.text);
}

/// Everything under a folder: names, links, contents.
fn world(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        if meta.is_symlink() {
            found.push(format!("{} -> {}", path.display(), std::fs::read_link(&path).unwrap().display()));
        } else if meta.is_dir() {
            found.extend(world(&path));
        } else {
            found.push(format!("{}: {}", path.display(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn swap_link(link: &Path, to: &str) {
    std::fs::remove_file(link).unwrap();
    std::os::unix::fs::symlink(to, link).unwrap();
}

#[tokio::test]
async fn what_changed_after_it_was_shown_is_not_run() {
    type Change = fn(&Path);
    let changes: [(&str, &str, Change); 9] = [
        ("rewritten", "a.txt", |at| std::fs::write(at.join("a.txt"), "changed since").unwrap()),
        ("rewritten at its old length", "a.txt", |at| std::fs::write(at.join("a.txt"), "BEFORE").unwrap()),
        ("replaced by its like", "a.txt", |at| {
            std::fs::write(at.join("new"), "before").unwrap();
            std::fs::rename(at.join("new"), at.join("a.txt")).unwrap();
        }),
        ("removed", "a.txt", |at| std::fs::remove_file(at.join("a.txt")).unwrap()),
        ("made", "fresh.txt", |at| std::fs::write(at.join("fresh.txt"), "").unwrap()),
        ("link swapped", "link", |at| swap_link(&at.join("link"), "other.txt")),
        ("link swapped to the outside", "link", |at| swap_link(&at.join("link"), "/etc/hostname")),
        ("folder swapped for a link", "folder/f.txt", |at| {
            std::fs::rename(at.join("folder"), at.join("was")).unwrap();
            std::os::unix::fs::symlink("elsewhere", at.join("folder")).unwrap();
        }),
        ("folder swapped for the parent of a new file", "folder/fresh.txt", |at| {
            std::fs::rename(at.join("folder"), at.join("was")).unwrap();
            std::os::unix::fs::symlink("elsewhere", at.join("folder")).unwrap();
        }),
    ];
    both_auths(async |stack| {
        for (n, (what, path, change)) in changes.into_iter().enumerate() {
            let at = stack.root().join(n.to_string());
            for folder in ["", "folder", "elsewhere"] {
                std::fs::create_dir(at.join(folder)).unwrap();
            }
            for file in ["a.txt", "other.txt", "folder/f.txt", "elsewhere/f.txt"] {
                std::fs::write(at.join(file), "before").unwrap();
            }
            std::os::unix::fs::symlink("a.txt", at.join("link")).unwrap();
            let asked = ask_write(stack, &format!("{n}/{path}")).await;
            change(&at);
            let changed = world(&stack.root());
            let answer = stack.decide("approve", &asked).await;
            assert_eq!(
                (&answer["ok"], &answer["state"]),
                (&json!(false), &json!("cancelled")),
                "{what}: {answer}"
            );
            assert_eq!(answer["error"]["code"], "APPROVAL_STALE", "{what}: {answer}");
            assert!(answer.get("execution").is_none(), "{what}: {answer}");
            assert_eq!(world(&stack.root()), changed, "{what}");
            assert_eq!(stack.decide("approve", &asked).await["error"]["code"], "INVALID_STATE");
        }
    })
    .await;
}

#[tokio::test]
async fn a_command_whose_file_changed_is_not_run() {
    both_auths(async |stack| {
        std::fs::write(stack.root().join("a.txt"), "harmless").unwrap();
        std::fs::write(stack.root().join("b.txt"), "harmless").unwrap();
        let shown = stack.plan("shell.run", json!({"command": "cat a.txt"})).await;
        let same = stack.plan("shell.run", json!({"command": "cat b.txt"})).await;
        std::fs::write(stack.root().join("a.txt"), "a secret that was put there since").unwrap();
        let answer = stack.decide("approve", &shown).await;
        assert_eq!(answer["error"]["code"], "APPROVAL_STALE", "{answer}");
        assert!(!answer.to_string().contains("put there since"), "{answer}");
        let answer = stack.decide("approve", &same).await;
        assert_eq!(answer["execution"]["output"]["stdout"], "harmless", "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_changed_policy_voids_what_it_was_asked_under() {
    for auth in [false, true] {
        let stack = Stack::builder().auth(auth).policy("# nothing yet\n").start().await;
        let policy = stack.etc().join("policy.toml");
        let asked = ask_write(&stack, "a.txt").await;
        std::fs::write(&policy, "# only a comment was added, and decides nothing\n").unwrap();
        assert_eq!(stack.decide("approve", &asked).await["state"], "succeeded");
        let asked = ask_write(&stack, "b.txt").await;
        let rule = "[[rule]]\nname = \"elsewhere\"\ncapability = \"clipboard.read\"\ndecision = \"deny\"\n";
        std::fs::write(&policy, rule).unwrap();
        let answer = stack.decide("approve", &asked).await;
        assert_eq!(
            (&answer["ok"], &answer["error"]["code"]),
            (&json!(false), &json!("APPROVAL_STALE")),
            "{answer}"
        );
        assert!(!stack.root().join("b.txt").exists());
        // A file that can't be understood changes nothing.
        let asked = ask_write(&stack, "c.txt").await;
        std::fs::write(&policy, "[[rule]\n").unwrap();
        assert_eq!(stack.decide("approve", &asked).await["state"], "succeeded");
        // One that is taken away is the built-in policy.
        let asked = ask_write(&stack, "d.txt").await;
        std::fs::remove_file(&policy).unwrap();
        assert_eq!(stack.decide("approve", &asked).await["error"]["code"], "APPROVAL_STALE");
        assert!(!stack.root().join("d.txt").exists());
    }
}

/// Twenty callers say one of two words at once; the words with their answers.
async fn race(stack: &Stack, asked: &Value, verbs: [&'static str; 2]) -> Vec<(&'static str, Value)> {
    let id = asked["action_id"].as_str().unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|i| {
            let (client, verb) = (stack.gateway(), verbs[i % 2]);
            let path = format!("/v1/actions/{id}/{verb}");
            tokio::spawn(async move { (verb, client.act(&path).await.ok()) })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn one_yes_is_used_once_however_many_say_it() {
    both_auths(async |stack| {
        for (n, verbs) in [["approve", "approve"], ["approve", "deny"]].into_iter().enumerate() {
            let path = format!("{n}.txt");
            let asked = ask_write(stack, &path).await;
            let mut won = Vec::new();
            for (verb, answer) in race(stack, &asked, verbs).await {
                if answer["ok"] == true {
                    won.push(verb);
                } else {
                    assert_eq!(answer["error"]["code"], "INVALID_STATE", "{answer}");
                }
            }
            assert_eq!(won.len(), 1, "{verbs:?}");
            assert_eq!(stack.root().join(&path).exists(), won == ["approve"], "{won:?}");
            let later = stack.decide("approve", &asked).await;
            assert_eq!(later["error"]["code"], "INVALID_STATE", "{later}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_yes_and_a_cancel_at_once_end_in_one_state_that_the_world_agrees_with() {
    both_auths(async |stack| {
        for n in 0..10 {
            let path = format!("{n}.txt");
            let asked = ask_write(stack, &path).await;
            let answers = race(stack, &asked, ["approve", "cancel"]).await;
            let state = stack.record(&asked).await["state"].clone();
            let done = state == "succeeded";
            assert!(done || state == "cancelled", "{state}");
            assert_eq!(stack.root().join(&path).exists(), done, "{state}");
            let said_done =
                answers.iter().filter(|(verb, answer)| *verb == "approve" && answer["ok"] == true);
            assert_eq!(said_done.count(), usize::from(done), "{state}");
            let said_cancelled =
                answers.iter().any(|(verb, answer)| *verb == "cancel" && answer["ok"] == true);
            assert_eq!(said_cancelled, !done, "{state}");
        }
    })
    .await;
}

#[tokio::test]
async fn only_so_many_wait_in_a_session_and_one_more_is_not_kept() {
    for auth in [false, true] {
        let config = "[action_safety]\nmax_pending_confirmations = 3\n";
        let stack = Stack::builder().auth(auth).config(config).start().await;
        let request = |session: &str| json!({"intent": "file.write", "params": {"path": "a", "content": ""}, "session_id": session});
        let mut waiting = Vec::new();
        for _ in 0..3 {
            waiting.push(stack.post("/v1/actions/plan", request("s")).await.ok());
        }
        let more = stack.post("/v1/actions/plan", request("s")).await.ok();
        assert_eq!((&more["ok"], &more["state"]), (&json!(false), &json!("planned")), "{more}");
        assert_eq!(more["error"]["code"], "APPROVAL_LIMIT", "{more}");
        assert_eq!(stack.get("/v1/actions").await.ok()["total"], 3);
        let other = stack.post("/v1/actions/plan", request("t")).await.ok();
        assert_eq!(other["state"], "pending_approval", "another session has its own places");
        stack.decide("deny", &waiting[0]).await;
        let again = stack.post("/v1/actions/plan", request("s")).await.ok();
        assert_eq!(again["state"], "pending_approval", "a decided one makes room");
    }
}

#[tokio::test]
async fn what_waits_survives_restarts_and_is_not_run_by_them() {
    for auth in [false, true] {
        let mut stack = Stack::builder().auth(auth).start().await;
        let (yes, no, stale) = (
            ask_write(&stack, "a.txt").await,
            ask_write(&stack, "b.txt").await,
            ask_write(&stack, "c.txt").await,
        );
        for orderly in [true, false] {
            if orderly {
                stack.stop().await;
                stack.start_again().await;
            } else {
                stack.restart().await;
            }
            for asked in [&yes, &no, &stale] {
                assert_eq!(stack.record(asked).await["state"], "pending_approval");
            }
            assert_eq!(std::fs::read_dir(stack.root()).unwrap().count(), 0);
        }
        std::fs::write(stack.root().join("c.txt"), "made meanwhile").unwrap();
        let done = stack.decide("approve", &yes).await;
        assert_eq!((&done["ok"], &done["state"]), (&json!(true), &json!("succeeded")), "{done}");
        assert_eq!(std::fs::read_to_string(stack.root().join("a.txt")).unwrap(), "written");
        assert_eq!(stack.decide("deny", &no).await["state"], "denied");
        assert_eq!(stack.decide("approve", &stale).await["error"]["code"], "APPROVAL_STALE");
        stack.restart().await;
        assert_eq!(stack.record(&yes).await["state"], "succeeded");
        assert_eq!(stack.record(&no).await["state"], "denied");
        assert_eq!(stack.decide("approve", &no).await["error"]["code"], "INVALID_STATE");
    }
}

#[tokio::test]
async fn who_decides_hears_what_cant_run() {
    let stack = Stack::builder().start().await;
    for (intent, params, obstacle) in [
        ("shell.run", json!({"command": "curl http://x"}), json!("Command 'curl' not in allowlist")),
        (
            "file.write",
            json!({"path": "/etc/x", "content": "1"}),
            json!("Path '/etc/x' is outside sandbox or is protected"),
        ),
        ("shell.run", json!({"command": "ls"}), json!(null)),
    ] {
        let asked = stack.plan(intent, params).await;
        assert_eq!(asked["state"], "pending_approval", "{asked}");
        let path = format!("/v1/actions/{}?exact=true", asked["action_id"].as_str().unwrap());
        let shown = stack.get(&path).await.ok();
        assert_eq!(shown["action"]["approval"]["obstacle"], obstacle, "{shown}");
    }
}
