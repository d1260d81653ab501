//! The commands against a real stack: what is asked for really happens.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::{
    fixture::Home,
    stack::{self, Stack},
};

fn id(answer: &Value) -> String {
    answer["action_id"].as_str().expect("an action").to_owned()
}

#[test]
fn a_read_prints_the_exact_bytes() {
    let stack = Stack::start();
    let text = "one\n\x1b[31mtwo\u{202e}\r\n\nno line end";
    stack.home.write("r/notes.txt", text);
    let ran = stack.run(&["act", "file.read", "path=notes.txt"]).ends(0, "");
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), (text, ""));
    let answer = stack
        .run(&["act", "file.read", "--json-params", "{\"path\":\"notes.txt\"}", "--json"])
        .ends(0, "")
        .json();
    assert_eq!(
        (&answer["state"], &answer["execution"]["output"]["content"]),
        (&json!("succeeded"), &json!(text))
    );
    stack.run(&["act", "file.read", "path=absent.txt"]).ends(1, "File not found");
    stack.run(&["act", "file.read", "path=/etc/passwd"]).ends(4, "POLICY_DENIED");
    stack.run(&["act", "file.read", "pat=notes.txt"]).ends(7, "Missing required parameter: path");
    stack.run(&["act", "file.raed", "path=notes.txt"]).ends(7, "did you mean 'file.read'?");
}

#[test]
fn a_write_waits_is_approved_runs_once_and_is_undone() {
    let stack = Stack::start();
    stack.home.write("r/a.txt", "old\n");
    stack.home.write("draft.txt", "new\n");
    let write = ["act", "file.write", "path=a.txt", "content=@draft.txt"];
    let waiting = stack.run(&[&write[..], &["--json"]].concat()).ends(3, "").json();
    let action = id(&waiting);
    assert_eq!(waiting["state"], "pending_approval");
    assert_eq!(stack.read("a.txt").as_deref(), Some("old\n"));
    stack.run(&["actions", "--state", "pending_approval"]).ends(0, &action);
    // Nobody is there to ask.
    stack.run(&["--as", "agent", "approve", &action, "--yes"]).ends(6, "approve");
    stack.run(&["approve", &action, "--yes"]).ends(0, "");
    assert_eq!(stack.read("a.txt").as_deref(), Some("new\n"));
    stack.run(&["approve", &action, "--yes"]).ends(7, "INVALID_STATE");
    let shown = stack.run(&["actions", &action]).ends(0, "confirmed");
    assert!(!shown.stdout.contains("new"), "content is redacted: {shown:?}");
    stack.run(&["actions", &action, "--exact"]).ends(0, "new");
    stack.run(&["--as", "agent", "actions", &action, "--exact"]).ends(6, "approve");
    stack.run(&["audit", "show", &action]).ends(0, "approved");
    stack.run(&["undo", &action, "--dry-run"]).ends(0, "-new\n+old");
    assert_eq!(stack.read("a.txt").as_deref(), Some("new\n"));
    stack.run(&["undo", &action]).ends(0, "put back");
    assert_eq!(stack.read("a.txt").as_deref(), Some("old\n"));
    stack.run(&["undo", &action]).ends(7, "INVALID_STATE");
}

#[test]
fn yes_approves_and_a_dry_run_does_nothing() {
    let stack = Stack::start();
    let write = ["act", "file.write", "path=a/b.txt", "content=x"];
    stack.run(&[&write[..], &["--dry-run"]].concat()).ends(0, "");
    assert_eq!(stack.read("a/b.txt"), None);
    stack.run(&[&write[..], &["--yes"]].concat()).ends(0, "bytes_written");
    assert_eq!(stack.read("a/b.txt").as_deref(), Some("x"));
}

#[test]
fn without_a_terminal_the_way_to_approve_is_said() {
    let stack = Stack::start();
    let ran = stack.run(&["act", "file.write", "path=a.txt", "content=x"]).ends(3, "waits for approval");
    assert!(ran.stderr.contains("steadyhand approve act_"), "{ran:?}");
    let waiting = stack.run(&["actions", "--json"]).json();
    let action = waiting["actions"][0]["action_id"].as_str().unwrap().to_owned();
    stack.run(&["deny", &action, "--reason", "not now"]).ends(0, "denied");
    stack.run(&["deny", &action]).ends(7, "INVALID_STATE");
    assert_eq!(stack.read("a.txt"), None);
}

#[test]
fn several_are_denied_and_one_unknown_spoils_the_exit_code() {
    let stack = Stack::start();
    let ids: Vec<String> = ["a", "b"]
        .iter()
        .map(|name| {
            id(&stack.run(&["act", "file.write", &format!("path={name}"), "content=x", "--json"]).json())
        })
        .collect();
    stack.run(&["deny", &ids[0], "act_0000000000000000", &ids[1]]).ends(7, "NOT_FOUND");
    let listed = stack.run(&["actions", "--state", "denied", "--json"]).json();
    assert_eq!(listed["total"], 2);
}

#[test]
fn a_command_prints_its_own_output_and_its_failure_is_one() {
    let stack = Stack::start();
    stack.home.write("r/notes.txt", "x");
    let ran = stack.run(&["act", "shell.run", "command=ls", "--yes"]).ends(0, "");
    assert_eq!(ran.stdout, "notes.txt\n");
    let ran =
        stack.run(&["act", "shell.run", "command=ls absent", "--yes"]).ends(1, "the program ended with 2");
    assert!(ran.stderr.contains("absent") && ran.stdout.is_empty(), "{ran:?}");
    stack.run(&["act", "shell.run", "command=rm notes.txt", "--yes"]).ends(4, "deny_destructive_shell");
}

#[test]
fn ctrl_c_cancels_the_action() {
    let home = Home::new();
    home.write(".config/steadyhand/policy.toml", "[shell]\nallow = [\"sleep\"]\n");
    let stack = Stack::start_in(home);
    let act = ["act", "shell.run", "command=sleep 14", "--yes", "--timeout-ms", "15000", "--data-dir", "d"];
    let child = stack.home.command(&act).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Each look is a process of its own, so this asks at its own pace.
    let running = (0..1_000).any(|_| {
        let listed = stack.run(&["actions", "--state", "executing", "--json"]).json();
        listed["total"].as_u64().is_some_and(|n| n > 0)
    });
    assert!(running, "the action never ran");
    stack::interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("is cancelled"), "{said}");
    let listed = stack.run(&["actions", "--json"]).json();
    assert_eq!(listed["actions"][0]["state"], "cancelled");
}

#[test]
fn one_key_is_one_action() {
    let stack = Stack::start();
    let write = ["act", "file.write", "path=a.txt", "content=x", "--yes", "--key", "k", "--json"];
    let first = stack.run(&write).ends(0, "").json();
    let second = stack.run(&write).ends(0, "").json();
    assert_eq!(id(&first), id(&second));
    let ran = stack
        .run(&["act", "file.write", "path=b.txt", "content=x", "--key", "k"])
        .ends(7, "IDEMPOTENCY_CONFLICT");
    assert_eq!(ran.stdout, "", "another request's outcome is not shown: {ran:?}");
}

#[test]
fn a_rotated_token_holds_without_a_restart() {
    let stack = Stack::start();
    let old = stack.run(&["token", "show", "agent"]).ends(0, "sth_").stdout.trim().to_owned();
    stack.run(&["capabilities", "--token", &old]).ends(0, "file.read");
    let new = stack.run(&["token", "rotate", "agent"]).ends(0, "").stdout.trim().to_owned();
    stack.run(&["capabilities", "--token", &new]).ends(0, "file.read");
    stack.run(&["capabilities", "--token", &old]).ends(6, "doesn't know this token");
    stack.run(&["capabilities", "--as", "nobody"]).ends(6, "there is no token `nobody`");
}

#[test]
fn looks_answer_in_text_and_in_json() {
    let stack = Stack::start();
    stack.run(&["capabilities"]).ends(0, "shell.run");
    stack.run(&["capabilities", "file.write"]).ends(0, "content");
    stack.run(&["capabilities", "file.wirte"]).ends(7, "did you mean `file.write`?");
    assert_eq!(stack.run(&["capabilities", "--json"]).json()["stats"]["total"], 13);
    assert_eq!(stack.run(&["health", "--json"]).json()["ok"], true);
    stack.run(&["actions"]).ends(0, "no action matches");
    stack.run(&["actions", "act_0000000000000000"]).ends(7, "");
    stack.run(&["audit", "show", "act_0000000000000000"]).ends(7, "");
    stack.run(&["doctor"]).ends(0, "Steadyhand runs at");
}

#[test]
fn the_journal_holds_together_while_it_is_written_and_after() {
    let stack = Stack::start();
    stack.run(&["act", "file.write", "path=a.txt", "content=x", "--yes"]).ends(0, "");
    let report = stack.run(&["audit", "verify", "--json"]).ends(0, "").json();
    assert_eq!(report["ok"], true);
    assert!(report["journals"][0]["records"].as_u64().unwrap() >= 3, "{report}");
    stack.run(&["audit", "verify"]).ends(0, "holds together");
}

#[test]
fn a_second_instance_and_a_taken_port_are_in_use() {
    let stack = Stack::start();
    let port = stack.port.to_string();
    let other = Home::new();
    other.run(&["up", "--port-base", &port]).ends(9, &format!("port {port} is taken"));
    // The base is free, and the data folder isn't.
    let ran = (0..5).map(|_| {
        let free =
            std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().min(65_000);
        stack.run(&["up", "--root", "r", "--port-base", &free.to_string()])
    });
    let ran = ran.into_iter().find(|ran| !ran.stderr.contains("is taken")).expect("a free port in five");
    ran.ends(9, "--data-dir");
}

#[test]
fn the_first_signal_ends_in_order_and_takes_the_description_away() {
    let stack = Stack::start();
    let described = stack.home.path().join("d/run/stack.json");
    assert!(described.exists());
    assert_eq!(stack.stop(), Some(0));
    assert!(!described.exists());
}
