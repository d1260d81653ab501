//! Bad input never panics, hangs or reaches what it shouldn't, whatever it is.

use serde_json::{Value, json};

use crate::support::{Call, Stack, both_auths};

const ALLOW: &str = "[[rule]]\nname = \"t\"\ncapability = \"*\"\ndecision = \"allow\"\n";

fn odd_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        ".",
        "..",
        "/",
        "//",
        "./",
        "~",
        "~root",
        "a/",
        "/.",
        "a\u{0}b",
        "\u{0}",
        "\n",
        "a\nb",
        "\r",
        "\u{7f}",
        "\u{202e}txt",
        "-rf",
        "--help",
        "*",
        "?",
        "[",
        "$HOME",
        "%00",
        "C:\\x",
        "\\\\x",
        "a\\b",
        "CON",
        "'",
        "\"",
        "`",
        "''",
        "\"\"",
        "'unclosed",
        "\\",
        "\\\\",
        "!",
        "#",
        "ls #x",
        "ls -- -x",
        "=",
        "A=B",
        "{a,b}",
        "<(ls)",
        "(ls)",
        "\u{feff}ls",
        "ＬＳ",
        "ls\u{a0}x",
        "🔥",
        "/dev/zero",
        "/proc/self/mem",
        "/proc/self/fd/0",
        "/dev/stdin",
    ]
    .map(str::to_owned)
    .into();
    texts.push("n".repeat(300));
    texts.push("p/".repeat(3_000));
    texts.push(format!("ls {}", "x ".repeat(5_000)));
    texts.push("é".repeat(128));
    texts
}

#[tokio::test]
async fn odd_texts_are_answered_by_every_capability_and_tool() {
    let mut stack = Stack::builder().policy(ALLOW).start().await;
    for text in odd_texts() {
        let shown: String = text.chars().take(40).collect();
        for (tool, args) in [
            ("file.read", json!({"path": text})),
            ("file.write", json!({"path": text, "content": text})),
            ("shell.run", json!({"command": text})),
            ("app.launch", json!({"target": text, "args": [text]})),
            ("keyboard.hotkey", json!({"keys": text})),
        ] {
            let planned = stack.plan(tool, args.clone()).await;
            assert!(
                planned["ok"].is_boolean() && planned["state"].is_string(),
                "{tool} {shown:?}: {planned}"
            );
            let direct = json!({"tool_name": tool, "args": args});
            assert!(stack.executor().post("/execute", direct.clone()).await.ok()["status"].is_string());
            assert!(stack.supervisor().post("/gate-tool-call", direct).await.ok()["status"].is_string());
        }
        let as_intent = stack.post("/v1/actions/plan", json!({"intent": text})).await;
        assert!([200, 422].contains(&as_intent.status), "{shown:?}: {}", as_intent.text);
        let query: String = text.bytes().map(|b| format!("%{b:02x}")).take(2_000).collect();
        for path in ["/v1/actions?state=", "/v1/actions?since=", "/v1/actions?cursor=", "/v1/actions/"] {
            let answer = stack.get(&format!("{path}{query}")).await;
            assert!(answer.status < 500, "{path} {shown:?}: {}", answer.text);
        }
    }
    stack.stop().await;
    assert!(!stack.stderr().contains("panicked"), "{}", stack.stderr());
    let beside: Vec<_> = std::fs::read_dir(stack.etc()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(beside.len(), 2, "nothing was written beside the root: {beside:?}");
}

#[tokio::test]
async fn odd_values_are_refused_by_every_door() {
    both_auths(async |stack| {
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        let values = [json!(null), json!(true), json!(0), json!(-1), json!(1e308), json!([]), json!({}), deep,
            json!(u64::MAX), json!({"a": {"b": [null]}})];
        let fields = ["intent", "params", "timeout_ms", "deadline_ms", "max_retries", "idempotency_key", "session_id",
            "dry_run", "metadata", "tool_name", "args", "attempt_id", "correlation_id", "id", "trace_id", "context",
            "approval_token", "token_id", "decision", "reason"];
        for field in fields {
            for value in &values {
                let mut body = json!({"intent": "file.read", "params": {"path": "a"}, "tool_name": "file.read",
                    "args": {"path": "a"}});
                body[field] = value.clone();
                let planned = stack.post("/v1/actions/plan", body.clone()).await;
                assert!([200, 422].contains(&planned.status), "{body}: {}", planned.text);
                let executed = stack.executor().post("/execute", body.clone()).await;
                assert!([200, 422].contains(&executed.status), "{body}: {}", executed.text);
                // A call that doesn't fit is 500 with a detail here (contract 6.2).
                let gated = stack.supervisor().post("/gate-tool-call", body.clone()).await;
                assert!(gated.status == 200 || gated.body["detail"].is_string(), "{body}: {}", gated.text);
                let approved = stack.supervisor().post("/approve", body.clone()).await;
                assert!(approved.status == 200, "{body}: {}", approved.text);
            }
        }
        for param in ["path", "content", "extra"] {
            for value in &values {
                let mut params = json!({"path": "a", "content": "b"});
                params[param] = value.clone();
                let planned = stack.plan("file.write", params).await;
                assert!(["planned", "pending_approval"].contains(&planned["state"].as_str().unwrap()), "{planned}");
            }
        }
        assert!(!stack.stderr().contains("panicked"), "{}", stack.stderr());
    })
    .await;
}

#[tokio::test]
async fn what_is_no_file_neither_hangs_nor_is_replaced() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let stack = Stack::builder().policy(ALLOW).start().await;
    let root = stack.root();
    mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", root.join("zero")).unwrap();
    std::os::unix::fs::symlink("dangling", root.join("link")).unwrap();
    std::fs::create_dir(root.join("folder")).unwrap();
    for name in ["fifo", "socket", "zero", "folder"] {
        for (tool, params) in [
            ("file.read", json!({"path": name})),
            ("file.write", json!({"path": name, "content": "x"})),
            ("shell.run", json!({"command": format!("cat {name}")})),
        ] {
            let request = json!({"intent": tool, "params": params, "timeout_ms": 500, "max_retries": 0});
            let answer = stack.post("/v1/actions/plan", request).await.ok();
            let succeeded = answer["ok"] == true && answer["execution"]["output"]["success"] == true;
            assert!(!succeeded, "{tool} {name}: {answer}");
            // A command that waits for a pipe's writer ends with its time; Steadyhand itself never waits.
            assert!(tool == "shell.run" || answer["state"] == "failed", "{tool} {name}: {answer}");
        }
        let kind = std::fs::symlink_metadata(root.join(name)).unwrap().file_type();
        assert!(!kind.is_file(), "{name} was replaced");
    }
    let dangling = stack.plan("file.read", json!({"path": "link"})).await;
    assert_eq!(dangling["ok"], false, "{dangling}");
}

#[tokio::test]
async fn headers_of_odd_bytes_are_no_failure() {
    both_auths(async |stack| {
        let client = stack.gateway();
        let bearer =
            client.bearer.as_ref().map(|b| format!("authorization: Bearer {b}\r\n")).unwrap_or_default();
        let body = json!({"intent": "no.such"}).to_string();
        let mut request = format!(
            "POST /v1/actions/plan HTTP/1.1\r\nhost: localhost\r\n{bearer}connection: close\r\n\
            content-length: {}\r\nx-correlation-id: ",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(b"\xff\xfe\x80\r\n\r\n");
        request.extend_from_slice(body.as_bytes());
        let answer = client.raw(&request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let told: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert!(crate::support::is_id(&told["correlation_id"], "req_", 12), "{told}");
        let head = client.send(Call::new(hyper::Method::HEAD, "/healthz")).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
    })
    .await;
}
