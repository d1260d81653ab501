//! Contract 5, D-5, D-8, D-9, D-41: the executor's own door.
//!
//! - 5.1: the tools in order, with tier, sandbox and timeout; stats; the newest executions
//! - 5.2: `/execute` is 200 with every key, nulls kept; `executed`, `error`, `policy_denied`, `timeout`,
//!   `not_implemented`; `timeout_ms` 0 and null are the default; a correlation id is kept or made
//! - 5.3: refusals in their exact words; nothing happens
//! - D-41: an `attempt_id` seen before gets its stored answer, also racing, also after a kill

use serde_json::{Value, json};

use crate::support::{Service, Stack, Token, both_auths, is_id, is_time};

const MIB_10: usize = 10 << 20;

async fn execute(stack: &Stack, tool: &str, args: Value) -> Value {
    let body = json!({"tool_name": tool, "args": args, "correlation_id": "corr"});
    let answer = stack.executor().post("/execute", body).await.ok();
    let keys = [
        "correlation_id",
        "duration_ms",
        "error",
        "message",
        "result",
        "side_effects",
        "status",
        "timestamp",
        "tool_name",
    ];
    assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), keys, "{answer}");
    assert_eq!((&answer["tool_name"], &answer["correlation_id"]), (&json!(tool), &json!("corr")), "{answer}");
    assert!(is_time(&answer["timestamp"], "Z") && answer["duration_ms"].is_number(), "{answer}");
    answer
}

#[tokio::test]
async fn the_tools_are_those_of_the_table_in_its_order() {
    const TABLE: [(&str, &str, &str, bool, u64); 13] = [
        ("shell.run", "Shell Run", "TIER_1_COMPUTE", false, 5000),
        ("file.read", "File Read", "TIER_0_READONLY", true, 5000),
        ("file.write", "File Write", "TIER_2_CREATE", true, 5000),
        ("browser.open", "Browser Open", "TIER_1_COMPUTE", false, 5000),
        ("app.launch", "App Launch", "TIER_1_COMPUTE", false, 10_000),
        ("app.close", "App Close", "TIER_2_CREATE", false, 10_000),
        ("window.focus", "Window Focus", "TIER_1_COMPUTE", false, 5000),
        ("window.list", "Window List", "TIER_0_READONLY", false, 5000),
        ("keyboard.type", "Keyboard Type", "TIER_2_CREATE", false, 10_000),
        ("keyboard.hotkey", "Keyboard Hotkey", "TIER_2_CREATE", false, 5000),
        ("mouse.click", "Mouse Click", "TIER_2_CREATE", false, 5000),
        ("clipboard.read", "Clipboard Read", "TIER_0_READONLY", false, 5000),
        ("clipboard.write", "Clipboard Write", "TIER_2_CREATE", false, 5000),
    ];
    both_auths(async |stack| {
        let reader = stack.client(Service::Executor, Token::Agent);
        let body = reader.get("/tools").await.ok();
        assert_eq!(body["total"], 13);
        for (tool, (name, display, tier, sandbox, timeout)) in body["tools"].as_array().unwrap().iter().zip(TABLE) {
            let expected = json!({"name": name, "display_name": display, "tier": tier,
                "requires_sandboxing": sandbox, "default_timeout_ms": timeout, "description": tool["description"]});
            assert_eq!(*tool, expected);
            let mut one = reader.get(&format!("/tools/{name}")).await.ok();
            assert_eq!(one.as_object_mut().unwrap().remove("allowed_by_default"), Some(json!(true)));
            assert_eq!(one, expected);
        }
        let implemented = stack.get("/v1/capabilities").await.ok()["stats"]["implemented"].clone();
        let stats = json!({"total_tools": 13, "implemented_tools": implemented, "readonly_tools": 3,
            "compute_tools": 4, "create_tools": 6, "destructive_tools": 0});
        assert_eq!(reader.get("/registry/stats").await.ok(), stats);
        assert_eq!(reader.get("/status").await.ok()["tools"], stats);
    })
    .await;
}

#[tokio::test]
async fn what_ran_is_executed_whatever_a_command_returned() {
    both_auths(async |stack| {
        let wrote = execute(stack, "file.write", json!({"path": "a/b.txt", "content": "x"})).await;
        assert_eq!(
            (&wrote["status"], &wrote["message"], &wrote["error"]),
            (&json!("executed"), &Value::Null, &Value::Null)
        );
        assert_eq!(wrote["result"]["bytes_written"], 1);
        let kinds: Vec<&str> =
            wrote["side_effects"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["folder_created", "file_written"]);
        let empty = execute(stack, "file.write", json!({"path": "empty.txt"})).await;
        assert_eq!(
            (&empty["status"], &empty["result"]["bytes_written"]),
            (&json!("executed"), &json!(0)),
            "{empty}"
        );
        let read = execute(stack, "file.read", json!({"path": "a/b.txt"})).await;
        assert_eq!(read["result"]["content"], "x", "{read}");
        assert_eq!(read["result"]["path"], stack.root().join("a/b.txt").to_str().unwrap());
        let ran = execute(stack, "shell.run", json!({"command": "ls a"})).await;
        assert_eq!(
            (&ran["result"]["stdout"], &ran["result"]["success"]),
            (&json!("b.txt\n"), &json!(true)),
            "{ran}"
        );
        let failed = execute(stack, "shell.run", json!({"command": "ls none"})).await;
        assert_eq!(
            (&failed["status"], &failed["result"]["success"]),
            (&json!("executed"), &json!(false)),
            "{failed}"
        );
        for timeout in [Value::Null, json!(0), json!(1000)] {
            let body = json!({"tool_name": "file.read", "args": {"path": "a/b.txt"}, "timeout_ms": timeout});
            let answer = stack.executor().post("/execute", body).await.ok();
            assert_eq!(answer["status"], "executed", "{answer}");
            assert!(is_id(&answer["correlation_id"], "req_", 12), "{answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn refusals_have_their_exact_words() {
    both_auths(async |stack| {
        let root = stack.root();
        std::fs::create_dir(root.join("folder")).unwrap();
        std::fs::write(root.join("large"), vec![b'x'; MIB_10 + 1]).unwrap();
        std::fs::write(root.join("largest"), vec![b'x'; MIB_10]).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("out")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        let sibling = format!("{}-sibling", root.display());
        std::fs::create_dir(&sibling).unwrap();
        std::fs::write(format!("{sibling}/s"), "x").unwrap();
        let sibling = format!("{sibling}/s");
        let outside = |path: &str| format!("Path '{path}' is outside sandbox or is protected");
        let too_large = format!("File too large: {} bytes (max {MIB_10})", MIB_10 + 1);
        let rows: Vec<(&str, Value, &str, String)> = vec![
            ("file.read", json!({}), "error", "path argument required".into()),
            ("file.read", json!({"path": ""}), "error", "path argument required".into()),
            ("file.read", json!({"path": "none"}), "error", "File not found: none".into()),
            ("file.read", json!({"path": "folder"}), "error", "Not a file: folder".into()),
            ("file.read", json!({"path": "large"}), "error", too_large),
            ("file.read", json!({"path": "/etc/passwd"}), "policy_denied", outside("/etc/passwd")),
            ("file.read", json!({"path": "../x"}), "policy_denied", outside("../x")),
            ("file.read", json!({"path": "out/passwd"}), "policy_denied", outside("out/passwd")),
            ("file.read", json!({"path": sibling}), "policy_denied", outside(&sibling)),
            ("file.write", json!({"path": "out/new", "content": ""}), "policy_denied", outside("out/new")),
            ("file.write", json!({"path": "/tmp/../etc/x"}), "policy_denied", outside("/tmp/../etc/x")),
            (
                "file.write",
                json!({"path": "big", "content": "x".repeat(MIB_10 + 1)}),
                "error",
                format!("Content too large: {} bytes (max {MIB_10})", MIB_10 + 1),
            ),
            ("shell.run", json!({}), "error", "command argument required".into()),
            ("shell.run", json!({"command": "  "}), "error", "command argument required".into()),
            (
                "shell.run",
                json!({"command": "python3 -c 1"}),
                "policy_denied",
                "Command 'python3' not in allowlist".into(),
            ),
            (
                "shell.run",
                json!({"command": "find ."}),
                "policy_denied",
                "Command 'find' not in allowlist".into(),
            ),
            (
                "shell.run",
                json!({"command": "env"}),
                "policy_denied",
                "Command 'env' not in allowlist".into(),
            ),
        ];
        for (tool, args, status, text) in rows {
            let shown: String = args.to_string().chars().take(100).collect();
            let answer = execute(stack, tool, args).await;
            assert_eq!(
                (&answer["status"], &answer["error"]),
                (&json!(status), &json!(text)),
                "{tool} {shown}: {answer}"
            );
            assert_eq!(answer["message"], format!("Execution failed: {text}"), "{answer}");
            assert_eq!((&answer["result"], &answer["side_effects"]), (&json!({}), &json!([])), "{answer}");
        }
        let largest = execute(stack, "file.read", json!({"path": "largest"})).await;
        assert_eq!(
            (&largest["status"], &largest["result"]["size_bytes"]),
            (&json!("executed"), &json!(MIB_10))
        );
        for (tool, args) in
            [("shell.run", json!({"command": "ls"})), ("file.read", json!({"path": "largest"}))]
        {
            let body = json!({"tool_name": tool, "args": args, "timeout_ms": 15_001});
            let answer = stack.executor().post("/execute", body).await.ok();
            assert_eq!(answer["error"], "Timeout 15001ms exceeds maximum 15000ms", "{answer}");
        }
        let looped = execute(stack, "file.read", json!({"path": "loop"})).await;
        assert_ne!(looped["status"], "executed", "{looped}");
        let unknown = execute(stack, "no.such", json!({})).await;
        assert_eq!(unknown["status"], "not_implemented");
        assert_eq!(
            (&unknown["message"], &unknown["error"]),
            (&json!("Tool not yet implemented"), &Value::Null)
        );
        assert!(!std::path::Path::new("/etc/new").exists());
    })
    .await;
}

#[tokio::test]
async fn a_command_is_one_program_and_never_a_script() {
    both_auths(async |stack| {
        std::fs::write(stack.root().join("keep.txt"), "kept").unwrap();
        for command in [
            "ls; rm keep.txt",
            "ls && rm keep.txt",
            "ls || rm keep.txt",
            "ls | tee keep.txt",
            "ls > keep.txt",
            "ls 2> keep.txt",
            "cat < keep.txt",
            "ls & rm keep.txt",
            "ls\nrm keep.txt",
            "ls\rrm keep.txt",
            "ls $(rm keep.txt)",
            "ls `rm keep.txt`",
            "ls ${IFS}",
            "cat /etc/passwd",
            "cat ../up.out",
            "head -n1 /proc/self/environ",
            "/bin/rm keep.txt",
            "./ls",
            "tail -f keep.txt",
            "LS=1 ls",
        ] {
            let answer = execute(stack, "shell.run", json!({"command": command})).await;
            assert_ne!(answer["status"], "executed", "{command}: {answer}");
            assert_eq!(answer["result"], json!({}), "{command}: {answer}");
            assert_eq!(std::fs::read_to_string(stack.root().join("keep.txt")).unwrap(), "kept", "{command}");
        }
        let quoted =
            execute(stack, "shell.run", json!({"command": "ls 'keep.txt' \"none;rm keep.txt\""})).await;
        assert_eq!(quoted["result"]["stdout"], "keep.txt\n", "quoted, it is a name: {quoted}");
    })
    .await;
}

#[tokio::test]
async fn a_command_beyond_its_time_is_a_timeout() {
    let stack = Stack::builder().policy("[shell]\nallow = [\"sleep\"]\n").start().await;
    let command = crate::support::sleep_of_its_own("63.");
    let body = json!({"tool_name": "shell.run", "args": {"command": command}, "timeout_ms": 200});
    let answer = stack.executor().post("/execute", body).await.ok();
    assert_eq!(
        (&answer["status"], &answer["error"]),
        (&json!("timeout"), &json!("Command timed out after 200ms"))
    );
    crate::support::soon("the command to be gone", || !crate::support::is_running(&command)).await;
}

#[tokio::test]
async fn an_attempt_seen_before_gets_its_stored_answer() {
    for auth in [false, true] {
        let mut stack = Stack::builder().auth(auth).start().await;
        let attempt = |id: &str| json!({"tool_name": "file.write", "args": {"path": format!("{id}.txt"), "content": "x"}, "attempt_id": id});
        let race: Vec<_> = (0..20)
            .map(|_| {
                let (client, body) = (stack.executor(), attempt("race"));
                tokio::spawn(async move { client.post("/execute", body).await.ok() })
            })
            .collect();
        let mut answers = Vec::new();
        for answer in race {
            answers.push(answer.await.unwrap());
        }
        assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
        assert_eq!(
            answers[0]["result"]["was_existing"], false,
            "one of them wrote, and once: {}",
            answers[0]
        );
        let mut other = attempt("race");
        other["args"]["content"] = json!("something else");
        let refused = stack.executor().post("/execute", other).await;
        assert_eq!(refused.status, 409, "the stored answer is not this call's: {}", refused.text);
        assert_eq!(std::fs::read_to_string(stack.root().join("race.txt")).unwrap(), "x");
        let without = json!({"tool_name": "file.write", "args": {"path": "race.txt", "content": "edited"}});
        let again = stack.executor().post("/execute", without).await.ok();
        assert_eq!(again["result"]["was_existing"], true, "without an id it is a new one");
        for orderly in [true, false] {
            if orderly {
                stack.stop().await;
                stack.start_again().await;
            } else {
                stack.restart().await;
            }
            assert_eq!(stack.executor().post("/execute", attempt("race")).await.ok(), answers[0]);
            assert_eq!(std::fs::read_to_string(stack.root().join("race.txt")).unwrap(), "edited");
            let stored = stack.executor().get("/executions/race").await.ok();
            assert_eq!(stored, json!({"attempt_id": "race", "known": "ended", "answer": answers[0]}));
        }
        let unknown = stack.executor().get("/executions/none").await;
        assert_eq!((unknown.status, &unknown.body["status"]), (404, &json!("error")));
        let long = json!({"tool_name": "file.read", "attempt_id": "i".repeat(101)});
        assert_eq!(stack.executor().post("/execute", long).await.status, 422);
    }
}

#[tokio::test]
async fn the_newest_executions_are_listed_and_counted() {
    both_auths(async |stack| {
        let reader = stack.client(Service::Executor, Token::Agent);
        assert_eq!(reader.get("/logs/execution").await.ok(), json!({"logs": [], "total": 0, "returned": 0}));
        for path in ["none", "/etc/passwd", "none2"] {
            execute(stack, "file.read", json!({"path": path})).await;
        }
        for (query, returned) in
            [("", 3), ("?limit=2", 2), ("?limit=0", 3), ("?limit=-1", 3), ("?limit=100000", 3)]
        {
            let body = reader.get(&format!("/logs/execution{query}")).await.ok();
            assert_eq!((&body["total"], &body["returned"]), (&json!(3), &json!(returned)), "{query}");
            let logs = body["logs"].as_array().unwrap();
            assert_eq!(logs.len(), returned);
            let last = logs.last().unwrap();
            assert_eq!(
                (&last["tool_name"], &last["error"]),
                (&json!("file.read"), &json!("File not found: none2"))
            );
            assert_eq!((&last["status"], &last["correlation_id"]), (&json!("error"), &json!("corr")));
            assert!(is_time(&last["timestamp"], "Z"));
        }
    })
    .await;
}
