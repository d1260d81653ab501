//! Secrets: exact parameters and outputs are in the direct answer and behind `exact=true`, nowhere else.
//! And what is Steadyhand's own is closed to actions, also under a root.

use std::path::Path;

use serde_json::json;

use crate::support::{Builder, Service, Stack, Token, both_auths};

/// Every file under a folder that holds the bytes.
fn holding(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, needle));
        } else if std::fs::read(&path).unwrap().windows(needle.len()).any(|w| w == needle.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn contents_are_in_the_direct_answer_and_nowhere_else() {
    const WRITTEN: &str = "written-hunter2-✓";
    const READ: &str = "read-hunter3-content";
    const NAMED: &str = "named-hunter4-file";
    const TYPED: &str = "typed-hunter5-text";
    const MASKED: &str = "hunter6password";
    for auth in [false, true] {
        let mut stack = Stack::builder().auth(auth).config("[log]\nlevel = \"trace\"\n").start().await;
        std::fs::write(stack.root().join("r.txt"), READ).unwrap();
        std::fs::create_dir(stack.root().join("folder")).unwrap();
        std::fs::write(stack.root().join("folder").join(NAMED), "").unwrap();

        let asked = json!({"intent": "file.write", "params": {"path": "w.txt", "content": WRITTEN}, "idempotency_key": "k"});
        let asked = stack.post("/v1/actions/plan", asked).await.ok();
        let id = asked["action_id"].as_str().unwrap();
        let exact = stack.get(&format!("/v1/actions/{id}?exact=true")).await.ok();
        assert_eq!(exact["action"]["params"]["content"], WRITTEN);
        stack.decide("approve", &asked).await;
        let read = json!({"intent": "file.read", "params": {"path": "r.txt"}, "idempotency_key": "r"});
        let read = stack.post("/v1/actions/plan", read).await.ok();
        assert_eq!(read["execution"]["output"]["content"], READ);
        let ran = stack.plan("shell.run", json!({"command": "ls folder"})).await;
        let ran = stack.decide("approve", &ran).await;
        assert_eq!(ran["execution"]["output"]["stdout"], format!("{NAMED}\n"));
        stack.plan("keyboard.type", json!({"text": TYPED})).await;
        stack.plan("clipboard.write", json!({"text": TYPED})).await;
        stack.plan("shell.run", json!({"command": format!("ls --password={MASKED}")})).await;
        stack.plan("file.write", json!({"path": "../x", "content": WRITTEN})).await;
        stack.plan("file.write", json!({"path": 5, "content": WRITTEN})).await;
        let args = json!({"path": "w", "content": WRITTEN});
        stack
            .supervisor()
            .post("/gate-tool-call", json!({"tool_name": "file.write", "args": args}))
            .await
            .ok();
        let direct = json!({"tool_name": "file.read", "args": {"path": "r.txt"}, "attempt_id": "direct"});
        assert_eq!(stack.executor().post("/execute", direct.clone()).await.ok()["result"]["content"], READ);
        assert_eq!(stack.executor().post("/execute", direct).await.ok()["result"]["content"], READ);
        std::fs::write(stack.root().join("w.txt"), "moved on").unwrap();
        let conflict = stack.decide("undo", &asked).await;
        assert!(conflict["undo"]["diff"].as_str().unwrap().contains(WRITTEN), "{conflict}");

        let gate = stack.client(Service::Supervisor, Token::Operator);
        let executor = stack.client(Service::Executor, Token::Operator);
        let mut told = String::new();
        for path in ["/v1/actions", "/v1/audit-trails", "/v1/health/summary", &format!("/v1/actions/{id}")] {
            told.push_str(&stack.get(path).await.text);
        }
        told.push_str(&gate.get("/approvals").await.text);
        told.push_str(&executor.get("/logs/execution").await.text);
        let data = stack.data();
        for secret in [WRITTEN, READ, NAMED, TYPED, MASKED] {
            assert!(!told.contains(secret), "{secret} in a list");
            // While it runs, the write-ahead log is there, too.
            assert_eq!(holding(&data, secret), Vec::<String>::new(), "{secret}");
        }
        stack.stop().await;
        for secret in [WRITTEN, READ, NAMED, TYPED, MASKED] {
            assert_eq!(holding(&data, secret), Vec::<String>::new(), "{secret} after a stop");
            assert!(!stack.stdout().contains(secret) && !stack.stderr().contains(secret), "{secret}");
        }
        assert!(!holding(&data, "w.txt").is_empty(), "the search does find what is there");
    }
}

#[tokio::test]
async fn a_slip_in_a_name_shows_nothing_that_the_right_name_hides() {
    const SECRET: &str = "slipped-hunter7";
    both_auths(async |stack| {
        for (intent, params) in [
            ("file.wrte", json!({"path": "a.txt", "content": SECRET})),
            ("file.write", json!({"path": "a.txt", "contents": SECRET})),
            ("file.write", json!({"path": "a.txt", "content": "x", "Content": [{"deep": SECRET}]})),
            ("file.read", json!({"path": "a.txt", "content": SECRET})),
            ("file.write", json!({"path": "a.txt", "content": {"not": SECRET}})),
        ] {
            let answer = stack.plan(intent, params.clone()).await;
            assert_eq!(answer["error"]["code"], "VALIDATION_FAILED", "{answer}");
            assert!(!answer.to_string().contains(SECRET), "{answer}");
            let record = stack.record(&answer).await;
            assert!(!record.to_string().contains(SECRET), "{record}");
            let names = |of: &serde_json::Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&record["params"]), names(&params), "the names are there: {record}");
        }
        assert_eq!(holding(&stack.data(), SECRET), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn tokens_are_only_in_their_files() {
    let mut stack = Stack::builder().auth(true).config("[log]\nlevel = \"trace\"\n").start().await;
    stack.plan("file.read", json!({"path": "none"})).await;
    stack.agent().get("/v1/actions").await.ok();
    stack.executor().get("/inner/availability").await.ok();
    let (data, tokens) =
        (stack.data(), ["operator", "agent", "service"].map(|name| (name, stack.token(name))));
    stack.stop().await;
    for (name, token) in tokens {
        let expected = data.join("tokens").join(format!("{name}.toml")).display().to_string();
        assert_eq!(holding(&data, &token), [expected]);
        assert!(!stack.stdout().contains(&token) && !stack.stderr().contains(&token));
    }
}

#[tokio::test]
async fn private_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    fn exposed(path: &Path) -> Vec<String> {
        let mode = std::fs::symlink_metadata(path).unwrap().permissions().mode();
        let mut found = Vec::new();
        if mode & 0o077 != 0 {
            found.push(format!("{} {mode:o}", path.display()));
        }
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap().flatten() {
                found.extend(exposed(&entry.path()));
            }
        }
        found
    }
    let stack = Stack::builder().auth(true).start().await;
    stack.plan("file.read", json!({"path": "none"})).await;
    // What lies in a folder that only its owner enters is as private as the folder.
    let data = exposed(&stack.data());
    assert!(!data.iter().any(|line| line.starts_with(&format!("{} ", stack.data().display()))), "{data:?}");
    assert_eq!(exposed(&stack.data().join("tokens")), Vec::<String>::new());
}

/// A root that holds data, configuration and policy, too.
fn all_under_one_root(builder: Builder) -> Builder {
    let folder = builder.folder().canonicalize().unwrap();
    builder.roots(&[&folder])
}

#[tokio::test]
async fn an_action_never_touches_policy_configuration_tokens_or_data() {
    let allow = "[[rule]]\nname = \"all\"\ncapability = \"*\"\ndecision = \"allow\"\n";
    for auth in [false, true] {
        for with_policy in [false, true] {
            let builder = all_under_one_root(Stack::builder().auth(auth));
            let builder = if with_policy { builder.policy(allow) } else { builder };
            let stack = builder.start().await;
            let folder = stack.root().parent().unwrap().to_owned();
            std::os::unix::fs::symlink(stack.data(), stack.root().join("to-data")).unwrap();
            std::os::unix::fs::symlink(stack.etc().join("policy.toml"), stack.root().join("to-policy"))
                .unwrap();
            let before = std::fs::read_to_string(stack.etc().join("policy.toml")).ok();
            let operator = stack.has_auth().then(|| stack.token("operator"));
            for path in [
                "etc/policy.toml",
                "etc/config.toml",
                "etc/./policy.toml",
                "etc//policy.toml",
                "data/tokens/operator.toml",
                "data/tokens/new.toml",
                "data/journal.db",
                "data/new/file",
                "data",
                "root/to-data/tokens/operator.toml",
                "root/to-policy",
                folder.join("etc/policy.toml").to_str().unwrap(),
            ] {
                for (tool, args) in [
                    ("file.write", json!({"path": path, "content": allow})),
                    ("file.read", json!({"path": path})),
                    ("shell.run", json!({"command": format!("cat {path}")})),
                ] {
                    let planned = stack
                        .agent()
                        .post("/v1/actions/plan", json!({"intent": tool, "params": args}))
                        .await
                        .ok();
                    let answer = match planned["state"].as_str() {
                        Some("pending_approval") => stack.decide("approve", &planned).await,
                        _ => planned,
                    };
                    let output = answer["execution"]["output"].to_string();
                    let came = answer["ok"] == true && answer["execution"]["output"]["success"] == true;
                    assert!(!came, "{tool} {path}: {answer}");
                    assert!(
                        !output.contains("sth_") && !output.contains("capability"),
                        "{tool} {path}: {answer}"
                    );
                }
            }
            assert_eq!(std::fs::read_to_string(stack.etc().join("policy.toml")).ok(), before);
            assert!(!stack.data().join("tokens/new.toml").exists() && !stack.data().join("new").exists());
            if let Some(operator) = operator {
                assert_eq!(stack.token("operator"), operator);
            }
            let beside = stack.plan("file.write", json!({"path": "etc/mine.txt", "content": "x"})).await;
            let beside = if with_policy { beside } else { stack.decide("approve", &beside).await };
            assert_eq!(beside["state"], "succeeded", "what lies beside is an ordinary file: {beside}");
        }
    }
}

#[tokio::test]
async fn commands_see_neither_the_data_nor_the_environment() {
    both_auths(async |stack| {
        for command in
            [format!("ls {}", stack.data().display()), "cat /proc/1/environ".to_owned(), "ps -e".to_owned()]
        {
            let asked = stack.plan("shell.run", json!({"command": command})).await;
            let answer = stack.decide("approve", &asked).await;
            let stdout = answer["execution"]["output"]["stdout"].as_str().unwrap_or_default();
            assert!(!stdout.contains("journal.db") && !stdout.contains("tokens"), "{answer}");
            assert!(!stdout.contains("HOME="), "{answer}");
        }
    })
    .await;
}
