//! Commands that need no gateway, and what the others say without one.

use std::{net::TcpListener, os::unix::fs::PermissionsExt as _};

use crate::fixture::Home;

#[test]
fn wrong_command_lines_are_usage() {
    let home = Home::new();
    for (args, said) in [
        (&["fly"][..], "fly"),
        (&["act"], "required"),
        (&["act", "file.read", "path"], "write KEY=VALUE"),
        (&["act", "file.read", "n:=x"], "takes JSON"),
        (&["act", "file.read", "--timeout-ms", "99"], "99"),
        (&["actions", "--limit", "0"], "0"),
        (&["actions", "--since", "yesterday", "--url", "http://127.0.0.1:1"], "30m"),
        (&["health", "--url", "https://example.org"], "http://HOST:PORT"),
        (&["actions", "--as", "agent", "--token", "x"], "cannot be used with"),
        (&["token", "new", "x"], "--scopes"),
        (&["token", "new", "x", "--scopes", "root"], "root"),
        (&["token", "new", "A b", "--scopes", "read"], "1 to 40 of a-z"),
        (&["serve", "voice"], "voice"),
    ] {
        home.run(args).ends(2, said);
    }
}

#[test]
fn without_a_gateway_the_start_is_named() {
    let home = Home::new();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    for args in [
        &["health"][..],
        &["act", "file.read", "path=a"],
        &["actions"],
        &["approve", "act_1", "--yes"],
        &["deny", "act_1"],
        &["cancel", "act_1"],
        &["undo", "act_1"],
        &["audit", "show", "act_1"],
        &["capabilities"],
    ] {
        let ran = home.run(&[args, &["--url", &url]].concat()).ends(5, "steadyhand up");
        assert_eq!(ran.stdout, "", "{args:?}");
    }
    let ran = home.run(&["health", "--json", "--url", &url]).ends(5, "no gateway answers");
    assert_eq!(ran.json()["error"]["exit_code"], 5);
}

#[test]
fn a_stack_whose_process_is_gone_is_not_reachable() {
    let home = Home::new();
    home.write(
        "d/run/stack.json",
        r#"{"pid":4194305,"port_base":7000,"bind":"127.0.0.1","auth":"on","started_at":"2026-01-02T03:04:05Z"}"#,
    );
    home.run(&["health", "--data-dir", "d"]).ends(5, "process 4194305 is gone");
    home.write("d/run/stack.json", "{}");
    home.run(&["health", "--data-dir", "d"]).ends(8, "stack.json");
}

#[test]
fn something_else_on_the_port_is_told_apart() {
    use std::io::{Read as _, Write as _};
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let read = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>").unwrap();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    home.run(&["health", "--url", &url]).ends(5, "not as Steadyhand does");
    let request = other.join().unwrap();
    assert!(request.starts_with("GET /v1/health/summary HTTP/1.1"), "{request}");
    assert!(!request.to_lowercase().contains("authorization"), "there was no token to send");
}

#[test]
fn a_broken_configuration_says_where_and_what() {
    let home = Home::new();
    home.write(".config/steadyhand/config.toml", "[limits]\nbody_byte_max = 1\n\n[log]\nlevel = \"loud\"\n");
    for args in
        [&["config", "show"][..], &["config", "check"], &["up"], &["serve", "executor"], &["policy", "check"]]
    {
        let ran = home.run(args).ends(8, "config.toml:2:1: unknown key `limits.body_byte_max`");
        assert!(ran.stderr.contains("did you mean `limits.body_bytes_max`?"), "{ran:?}");
        assert!(ran.stderr.contains("config.toml:5:9: `log.level` must be error or warn"), "{ran:?}");
    }
    let ran = home.run(&["doctor"]).ends(8, "fail  configuration");
    assert!(ran.stdout.contains("config.toml:2:1"), "{ran:?}");
    home.run(&["config", "check", "--config", "absent.toml"]).ends(8, "there is no configuration file");
}

#[test]
fn a_broken_policy_says_where_and_what() {
    let home = Home::new();
    home.write("c/config.toml", "port_base = 7100\n");
    home.write("c/policy.toml", "[[rule]]\nname = \"x\"\ndecison = \"deny\"\n");
    for args in [&["config", "check"][..], &["policy", "check"], &["policy", "explain", "file.read"]] {
        let args = [args, &["--config", "c/config.toml"]].concat();
        home.run(&args).ends(8, "policy.toml:3:1: unknown key `decison`");
    }
    home.run(&["policy", "check", "absent.toml"]).ends(8, "there is no file");
}

#[test]
fn a_rule_that_can_never_match_is_named() {
    let home = Home::new();
    home.write("p.toml", "[[rule]]\nname = \"x\"\ncapability = \"file.wriet\"\ndecision = \"deny\"\n");
    home.run(&["policy", "check", "p.toml"]).ends(8, "file.wriet");
}

#[test]
fn policy_explains_the_rule_that_decides() {
    let home = Home::new();
    home.write(
        ".config/steadyhand/policy.toml",
        "[[rule]]\nname = \"notes\"\ncapability = \"file.write\"\ncaller = \"agent\"\ndecision = \"allow\"\n",
    );
    home.run(&["policy", "check"]).ends(0, "notes");
    home.run(&["policy", "explain", "file.write", "path=a"]).ends(0, "allow: rule notes (operator, line 1)");
    let ran = home.run(&["policy", "explain", "file.write", "path=a", "--caller", "other", "--json"]);
    let ran = ran.ends(0, "confirm_file_write").json();
    assert_eq!((&ran["decision"], &ran["rule"]), (&"ask".into(), &"confirm_file_write".into()));
    assert_eq!(
        ran["steps"][0],
        serde_json::json!({"rule": "notes", "why_not": "is about the caller `agent`"})
    );
}

#[test]
fn settings_show_where_they_come_from() {
    let home = Home::new();
    home.write(".config/steadyhand/config.toml", "\nport_base = 7100\nauth = \"on\"\n");
    let mut command = home.command(&["config", "show", "--json", "--auth", "off", "--root", "here"]);
    let ran = Home::finish(command.env("STEADYHAND_LOG_LEVEL", "warn")).ends(0, "").json();
    let from = |name: &str| ran["settings"][name]["from"].as_str().unwrap().to_owned();
    assert_eq!(from("port_base"), "file, line 2");
    assert_eq!(from("auth"), "flag, --auth");
    assert_eq!(from("log.level"), "environment, STEADYHAND_LOG_LEVEL");
    assert_eq!(from("bind"), "default");
    let here = home.path().join("here").display().to_string();
    assert_eq!(ran["settings"]["roots"]["value"], serde_json::json!([here]));
}

#[test]
fn tokens_are_made_shown_rotated_and_removed() {
    let home = Home::new();
    home.run(&["token", "show", "laptop"]).ends(7, "there is no token `laptop`");
    let made = home.run(&["token", "new", "laptop", "--scopes", "read,act"]).ends(0, "sth_").stdout;
    assert_eq!(home.run(&["token", "show", "laptop"]).ends(0, "").stdout, made);
    home.run(&["token", "new", "laptop", "--scopes", "read"]).ends(7, "exists already");
    let rotated = home.run(&["token", "rotate", "laptop"]).ends(0, "stops within a second").stdout;
    assert_ne!(rotated, made);
    let listed = home.run(&["token", "list"]).ends(0, "read act");
    assert!(!listed.stdout.contains("sth_") && !listed.stderr.contains("sth_"), "{listed:?}");
    let file = home.path().join(".local/share/steadyhand/tokens/laptop.toml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    home.run(&["token", "show", "laptop"]).ends(8, "chmod 600");
    home.run(&["token", "remove", "laptop"]).ends(0, "removed");
    home.run(&["token", "remove", "laptop"]).ends(7, "there is no token");
}

#[test]
fn a_text_that_is_no_token_is_refused_before_it_is_sent() {
    let home = Home::new();
    home.run(&["health", "--url", "http://127.0.0.1:1", "--token", "secret"]).ends(6, "this is no token");
    let mut command = home.command(&["health", "--url", "http://127.0.0.1:1"]);
    let ran = Home::finish(command.env("STEADYHAND_TOKEN", "hunter2")).ends(6, "this is no token");
    assert!(!ran.stderr.contains("hunter2"));
}

#[test]
fn verify_needs_a_journal() {
    Home::new().run(&["audit", "verify", "--data-dir", "d"]).ends(8, "there is no journal in");
}

/// A base whose ports nobody has at this moment.
fn free_base() -> String {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().min(65_000);
        if [0, 40, 50].iter().all(|n| TcpListener::bind(("127.0.0.1", port + n)).is_ok()) {
            return port.to_string();
        }
    }
}

#[test]
fn doctor_says_what_is_in_the_way() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().min(65_485).to_string();
    let ran = home.run(&["doctor", "--json", "--port-base", &port]).json();
    let levels: Vec<(&str, &str)> = ran["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["subject"].as_str().unwrap(), f["level"].as_str().unwrap()))
        .collect();
    assert!(
        levels.contains(&("configuration", "ok")) && levels.contains(&("data folder", "ok")),
        "{levels:?}"
    );
    assert!(levels.contains(&("ports", "fail")), "{levels:?}");
    home.write("file", "");
    home.run(&["doctor", "--data-dir", "file"]).ends(8, "is no folder");
    // Another test may take a port between the look and the run; then others are looked for.
    let ran = (0..5).map(|_| home.run(&["doctor", "--auth", "off", "--port-base", &free_base()]));
    let ran = ran.into_iter().find(|ran| !ran.stdout.contains("can't be had")).expect("free ports in five");
    ran.ends(0, "auth is off");
    home.write(".config/steadyhand/policy.toml", "");
    let policy = home.path().join(".config/steadyhand/policy.toml");
    std::fs::set_permissions(&policy, std::fs::Permissions::from_mode(0o620)).unwrap();
    home.run(&["doctor"]).ends(8, "chmod go-w");
    assert!(!home.path().join(".local").exists(), "doctor makes nothing");
}
