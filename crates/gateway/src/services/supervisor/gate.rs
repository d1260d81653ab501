//! `POST /gate-tool-call` and `POST /approve` (contract 6.2, 6.3): a view of the one policy engine.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode},
};
use serde_json::{Map, Value, json};
use steadyhand_core::caller::{Caller, Scope};
use steadyhand_policy::{Decision, Query, Ruling};

use super::Supervisor;
use crate::{
    http::problem::Problem,
    services::{Asked, respond},
};

struct Call {
    tool_name: String,
    args: Map<String, Value>,
    id: String,
    trace_id: String,
    approval_token: Option<String>,
}

fn read(body: &[u8]) -> Result<Call, Problem> {
    let unfit = |why: String| Problem::Refused(StatusCode::INTERNAL_SERVER_ERROR, why);
    let body: Value = serde_json::from_slice(body).map_err(|e| unfit(format!("Invalid JSON: {e}")))?;
    let text = |value: Option<&Value>, name: &str| match value {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(s)) => Ok(s.clone()),
        Some(_) => Err(unfit(format!("{name} must be a string"))),
    };
    let Value::Object(fields) = &body else { return Err(unfit("the body must be an object".to_owned())) };
    let args = match fields.get("args") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(args)) => args.clone(),
        Some(_) => return Err(unfit("args must be an object".to_owned())),
    };
    let id = text(fields.get("id"), "id")?;
    let trace_id = Some(text(fields.get("trace_id"), "trace_id")?).filter(|t| !t.is_empty());
    let in_context = fields.get("context").and_then(|c| c.get("approval_token"));
    let token = text(fields.get("approval_token").or(in_context), "approval_token")?;
    Ok(Call {
        tool_name: text(fields.get("tool_name"), "tool_name")?,
        args,
        trace_id: trace_id.unwrap_or_else(|| id.clone()),
        id,
        approval_token: Some(token).filter(|t| !t.is_empty()),
    })
}

/// `POST /gate-tool-call`
pub(super) async fn gate(State(supervisor): State<Arc<Supervisor>>, request: Request) -> Response<Body> {
    let mut asked = Asked::of(request, &supervisor.guard);
    let result = async {
        let body = asked.body().await?;
        let call = read(&body)?;
        decide(&supervisor, &asked.caller, &call).await
    };
    let result = result.await;
    respond(result, &supervisor.guard, &asked.path, &asked.correlation)
}

async fn decide(supervisor: &Supervisor, caller: &Caller, call: &Call) -> Result<Value, Problem> {
    supervisor.evaluations.fetch_add(1, Ordering::Relaxed);
    supervisor.decisions.fetch_add(1, Ordering::Relaxed);
    let ruling = supervisor.policy.current().decide(&Query {
        intent: &call.tool_name,
        params: &call.args,
        caller: &caller.name,
    });
    match (ruling.decision, &call.approval_token) {
        (Decision::Allow, _) => {
            Ok(verdict(supervisor, call, "approved", format!("Allowed by rule '{}'", ruling.rule)))
        }
        (Decision::Deny, _) => Ok(verdict(supervisor, call, "denied", spoken("Denied", &ruling))),
        (Decision::Ask, None) => ask(supervisor, call, &ruling).await,
        (Decision::Ask, Some(token)) => {
            // Using a token is the yes of a person; an agent can't say it.
            if !caller.may(Scope::Approve) {
                let why = "using an approval token needs the scope `approve`".to_owned();
                return Err(Problem::Forbidden(why));
            }
            Ok(match supervisor.tokens.redeem(token, &call.tool_name, &call.args).await? {
                Ok(()) => verdict(supervisor, call, "approved", format!("Approved via token {token}")),
                Err(why) => verdict(supervisor, call, "denied", format!("Token rejected: {why}")),
            })
        }
    }
}

async fn ask(supervisor: &Supervisor, call: &Call, ruling: &Ruling) -> Result<Value, Problem> {
    let token = supervisor.tokens.mint(&call.tool_name, &call.args, &call.trace_id).await?;
    let now = supervisor.guard.clock.now();
    let mut body = verdict(supervisor, call, "approval_required", spoken("Confirmation required", ruling));
    body["approval_request"] = json!({
        "token_id": token.token_id,
        "action": token.action,
        "summary": token.summary,
        "ttl_seconds": token.life_ms as f64 / 1_000.0,
        "remaining_seconds": token.remaining_seconds(now),
    });
    Ok(body)
}

fn spoken(verdict: &str, ruling: &Ruling) -> String {
    let text = if ruling.description.is_empty() { &ruling.rule } else { &ruling.description };
    format!("{verdict}: {text}")
}

fn verdict(supervisor: &Supervisor, call: &Call, status: &str, reason: String) -> Value {
    json!({
        "status": status,
        "tool_call_id": call.id,
        "trace_id": call.trace_id,
        "reason": reason,
        "service": supervisor.guard.service.as_str(),
    })
}

/// `POST /approve`
pub(super) async fn approve(State(supervisor): State<Arc<Supervisor>>, request: Request) -> Response<Body> {
    let mut asked = Asked::of(request, &supervisor.guard);
    let result = async {
        let body = asked.body().await?;
        let body: Value = serde_json::from_slice(&body)
            .map_err(|e| Problem::Refused(StatusCode::BAD_REQUEST, format!("Invalid JSON: {e}")))?;
        respond_to(&supervisor, &body).await
    };
    let result = result.await;
    respond(result, &supervisor.guard, &asked.path, &asked.correlation)
}

/// The old fields as ever, and beside them what is really so (D-14).
async fn respond_to(supervisor: &Supervisor, body: &Value) -> Result<Value, Problem> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
    let service = supervisor.guard.service.as_str();
    let decision = text("decision").unwrap_or("approved");
    let Some(id) = text("token_id").or_else(|| text("approval_id")) else {
        return Ok(json!({
            "status": "processed", "approval_id": "", "decision": decision, "service": service,
        }));
    };
    if decision == "denied" {
        let state = supervisor.tokens.deny(id).await?;
        let reason = text("reason").unwrap_or("User denied");
        return Ok(json!({
            "status": "denied", "token_id": id, "reason": reason, "accepted": false, "service": service,
            "found": state.is_some(), "state": state.map_or(json!("not_found"), |s| json!(s)),
        }));
    }
    let state = supervisor.tokens.state(id);
    Ok(json!({
        "status": "acknowledged", "token_id": id, "decision": decision, "service": service,
        "note": "Resubmit tool call with approval_token to proceed",
        "found": state.is_some(), "state": state.map_or(json!("not_found"), |s| json!(s)),
    }))
}
