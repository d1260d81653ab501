//! Contract, preface: what each token may do.
//!
//! - `agent` reads and acts, and never approves, denies, undoes, sees exact parameters or executes directly
//! - `operator` does all that; `POST /execute` and `GET /executions/{id}` take the service token or `admin`
//! - a token made with fewer scopes has only those; a removed one has none
//! - cancel of one's own action needs `act`, of another's `approve`

use serde_json::{Value, json};

use crate::support::{Service, Stack, Token, until};

async fn with_a_waiting_action() -> (Stack, Value) {
    let stack = Stack::builder().auth(true).start().await;
    let request = json!({"intent": "file.write", "params": {"path": "a.txt", "content": "x"}});
    let waiting = stack.agent().post("/v1/actions/plan", request).await.ok();
    assert_eq!(waiting["state"], "pending_approval");
    (stack, waiting)
}

#[tokio::test]
async fn an_agent_never_decides_not_even_on_its_own_action() {
    let (stack, waiting) = with_a_waiting_action().await;
    let agent = stack.agent();
    let id = waiting["action_id"].as_str().unwrap();
    for path in [
        format!("/v1/actions/{id}/approve"),
        format!("/v1/actions/{id}/deny"),
        format!("/v1/actions/{id}/undo"),
        format!("/v1/actions/{id}/undo?dry_run=false"),
    ] {
        let answer = agent.act(&path).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (403, &json!("FORBIDDEN")), "{path}");
    }
    assert_eq!(agent.get(&format!("/v1/actions/{id}?exact=true")).await.status, 403);
    assert_eq!(agent.get(&format!("/v1/actions/{id}")).await.status, 200);
    let dry = agent.act(&format!("/v1/actions/{id}/undo?dry_run=true")).await;
    assert_eq!((dry.status, &dry.body["error"]["code"]), (200, &json!("INVALID_STATE")));
    assert_eq!(stack.record(&waiting).await["state"], "pending_approval");
    assert!(!stack.root().join("a.txt").exists());
}

#[tokio::test]
async fn an_agent_neither_executes_nor_uses_or_denies_a_gate_token() {
    let (stack, _) = with_a_waiting_action().await;
    let executor = stack.client(Service::Executor, Token::Agent);
    let write = json!({"tool_name": "file.write", "args": {"path": "b.txt", "content": "x"}});
    assert_eq!(executor.post("/execute", write.clone()).await.status, 403);
    assert_eq!(executor.get("/executions/any").await.status, 403);
    for inner in ["prepare", "execute", "verify", "probe", "undo", "cancel/any"] {
        assert_eq!(executor.post(&format!("/inner/{inner}"), json!({})).await.status, 403, "{inner}");
    }
    assert_eq!(executor.get("/inner/availability").await.status, 403);
    let gate = stack.client(Service::Supervisor, Token::Agent);
    let asked =
        gate.post("/gate-tool-call", json!({"tool_name": "file.write", "args": {"path": "b"}})).await.ok();
    let token = &asked["approval_request"]["token_id"];
    let with = json!({"tool_name": "file.write", "args": {"path": "b"}, "approval_token": token});
    assert_eq!(gate.post("/gate-tool-call", with.clone()).await.status, 403);
    assert_eq!(gate.post("/approve", json!({"token_id": token, "decision": "denied"})).await.status, 403);
    let approved = stack.supervisor().post("/gate-tool-call", with).await.ok();
    assert_eq!(approved["status"], "approved", "the agent's attempt used nothing up");
    assert!(!stack.root().join("b.txt").exists());
    let operator = stack.client(Service::Executor, Token::Operator);
    assert_eq!(operator.post("/execute", write).await.ok()["status"], "executed", "admin may");
}

#[tokio::test]
async fn the_service_token_is_for_the_executor_only() {
    let (stack, waiting) = with_a_waiting_action().await;
    let service = stack.client(Service::Gateway, Token::Service);
    let id = waiting["action_id"].as_str().unwrap();
    assert_eq!(service.post("/v1/actions/plan", json!({"intent": "file.read"})).await.status, 403);
    assert_eq!(service.act(&format!("/v1/actions/{id}/approve")).await.status, 403);
    assert_eq!(service.get("/v1/actions").await.status, 403);
    let read = json!({"tool_name": "file.read", "args": {"path": "none"}});
    assert_eq!(stack.executor().post("/execute", read).await.status, 200);
}

#[tokio::test]
async fn one_cancels_ones_own_and_an_operator_anybodys() {
    let (stack, waiting) = with_a_waiting_action().await;
    let id = waiting["action_id"].as_str().unwrap();
    let made = stack.cli(&["token", "new", "other", "--scopes", "read,act"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let other = stack.client(Service::Gateway, Token::Text(stack.token("other")));
    let path = format!("/v1/actions/{id}/cancel");
    // A token that was just made takes force when the files are next looked at.
    let refused =
        until("the new token", async || Some(other.act(&path).await).filter(|a| a.status != 401)).await;
    assert_eq!((refused.status, &refused.body["error"]["code"]), (403, &json!("FORBIDDEN")));
    assert_eq!(stack.record(&waiting).await["state"], "pending_approval");
    let own = stack.agent().act(&path).await.ok();
    assert_eq!((&own["ok"], &own["state"]), (&json!(true), &json!("cancelled")));
    let another = stack
        .agent()
        .post("/v1/actions/plan", json!({"intent": "file.write", "params": {"path": "a", "content": ""}}))
        .await
        .ok();
    assert_eq!(stack.decide("cancel", &another).await["state"], "cancelled");
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_until_it_is_removed() {
    let stack = Stack::builder().auth(true).start().await;
    let made = stack.cli(&["token", "new", "reader", "--scopes", "read"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let reader = stack.client(Service::Gateway, Token::Text(stack.token("reader")));
    until("the new token", async || (reader.get("/v1/actions").await.status == 200).then_some(())).await;
    let plan = reader.post("/v1/actions/plan", json!({"intent": "file.read", "params": {"path": "a"}})).await;
    assert_eq!(plan.status, 403, "{}", plan.text);
    let removed = stack.cli(&["token", "remove", "reader"]).await;
    assert_eq!(removed.code, Some(0), "{removed:?}");
    until("the end of the token", async || (reader.get("/v1/actions").await.status == 401).then_some(()))
        .await;
}
