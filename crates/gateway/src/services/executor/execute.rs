//! `POST /execute` and the look-up of what it came to (contract 5.2, D-41).

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::Response,
};
use serde_json::{Map, Value, json};
use steadyhand_core::{
    capability::Capability,
    executor::{Attempt, Executed},
    failure::Failure,
    id::{ActionId, AttemptId, CorrelationId},
    time::millis,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{ExecutorService, attempts::Remembered, log::status_word};
use crate::{
    http::problem::Problem,
    services::{Asked, respond},
    wire::{fields::Fields, time},
};

/// The longest attempt id that is taken, in bytes.
const ATTEMPT_ID_BYTES_MAX: usize = 100;

struct ExecuteRequest {
    tool_name: String,
    args: Map<String, Value>,
    timeout_ms: Option<i64>,
    correlation_id: CorrelationId,
    attempt_id: Option<String>,
}

fn read(body: &[u8], minted: CorrelationId) -> Result<ExecuteRequest, Problem> {
    let mut f = Fields::of_body(body)?;
    let request = ExecuteRequest {
        tool_name: f.text("tool_name"),
        args: f.object("args"),
        timeout_ms: Some(f.integer("timeout_ms", 5000, 0, i64::from(u32::MAX))).filter(|ms| *ms > 0),
        correlation_id: f.optional_text("correlation_id").map_or(minted, CorrelationId),
        attempt_id: f.bounded_text("attempt_id", ATTEMPT_ID_BYTES_MAX),
    };
    f.finish()?;
    Ok(request)
}

/// `POST /execute`
pub(super) async fn execute(State(service): State<Arc<ExecutorService>>, request: Request) -> Response<Body> {
    let mut asked = Asked::of(request, &service.guard);
    let result = async {
        let body = asked.body().await?;
        let request = read(&null_as_absent(&body), asked.correlation.clone())?;
        // The execution goes on when the caller goes away; its outcome can be looked up.
        let work = Arc::clone(&service);
        let run = tokio::spawn(async move { once(&work, request).await });
        run.await.map_err(|e| Problem::Internal(e.to_string()))?
    };
    let result = result.await;
    respond(result, &service.guard, &asked.path, &asked.correlation)
}

/// `timeout_ms: null` asks for the default, like an absent one.
fn null_as_absent(body: &[u8]) -> Vec<u8> {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(mut map)) => {
            if map.get("timeout_ms").is_some_and(Value::is_null) {
                map.insert("timeout_ms".to_owned(), json!(0));
            }
            Value::Object(map).to_string().into_bytes()
        }
        _ => body.to_vec(),
    }
}

/// Runs the request, or answers what it came to before.
async fn once(service: &ExecutorService, request: ExecuteRequest) -> Result<Value, Problem> {
    let Some(id) = request.attempt_id.clone() else {
        return Ok(run(service, request, AttemptId::mint(&*service.guard.entropy)).await);
    };
    let (tool, args) = (request.tool_name.clone(), Value::Object(request.args.clone()));
    let work = async { Ok(run(service, request, AttemptId(id.clone())).await) };
    service.attempts.once(&id, &tool, &args, work).await
}

async fn run(service: &ExecutorService, request: ExecuteRequest, attempt_id: AttemptId) -> Value {
    let began = Instant::now();
    let outcome = match service.registry.get(&request.tool_name) {
        None => Err(Failure::not_implemented("Tool not yet implemented")),
        Some(capability) => {
            let default = capability.tool_timeout_ms;
            let timeout_ms = request.timeout_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(default);
            let policy = service.policy.current();
            let attempt = Attempt {
                attempt_id,
                action_id: ActionId(request.correlation_id.0.clone()),
                intent: request.tool_name.clone(),
                correlation_id: request.correlation_id.clone(),
                params: Value::Object(with_defaults(capability, request.args)),
                timeout: Duration::from_millis(timeout_ms),
                operands: Vec::new(),
                allow_bare: policy.allow_bare(),
                extra_programs: policy.shell_allow().to_vec(),
            };
            service.hands().execute(&attempt, &CancellationToken::new()).await
        }
    };
    let duration_ms = millis(began.elapsed());
    answer(service, &request.tool_name, &outcome, &request.correlation_id, duration_ms)
}

/// A required text that is absent is empty here: the tool says in its own words that it needs it.
fn with_defaults(capability: &Capability, mut args: Map<String, Value>) -> Map<String, Value> {
    for name in capability.required {
        let is_text = capability.params_schema["properties"][name]["type"] == "string";
        if is_text && args.get(*name).is_none_or(Value::is_null) {
            args.insert((*name).to_owned(), json!(""));
        }
    }
    args
}

fn answer(
    service: &ExecutorService,
    tool: &str,
    outcome: &Result<Executed, Failure>,
    correlation: &CorrelationId,
    duration_ms: f64,
) -> Value {
    let empty = json!({});
    let (result, effects, message, error) = match outcome {
        Ok(executed) => (&executed.result, json!(executed.side_effects), Value::Null, Value::Null),
        Err(failure) => {
            let message = match status_word(outcome) {
                "not_implemented" => failure.message.clone(),
                _ => format!("Execution failed: {}", failure.message),
            };
            let partial = if failure.partial.is_null() { &empty } else { &failure.partial };
            let error = match status_word(outcome) {
                "not_implemented" => Value::Null,
                _ => json!(failure.message),
            };
            (partial, json!([]), json!(message), error)
        }
    };
    json!({
        "status": status_word(outcome),
        "tool_name": tool,
        "result": result,
        "side_effects": effects,
        "message": message,
        "error": error,
        "timestamp": time::zulu(service.guard.clock.now()),
        "correlation_id": correlation,
        "duration_ms": duration_ms,
    })
}

/// `GET /executions/{attempt_id}`
pub(super) async fn stored(
    State(service): State<Arc<ExecutorService>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    let asked = Asked::of(request, &service.guard);
    let result = async {
        match service.attempts.look_up(&id, None).await? {
            Remembered::Unknown | Remembered::OtherCall => {
                Err(Problem::Missing(format!("Attempt not found: {id}")))
            }
            Remembered::InDoubt => Ok(json!({"attempt_id": id, "known": "begun", "answer": null})),
            Remembered::Dropped => Ok(json!({"attempt_id": id, "known": "ended", "answer": null})),
            Remembered::Ended(answer) => Ok(json!({"attempt_id": id, "known": "ended", "answer": answer})),
        }
    };
    respond(result.await, &service.guard, &asked.path, &asked.correlation)
}
