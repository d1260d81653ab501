//! The supervisor (7050, `eva-os` on the wire): the policy gate, its approval tokens, health of all.

mod gate;
mod health;
pub mod tokens;

use std::sync::{Arc, atomic::AtomicU64};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use steadyhand_core::{caller::Scope, time::Timestamp};
use steadyhand_pipeline::PolicySource;

use self::tokens::Tokens;
use super::{Asked, enclose, online, respond};
use crate::{
    http::{
        guard::Guard,
        problem::{Problem, Service},
        route::{self, Access, Route},
    },
    wire::time,
};

const READ: Access = Access::Needs(Scope::Read);
const ACT: Access = Access::Needs(Scope::Act);

/// The supervisor's routes (contract 6.1).
pub const ROUTES: &[Route] = &[
    route::get("/healthz", Access::Open, "Whether the service answers, with counts of the gate."),
    route::get("/", Access::Open, "What this is."),
    route::get("/status", Access::Open, "The supervisor's view of all services."),
    route::get("/openapi.json", Access::Open, "This document."),
    route::post(
        "/gate-tool-call",
        ACT,
        "What policy says of a tool call; an approval token releases one call.",
    ),
    route::get("/tasks", READ, "Tasks; there are none yet."),
    route::post("/tasks", ACT, "Names a task."),
    route::get("/approvals", READ, "Approval tokens that wait."),
    route::post("/approve", Access::Needs(Scope::Approve), "Denies a token, or acknowledges it."),
    route::get("/health/all", READ, "Health of each service, measured now."),
];

/// What the supervisor's handlers work with.
pub struct Supervisor {
    /// The guard before them.
    pub guard: Arc<Guard>,
    /// The policy in force.
    pub policy: Arc<dyn PolicySource>,
    /// The approval tokens.
    pub tokens: Tokens,
    /// The services to look at, with their ports.
    pub services: Vec<(Service, u16)>,
    /// When the supervisor started.
    pub started_at: Timestamp,
    /// Rulings asked of the policy.
    pub decisions: AtomicU64,
    /// Calls of the gate.
    pub evaluations: AtomicU64,
}

/// Makes the supervisor's router.
pub fn router(supervisor: Arc<Supervisor>) -> Router {
    let guard = Arc::clone(&supervisor.guard);
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/", get(root))
        .route("/status", get(health::status))
        .route("/gate-tool-call", post(gate::gate))
        .route("/tasks", get(tasks).post(create_task))
        .route("/approvals", get(approvals))
        .route("/approve", post(gate::approve))
        .route("/health/all", get(health::all))
        .with_state(supervisor);
    enclose(router, guard)
}

async fn healthz(State(supervisor): State<Arc<Supervisor>>) -> Response {
    let order = std::sync::atomic::Ordering::Relaxed;
    let counts = supervisor.tokens.counts();
    Json(json!({
        "ok": true,
        "service": supervisor.guard.service.as_str(),
        "timestamp": time::bare(supervisor.guard.clock.now()),
        "safety": {
            "policy_rules": supervisor.policy.current().rule_count(),
            "policy_decisions": supervisor.decisions.load(order),
            "pending_confirmations": counts.0,
            "total_tokens": counts.1,
            "guard_evaluations": supervisor.evaluations.load(order),
        },
    }))
    .into_response()
}

async fn root(State(supervisor): State<Arc<Supervisor>>) -> Response {
    Json(online(&supervisor.guard)).into_response()
}

async fn tasks(State(supervisor): State<Arc<Supervisor>>) -> Response {
    Json(json!({"tasks": [], "count": 0, "service": supervisor.guard.service.as_str()})).into_response()
}

async fn create_task(State(supervisor): State<Arc<Supervisor>>, request: Request) -> Response {
    let mut asked = Asked::of(request, &supervisor.guard);
    let result = async {
        let body = asked.body().await?;
        let body: Value = serde_json::from_slice(&body)
            .map_err(|e| Problem::Refused(StatusCode::BAD_REQUEST, format!("Invalid JSON: {e}")))?;
        let name = body.get("name").and_then(Value::as_str).unwrap_or("unnamed");
        let service = supervisor.guard.service.as_str();
        Ok(json!({"status": "created", "task_id": "task_001", "name": name, "service": service}))
    };
    let result = result.await;
    respond(result, &supervisor.guard, &asked.path, &asked.correlation)
}

async fn approvals(State(supervisor): State<Arc<Supervisor>>) -> Response {
    let pending = supervisor.tokens.pending();
    Json(json!({
        "approvals": pending,
        "pending_count": pending.len(),
        "service": supervisor.guard.service.as_str(),
    }))
    .into_response()
}
