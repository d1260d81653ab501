//! `serve executor` and `serve gateway`: the same road with the hands in another process (D-7, D-41).
//!
//! - write, read, command, cancel and undo go end to end
//! - an executor that isn't there is `connection_bootstrap`, retried; one that comes back is found
//! - one that dies midway leaves `OUTCOME_UNKNOWN`, and nothing is done twice

use serde_json::{Value, json};

use crate::support::{Builder, Service, Stack, Token, is_running, sleep_of_its_own, soon, until};

const ALLOW: &str =
    "[shell]\nallow = [\"sleep\"]\n[[rule]]\nname = \"t\"\ncapability = \"*\"\ndecision = \"allow\"\n";

/// The two halves, on one set of folders.
async fn halves(builder: Builder) -> (Stack, Stack) {
    let executor = builder.serve(Service::Executor).start().await;
    let url = format!("http://127.0.0.1:{}", executor.base() + Service::Executor.offset());
    let gateway =
        executor.beside().env("STEADYHAND_EXECUTOR_URL", &url).serve(Service::Gateway).start().await;
    (executor, gateway)
}

#[tokio::test]
async fn two_processes_do_what_one_does() {
    for auth in [false, true] {
        let (mut executor, mut gateway) = halves(Stack::builder().auth(auth)).await;
        std::fs::write(gateway.root().join("a.txt"), "before\n").unwrap();
        let asked = gateway.plan("file.write", json!({"path": "a.txt", "content": "after\n"})).await;
        assert_eq!(asked["state"], "pending_approval", "{asked}");
        let done = gateway.decide("approve", &asked).await;
        assert_eq!((&done["ok"], &done["state"]), (&json!(true), &json!("succeeded")), "{done}");
        assert_eq!(done["execution"]["verification"]["verdict"], "confirmed", "{done}");
        assert_eq!(std::fs::read_to_string(gateway.root().join("a.txt")).unwrap(), "after\n");
        let read = gateway.plan("file.read", json!({"path": "a.txt"})).await;
        assert_eq!(read["execution"]["output"]["content"], "after\n", "{read}");
        let log =
            executor.client(Service::Executor, Token::Operator).get("/logs/execution?limit=1").await.ok();
        assert_eq!(log["logs"][0]["correlation_id"], read["correlation_id"], "{log}");
        let asked = gateway.plan("shell.run", json!({"command": "ls"})).await;
        let ran = gateway.decide("approve", &asked).await;
        assert_eq!(ran["execution"]["output"]["stdout"], "a.txt\n", "{ran}");
        let undone = gateway.decide("undo", &done).await;
        assert_eq!(undone["state"], "rolled_back", "{undone}");
        assert_eq!(std::fs::read_to_string(gateway.root().join("a.txt")).unwrap(), "before\n");
        let refused = gateway.plan("file.read", json!({"path": "/etc/passwd"})).await;
        assert_eq!(refused["execution"]["error_code"], "POLICY_DENIED", "{refused}");
        let stale = gateway.plan("file.write", json!({"path": "a.txt", "content": "x"})).await;
        std::fs::write(gateway.root().join("a.txt"), "moved on\n").unwrap();
        assert_eq!(gateway.decide("approve", &stale).await["error"]["code"], "APPROVAL_STALE");
        assert_eq!(gateway.get("/v1/capabilities?all=1").await.ok()["capabilities"][0]["available"], true);
        gateway.stop().await;
        executor.stop().await;
        for (stack, verified) in [(&gateway, 0), (&executor, 0)] {
            assert_eq!(stack.cli(&["audit", "verify"]).await.code, Some(verified));
        }
    }
}

#[tokio::test]
async fn a_supervisor_alone_gates_and_keeps_its_tokens() {
    for auth in [false, true] {
        let mut alone = Stack::builder().auth(auth).serve(Service::Supervisor).start().await;
        let call = json!({"tool_name": "file.write", "args": {"path": "a"}, "id": "t"});
        let asked = alone.supervisor().post("/gate-tool-call", call.clone()).await.ok();
        let token = asked["approval_request"]["token_id"].clone();
        alone.restart().await;
        let mut with = call;
        with["approval_token"] = token;
        let released = alone.supervisor().post("/gate-tool-call", with).await.ok();
        assert_eq!(released["status"], "approved", "{released}");
        alone.stop().await;
    }
}

#[tokio::test]
async fn only_the_gateways_token_opens_the_executor() {
    let (executor, _gateway) = halves(Stack::builder().auth(true)).await;
    for token in [Token::None, Token::Agent] {
        let client = executor.client(Service::Executor, token);
        let answer = client.post("/inner/execute", json!({})).await;
        assert!([401, 403].contains(&answer.status), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_gateway_without_its_executor_says_so() {
    let builder = Stack::builder().serve(Service::Gateway);
    let ended = builder.clone().refused().await;
    assert_eq!(ended.code, Some(8), "{ended:?}");
    assert!(ended.stderr.contains("executor.url"), "{ended:?}");
    // Nobody listens on the first port there is.
    let ended = builder.env("STEADYHAND_EXECUTOR_URL", "http://127.0.0.1:1").refused().await;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("serve executor"), "{ended:?}");
}

#[tokio::test]
async fn an_executor_that_is_gone_is_told_as_such_and_found_when_it_is_back() {
    let (mut executor, gateway) = halves(Stack::builder().policy(ALLOW)).await;
    executor.kill().await;
    for (intent, params) in [
        ("file.read", json!({"path": "a.txt"})),
        ("file.write", json!({"path": "a.txt", "content": "x"})),
        ("shell.run", json!({"command": "ls"})),
    ] {
        let request = json!({"intent": intent, "params": params, "max_retries": 0});
        let answer = gateway.post("/v1/actions/plan", request).await.ok();
        assert_eq!((&answer["ok"], &answer["state"]), (&json!(false), &json!("failed")), "{answer}");
        assert_eq!(answer["execution"]["failure_class"], "connection_bootstrap", "{answer}");
        assert_eq!(answer["execution"]["error_code"], "EXECUTION_FAILED", "{answer}");
    }
    assert!(!gateway.root().join("a.txt").exists());
    let client = gateway.gateway();
    let request = json!({"intent": "file.write", "params": {"path": "b.txt", "content": "x"}});
    let call = tokio::spawn(async move { client.post("/v1/actions/plan", request).await.ok() });
    executor.start_again().await;
    let answer = call.await.unwrap();
    assert_eq!((&answer["ok"], &answer["state"]), (&json!(true), &json!("succeeded")), "{answer}");
    assert_eq!(answer["execution"]["output"]["was_existing"], false, "{answer}");
}

/// Asks the gateway for a command; returns once it runs.
async fn begin(gateway: &Stack, command: &str) -> (Value, tokio::task::JoinHandle<Value>) {
    let client = gateway.gateway();
    let request = json!({"intent": "shell.run", "params": {"command": command}});
    let call = tokio::spawn(async move { client.post("/v1/actions/plan", request).await.ok() });
    soon("the command to run", || is_running(command)).await;
    let all = gateway.get("/v1/actions").await.ok();
    (all["actions"][0].clone(), call)
}

#[tokio::test]
async fn an_executor_that_dies_midway_leaves_an_unknown_outcome_and_no_repeat() {
    let (mut executor, gateway) = halves(Stack::builder().policy(ALLOW)).await;
    let command = sleep_of_its_own("67.");
    let (_, call) = begin(&gateway, &command).await;
    executor.kill().await;
    executor.start_again().await;
    let answer = call.await.unwrap();
    assert_eq!(answer["ok"], false, "{answer}");
    assert_eq!(answer["execution"]["error_code"], "OUTCOME_UNKNOWN", "{answer}");
    assert_eq!(answer["execution"]["retries_used"], 0, "{answer}");
    soon("the command to be gone", || !is_running(&command)).await;
    let log = executor.client(Service::Executor, Token::Operator).get("/logs/execution").await.ok();
    assert_eq!(log["total"], 0, "the new one was asked for nothing: {log}");
}

#[tokio::test]
async fn what_ended_while_the_gateway_was_dead_is_looked_up() {
    let (executor, mut gateway) = halves(Stack::builder().policy(ALLOW)).await;
    let command = sleep_of_its_own("0.4");
    let (action, _) = begin(&gateway, &command).await;
    gateway.kill().await;
    soon("the command to end by itself", || !is_running(&command)).await;
    let log = async || executor.client(Service::Executor, Token::Operator).get("/logs/execution").await.ok();
    until("the executor to note it", async || (log().await["total"] == 1).then_some(())).await;
    gateway.start_again().await;
    let record = gateway.record(&action).await;
    assert_eq!(record["state"], "succeeded", "{record}");
    assert_eq!(log().await["total"], 1, "it ran once");
}

#[tokio::test]
async fn a_cancel_reaches_the_other_process() {
    let (_executor, gateway) = halves(Stack::builder().auth(true).policy(ALLOW)).await;
    let command = sleep_of_its_own("68.");
    let (action, call) = begin(&gateway, &command).await;
    let cancelled = gateway.decide("cancel", &action).await;
    assert_eq!((&cancelled["ok"], &cancelled["state"]), (&json!(true), &json!("cancelled")), "{cancelled}");
    assert!(!is_running(&command));
    assert_eq!(call.await.unwrap()["state"], "cancelled");
}

#[tokio::test]
async fn writes_around_an_executors_death_end_as_the_world_is() {
    let (mut executor, gateway) = halves(Stack::builder().policy(ALLOW)).await;
    let calls: Vec<_> = (0..40)
        .map(|n| {
            let client = gateway.gateway();
            let params = json!({"path": format!("{n}.txt"), "content": format!("content {n}")});
            let request = json!({"intent": "file.write", "params": params, "max_retries": 0});
            tokio::spawn(async move { client.post("/v1/actions/plan", request).await.ok() })
        })
        .collect();
    let root = gateway.root();
    let written = || std::fs::read_dir(&root).unwrap().count();
    until("some to be written", async || (written() >= 3).then_some(())).await;
    executor.kill().await;
    executor.start_again().await;
    for (n, call) in calls.into_iter().enumerate() {
        let answer = call.await.unwrap();
        let there = std::fs::read_to_string(root.join(format!("{n}.txt"))).ok();
        let whole = there.as_deref() == Some(&format!("content {n}"));
        assert!(whole || there.is_none(), "half a file: {there:?}");
        match (answer["state"].as_str().unwrap(), answer["execution"]["error_code"].as_str()) {
            ("succeeded", _) => assert!(whole, "{answer}"),
            (_, Some("EXECUTION_FAILED")) => assert!(!whole, "said not done, and done: {answer}"),
            (_, Some("OUTCOME_UNKNOWN" | "TIMEOUT")) => {}
            other => panic!("{other:?}: {answer}"),
        }
    }
}

#[tokio::test]
async fn an_execution_whose_caller_hangs_up_goes_on_and_is_looked_up() {
    for auth in [false, true] {
        let stack = Stack::builder().auth(auth).start().await;
        for n in 0..20 {
            let id = format!("cut-{n}");
            let body = json!({"tool_name": "file.write", "args": {"path": format!("{n}.txt"), "content": "x"},
                "attempt_id": id});
            stack.executor().hang_up_after("/execute", &body).await;
            let answer = stack.executor().post("/execute", body).await;
            assert_eq!((answer.status, &answer.body["status"]), (200, &json!("executed")), "{}", answer.text);
            assert_eq!(answer.body["result"]["was_existing"], false, "{}", answer.text);
            let stored = stack.executor().get(&format!("/executions/{id}")).await.ok();
            assert_eq!(stored["answer"], answer.body);
        }
    }
}
