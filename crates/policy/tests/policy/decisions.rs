//! What is decided, row by row: intent, parameters, caller, decision, rule.

use serde_json::{Value, json};
use steadyhand_policy::{Decision, Origin, Policy};

use crate::decide;

/// Rows of an action and what it comes to. The caller of each is `agent` unless a row says otherwise.
fn check(policy: &Policy, rows: &[(&str, Value, &str)]) {
    for (intent, params, expected) in rows {
        let ruling = decide(policy, intent, params, "agent");
        let got = format!("{} {}", ruling.decision, ruling.rule);
        assert_eq!(&got, expected, "{intent} {params}");
    }
}

#[test]
fn each_of_the_thirteen_has_a_rule_of_its_own() {
    let policy = Policy::builtin();
    check(
        &policy,
        &[
            ("file.read", json!({"path": "a.txt"}), "allow allow_file_read"),
            ("file.write", json!({"path": "a.txt", "content": ""}), "ask confirm_file_write"),
            ("shell.run", json!({"command": "ls -l"}), "ask confirm_shell_write"),
            ("browser.open", json!({"url": "https://example.org"}), "ask confirm_browser_open"),
            ("app.launch", json!({"target": "xterm"}), "ask confirm_app_launch"),
            ("app.close", json!({"target": "xterm", "force": true}), "ask confirm_app_close"),
            ("window.focus", json!({"title": "x"}), "allow allow_window_focus"),
            ("window.list", json!({}), "allow allow_window_list"),
            ("keyboard.type", json!({"text": "x"}), "ask confirm_keyboard_type"),
            ("keyboard.hotkey", json!({"keys": "ctrl+a"}), "ask confirm_keyboard_hotkey"),
            ("mouse.click", json!({"x": 1, "y": 2}), "ask confirm_mouse_click"),
            ("clipboard.read", json!({}), "allow allow_clipboard_read"),
            ("clipboard.write", json!({"text": "x"}), "allow allow_clipboard_write"),
        ],
    );
}

#[test]
fn the_gates_other_names_are_ruled_as_the_contract_says() {
    check(
        &Policy::builtin(),
        &[
            ("health.check", json!({}), "allow allow_health_check"),
            ("healthz", json!({}), "allow allow_health_check"),
            ("healthzz", json!({}), "ask confirm_unknown"),
            ("process.start", json!({}), "ask confirm_process_control"),
            ("process.kill", json!({"pid": 1}), "ask confirm_process_control"),
            ("process.list", json!({}), "ask confirm_unknown"),
            ("table.drop", json!({}), "deny deny_unknown_destructive"),
            ("a.b.destroy", json!({}), "deny deny_unknown_destructive"),
            ("FILE.DELETE", json!({}), "deny deny_unknown_destructive"),
            ("file.\n.delete", json!({}), "deny deny_unknown_destructive"),
            ("file.deleted", json!({}), "ask confirm_unknown"),
            ("delete", json!({}), "ask confirm_unknown"),
            ("no.such", json!({}), "ask confirm_unknown"),
            ("", json!({}), "ask confirm_unknown"),
            ("File.Read", json!({"path": "a"}), "allow allow_file_read"),
            ("file.read ", json!({"path": "a"}), "ask confirm_unknown"),
            ("file.read\n", json!({"path": "a"}), "ask confirm_unknown"),
            ("file.read\0", json!({"path": "a"}), "ask confirm_unknown"),
        ],
    );
}

#[test]
fn commands_that_destroy_are_denied_and_their_likes_asked() {
    let denied = "deny deny_destructive_shell";
    let asked = "ask confirm_shell_write";
    for (command, expected) in [
        ("rm -rf /", denied),
        ("rm\t-rf\t/", denied),
        ("/bin/rm x", denied),
        ("ls; rm x", denied),
        ("ls;rm x", denied),
        ("$(rm x)", denied),
        ("`rm x`", denied),
        ("RM x", denied),
        ("del a.txt", denied),
        ("format c:", denied),
        ("Remove-Item x", denied),
        ("remove-item x", denied),
        ("[IO.File]::Delete('x')", denied),
        ("Clear-Content x", denied),
        ("Stop-Process 1", denied),
        ("Stop-Service x", denied),
        ("Set-ExecutionPolicy x", denied),
        ("Invoke-Expression x", denied),
        ("iex x", denied),
        ("Get-ChildItem ; Remove-Item x", denied),
        ("echo ü;rm x", denied),
        ("rm", asked),
        ("rmdir x", asked),
        ("stat --format %s x", asked),
        ("charm x", asked),
        ("model x", asked),
        ("reformat x", asked),
        ("ls form.rm x", asked),
        ("complex iexplore", asked),
        ("ls deleted", asked),
        ("Get-ChildItem", asked),
        ("", asked),
    ] {
        check(&Policy::builtin(), &[("shell.run", json!({"command": command}), expected)]);
    }
}

#[test]
fn paths_that_leave_the_sandbox_are_denied() {
    let denied = "deny deny_path_escape";
    let allowed = "allow allow_file_read";
    for (path, expected) in [
        ("../secret", denied),
        ("a/../../b", denied),
        ("..", denied),
        ("a/..", denied),
        ("..\\secret", denied),
        ("C:\\Windows", denied),
        ("d:\\x", denied),
        ("\\\\server\\share", denied),
        ("a/..b", allowed),
        ("a..", allowed),
        ("...", allowed),
        ("100%.txt", allowed),
        ("%2e%2e/x", allowed),
        ("/etc/passwd", allowed),
        ("C:/x", allowed),
        ("a\\b", allowed),
        ("", allowed),
    ] {
        check(&Policy::builtin(), &[("file.read", json!({"path": path}), expected)]);
    }
    let write = json!({"path": "../x", "content": "y"});
    check(
        &Policy::builtin(),
        &[("file.write", write, denied), ("file.stat", json!({"path": "../x"}), denied)],
    );
}

#[test]
fn odd_values_of_an_argument_neither_escape_nor_crash() {
    let long = "../".repeat(200_000);
    check(
        &Policy::builtin(),
        &[
            ("shell.run", json!({}), "ask confirm_shell_write"),
            ("shell.run", json!({"command": null}), "ask confirm_shell_write"),
            ("shell.run", json!({"command": ["rm ", "x"]}), "deny deny_destructive_shell"),
            ("shell.run", json!({"command": {"a": "Remove-Item"}}), "deny deny_destructive_shell"),
            ("shell.run", json!({"command": 7}), "ask confirm_shell_write"),
            ("shell.run", json!({"Command": "rm x"}), "ask confirm_shell_write"),
            ("file.read", json!({"path": long}), "deny deny_path_escape"),
            ("file.read", json!({"path": "a\0../b"}), "deny deny_path_escape"),
            ("file.read", json!({"path": true}), "allow allow_file_read"),
        ],
    );
}

const OPERATORS: &str = r##"
[[rule]]
name = "scratch needs no question"
capability = "file.write"
decision = "allow"
[rule.args]
path = { under = "scratch" }

[[rule]]
name = "listing needs no question"
capability = "shell.run"
caller = "agent"
decision = "allow"
args = { command = { regex = "^ls( |$)" } }

[[rule]]
name = "build dir may be emptied"
capability = "shell.run"
decision = "allow"
args = { command = "rm -r build" }

[[rule]]
name = "guests only read"
capability = "*"
caller = "guest-*"
decision = "deny"
description = "Guests may not act"

[[rule]]
name = "forced closing"
capability = "app.close"
decision = "deny"
args = { force = true, target = { glob = "*" } }

[[rule]]
name = "double clicks"
capability = "mouse.*"
decision = "deny"
args = { clicks = 2 }

[[rule]]
name = "windows"
capability = "WINDOW.?ist"
decision = "ask"

[[rule]]
name = "secrets"
capability = "keyboard.type"
decision = "deny"
args = { text = { glob = "pass?ord*" } }

[shell]
allow = ["git", "cargo"]
bare = true
"##;

#[test]
fn the_operators_rules_go_first() {
    let policy = Policy::parse(OPERATORS, "policy.toml").unwrap();
    let write = |path: &str| json!({"path": path, "content": "x"});
    check(
        &policy,
        &[
            ("file.write", write("scratch/a"), "allow scratch needs no question"),
            ("FILE.WRITE", write("./scratch/b/c"), "allow scratch needs no question"),
            ("file.write", write("scratch/../a"), "deny deny_path_escape"),
            ("file.write", write("scratchy/a"), "ask confirm_file_write"),
            ("file.write", json!({"content": "x"}), "ask confirm_file_write"),
            ("file.write", json!({"path": null}), "ask confirm_file_write"),
            ("file.write", json!({"path": ["scratch/a"]}), "ask confirm_file_write"),
            ("shell.run", json!({"command": "ls"}), "allow listing needs no question"),
            ("shell.run", json!({"command": "ls -l"}), "allow listing needs no question"),
            ("shell.run", json!({"command": "ls\n"}), "ask confirm_shell_write"),
            ("shell.run", json!({"command": "lsof"}), "ask confirm_shell_write"),
            ("shell.run", json!({"command": " ls"}), "ask confirm_shell_write"),
            ("shell.run", json!({"command": "rm -r build"}), "allow build dir may be emptied"),
            ("shell.run", json!({"command": "rm -r build2"}), "deny deny_destructive_shell"),
            ("shell.run", json!({"command": "RM -r build"}), "deny deny_destructive_shell"),
            ("app.close", json!({"target": "x", "force": true}), "deny forced closing"),
            ("app.close", json!({"target": "x", "force": "true"}), "ask confirm_app_close"),
            ("app.close", json!({"target": "x"}), "ask confirm_app_close"),
            ("app.close", json!({"target": null, "force": true}), "ask confirm_app_close"),
            ("mouse.click", json!({"x": 1, "y": 1, "clicks": 2}), "deny double clicks"),
            ("mouse.click", json!({"x": 1, "y": 1, "clicks": "2"}), "ask confirm_mouse_click"),
            ("window.list", json!({}), "ask windows"),
            ("keyboard.type", json!({"text": "password\nx"}), "deny secrets"),
            ("keyboard.type", json!({"text": "my password"}), "ask confirm_keyboard_type"),
        ],
    );
    for (caller, decision) in [
        ("agent", "allow listing needs no question"),
        ("Agent", "ask confirm_shell_write"),
        ("guest-1", "deny guests only read"),
        ("guest", "ask confirm_shell_write"),
        ("Guest-1", "ask confirm_shell_write"),
    ] {
        let ruling = decide(&policy, "shell.run", &json!({"command": "ls"}), caller);
        assert_eq!(format!("{} {}", ruling.decision, ruling.rule), decision, "{caller}");
    }
    assert_eq!(policy.shell_allow(), ["git", "cargo"]);
    assert!(policy.allow_bare());
}

#[test]
fn a_ruling_says_where_its_rule_stands() {
    let policy = Policy::parse(OPERATORS, "policy.toml").unwrap();
    let ruling = decide(&policy, "file.read", &json!({"path": "a"}), "guest-1");
    assert_eq!(ruling.decision, Decision::Deny);
    assert_eq!(
        (ruling.rule.as_str(), ruling.description.as_str()),
        ("guests only read", "Guests may not act")
    );
    assert_eq!((ruling.origin, ruling.line), (Origin::Operator, Some(22)));
    let ruling = decide(&policy, "file.read", &json!({"path": "a"}), "agent");
    assert_eq!((ruling.origin, ruling.line), (Origin::Builtin, None));
}

#[test]
fn without_a_file_the_shell_stays_confined() {
    let policy = Policy::builtin();
    assert!(policy.shell_allow().is_empty());
    assert!(!policy.allow_bare());
}
