//! The command line against a running stack, without a terminal: what it does, says and exits with.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Ended, Service, Stack, Token, both_auths, until};

impl Ended {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

async fn waiting(stack: &Stack, path: &str) -> String {
    let asked =
        stack.cli(&["act", "file.write", &format!("path={path}"), "content=x", "--json"]).await.exits(3);
    let asked = asked.json();
    assert_eq!(asked["state"], "pending_approval", "{asked}");
    asked["action_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_end_of_an_action_has_its_exit_code() {
    both_auths(async |stack| {
        std::fs::write(stack.root().join("a.txt"), "x").unwrap();
        let rows: [(&[&str], i32); 19] = [
            (&["act", "file.read", "path=a.txt"], 0),
            (&["act", "file.write", "path=b.txt", "content=x", "--yes"], 0),
            (&["act", "file.write", "path=c.txt", "content=x", "--dry-run"], 0),
            (&["act", "shell.run", "command=ls a.txt", "--yes"], 0),
            (&["act", "file.read", "path=none"], 1),
            (&["act", "shell.run", "command=ls none", "--yes"], 1),
            (&["act"], 2),
            (&["act", "file.read", "path=a.txt", "--timeout-ms", "1"], 2),
            (&["no-such-command"], 2),
            (&["act", "file.write", "path=d.txt", "content=x"], 3),
            (&["act", "shell.run", "command=rm -rf a.txt", "--yes"], 4),
            (&["act", "file.read", "path=/etc/passwd"], 4),
            (&["act", "file.read", "path=a.txt", "--url", "http://127.0.0.1:1"], 5),
            (&["act", "no.such"], 7),
            (&["act", "file.read"], 7),
            (&["approve", "act_0000000000000000", "--yes"], 7),
            (&["deny", "act_0000000000000000"], 7),
            (&["cancel", "act_0000000000000000"], 7),
            (&["actions", "act_0000000000000000"], 7),
        ];
        for (args, code) in rows {
            let ended = stack.cli(args).await;
            assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
            assert_eq!(code == 0, ended.stderr.is_empty(), "{args:?}: {ended:?}");
            if code != 2 {
                let as_json = stack.cli(&[args, &["--json"]].concat()).await.exits(code);
                assert!(as_json.json().is_object(), "{args:?}: {as_json:?}");
            }
        }
        let exists = |name: &str| stack.root().join(name).exists();
        assert!(exists("a.txt") && exists("b.txt") && !exists("c.txt") && !exists("d.txt"));
    })
    .await;
}

#[tokio::test]
async fn what_it_prints_is_the_answer_itself() {
    both_auths(async |stack| {
        std::fs::write(stack.root().join("a.txt"), "exact\u{1b}[31m bytes\n\n").unwrap();
        let read = stack.cli(&["act", "file.read", "path=a.txt"]).await.exits(0);
        assert_eq!(read.stdout, "exact\u{1b}[31m bytes\n\n", "for a pipe, as they are");
        let read = stack.cli(&["act", "file.read", "path=a.txt", "--json"]).await.exits(0).json();
        assert_eq!((&read["ok"], &read["state"]), (&json!(true), &json!("succeeded")), "{read}");
        assert_eq!(read["execution"]["output"]["content"], "exact\u{1b}[31m bytes\n\n");
        let ran = stack.cli(&["act", "shell.run", "command=ls", "--yes"]).await.exits(0);
        assert_eq!(ran.stdout, "a.txt\n");
    })
    .await;
}

#[tokio::test]
async fn decisions_and_looks_go_from_question_to_undo() {
    both_auths(async |stack| {
        let (yes, no, gone) =
            (waiting(stack, "a.txt").await, waiting(stack, "b.txt").await, waiting(stack, "c.txt").await);
        let listed = stack.cli(&["actions", "--state", "pending_approval", "--json"]).await.exits(0).json();
        assert_eq!(listed["total"], 3, "{listed}");
        let text = stack.cli(&["actions"]).await.exits(0).stdout;
        assert!([&yes, &no, &gone].into_iter().all(|id| text.contains(id.as_str())), "{text}");
        stack.cli(&["approve", &yes]).await.exits(3);
        stack.cli(&["approve", &yes, "--yes"]).await.exits(0);
        stack.cli(&["approve", &yes, "--yes"]).await.exits(7);
        stack.cli(&["deny", &no, "--reason", "not today"]).await.exits(0);
        stack.cli(&["cancel", &gone]).await.exits(0);
        stack.cli(&["cancel", &gone]).await.exits(7);
        let there = |name: &str| stack.root().join(name).exists();
        assert!(there("a.txt") && !there("b.txt") && !there("c.txt"));
        let shown = stack.cli(&["audit", "show", &no]).await.exits(0).stdout;
        assert!(shown.contains("denied") && shown.contains("not today"), "{shown}");
        let one = stack.cli(&["actions", &yes, "--exact", "--json"]).await.exits(0).stdout;
        assert!(one.contains("\"content\": \"x\"") || one.contains("\"content\":\"x\""), "{one}");
        stack.cli(&["undo", &yes, "--dry-run"]).await.exits(0);
        assert!(there("a.txt"));
        stack.cli(&["undo", &yes]).await.exits(0);
        assert!(!there("a.txt"));
        stack.cli(&["undo", &yes]).await.exits(7);
        for look in
            [&["health"][..], &["capabilities"], &["capabilities", "file.write"], &["audit", "verify"]]
        {
            let ended = stack.cli(look).await.exits(0);
            assert!(!ended.stdout.is_empty(), "{look:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn policy_explain_foretells_what_the_gateway_decides() {
    let policy = "[[rule]]\nname = \"notes\"\ncapability = \"file.write\"\ncaller = \"agent\"\ndecision = \"allow\"\n\
                  [rule.args]\npath = { regex = \"^notes/\" }\n";
    let stack = Stack::builder().auth(true).policy(policy).start().await;
    for (path, caller, decision, state) in [
        ("notes/a", "agent", "allow", "succeeded"),
        ("notes/a", "operator", "ask", "pending_approval"),
        ("other/a", "agent", "ask", "pending_approval"),
        ("../a", "agent", "deny", "failed"),
    ] {
        let path = format!("path={path}");
        let explained = stack
            .cli(&["policy", "explain", "file.write", &path, "content=x", "--caller", caller, "--json"])
            .await;
        assert_eq!(explained.exits(0).json()["decision"], decision, "{path} {caller}");
        let planned = stack.cli(&["--as", caller, "act", "file.write", &path, "content=x", "--json"]).await;
        assert_eq!(planned.json()["state"], state, "{path} {caller}: {planned:?}");
    }
    stack.cli(&["policy", "check"]).await.exits(0);
}

#[tokio::test]
async fn who_speaks_is_who_the_token_says() {
    let stack = Stack::builder().auth(true).start().await;
    let id = waiting(&stack, "a.txt").await;
    stack.cli(&["--as", "agent", "approve", &id, "--yes"]).await.exits(6);
    stack.cli(&["--as", "agent", "deny", &id]).await.exits(6);
    stack.cli(&["--token", "sth_wrong", "actions"]).await.exits(6);
    stack.cli(&["--as", "nobody", "actions"]).await;
    let old = stack.token("agent");
    let rotated = stack.cli(&["token", "rotate", "agent"]).await.exits(0);
    assert!(!rotated.stderr.contains(&old));
    let new = stack.token("agent");
    assert_ne!(old, new);
    let with = |token: &str| stack.client(Service::Gateway, Token::Text(token.to_owned()));
    until("the new token", async || (with(&new).get("/v1/actions").await.status == 200).then_some(())).await;
    until("the end of the old one", async || {
        (with(&old).get("/v1/actions").await.status == 401).then_some(())
    })
    .await;
    assert_eq!(stack.cli(&["token", "show", "agent"]).await.exits(0).stdout.trim(), new);
    let listed = stack.cli(&["token", "list"]).await.exits(0).stdout;
    assert!(listed.contains("operator") && !listed.contains("sth_"), "{listed}");
    assert!(!Path::new(&stack.root().join("a.txt")).exists());
}

#[tokio::test]
async fn settings_and_surroundings_are_told_as_they_are() {
    let stack = Stack::builder().config("[limits]\nrequests_per_second = 77\n").start().await;
    let shown = stack.cli(&["config", "show", "--json"]).await.exits(0).stdout;
    assert!(shown.contains("77"), "{shown}");
    let text = stack.cli(&["config", "show"]).await.exits(0).stdout;
    let line = text.lines().find(|line| line.starts_with("limits.requests_per_second")).unwrap();
    assert!(line.contains("77") && line.contains("file, line 2"), "{line}");
    stack.cli(&["config", "check"]).await.exits(0);
    let doctor = stack.cli(&["doctor", "--json"]).await;
    assert!(doctor.json().to_string().contains("sandbox"), "{doctor:?}");
}

#[tokio::test]
async fn an_edited_journal_is_found_out() {
    let mut stack = Stack::builder().auth(true).start().await;
    for n in 0..5 {
        stack.plan("file.read", json!({"path": format!("forged-{n}")})).await;
    }
    stack.stop().await;
    stack.cli(&["audit", "verify"]).await.exits(0);
    let file = stack.data().join("journal.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let mut edits = 0;
    for at in 0..bytes.len() - 8 {
        if &bytes[at..at + 8] == b"forged-3" {
            bytes[at..at + 8].copy_from_slice(b"innocent");
            edits += 1;
        }
    }
    assert!(edits > 0, "the path is in the journal");
    std::fs::write(&file, bytes).unwrap();
    let verify = stack.cli(&["audit", "verify"]).await.exits(10);
    assert!(!verify.stdout.is_empty() || !verify.stderr.is_empty());
    let as_json = stack.cli(&["audit", "verify", "--json"]).await.exits(10).json();
    assert_ne!(as_json["ok"], true, "{as_json}");
}
