//! The executor (7040, `openclaw` on the wire): the hands, for the gateway and for an operator.

mod attempts;
mod execute;
mod inner;
mod log;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use steadyhand_core::{
    caller::Scope,
    capability::{Capability, Registry, Tier},
    executor::Executor,
};

pub(crate) use self::inner::{UndoCall, VerifyCall};
pub use self::{attempts::AttemptMemory, inner::Running, log::LoggedExecutor};
use super::{Asked, VERSION, enclose, online, respond};
use crate::{
    http::{
        guard::Guard,
        problem::Problem,
        route::{self, Access, Route},
    },
    wire::{fields::Fields, time},
};

const READ: Access = Access::Needs(Scope::Read);
const SERVICE: Access = Access::ServiceOrAdmin;

/// The executor's routes (contract 5.1, D-41), and the inner ones that a gateway in another process uses.
pub const ROUTES: &[Route] = &[
    route::get("/healthz", Access::Open, "Whether the service answers."),
    route::get("/", Access::Open, "What this is."),
    route::get("/status", Access::Open, "Whether the service answers, with its tools."),
    route::get("/openapi.json", Access::Open, "This document."),
    route::post(
        "/execute",
        SERVICE,
        "Runs a tool once; an `attempt_id` seen before gets its stored outcome.",
    ),
    route::get("/executions/{attempt_id}", SERVICE, "The stored outcome of an attempt."),
    route::get("/tools", READ, "The tools."),
    route::get("/tools/{tool_name}", READ, "One tool."),
    route::get("/registry/stats", READ, "Counts of tools."),
    route::get("/logs/execution", READ, "The newest executions."),
    route::post("/inner/prepare", SERVICE, "A look at an attempt's operands."),
    route::post("/inner/execute", SERVICE, "Runs an attempt."),
    route::post("/inner/cancel/{attempt_id}", SERVICE, "Stops an attempt."),
    route::post("/inner/verify", SERVICE, "An independent look after an attempt."),
    route::post("/inner/probe", SERVICE, "Whether an attempt's effect is there."),
    route::post("/inner/undo", SERVICE, "Puts back what an attempt changed."),
    route::get("/inner/availability", SERVICE, "Whether each capability works here."),
];

/// The tools in the order of contract 5.1.
const TOOL_ORDER: [&str; 13] = [
    "shell.run",
    "file.read",
    "file.write",
    "browser.open",
    "app.launch",
    "app.close",
    "window.focus",
    "window.list",
    "keyboard.type",
    "keyboard.hotkey",
    "mouse.click",
    "clipboard.read",
    "clipboard.write",
];

/// What the executor's handlers work with.
pub struct ExecutorService {
    /// The guard before them.
    pub guard: Arc<Guard>,
    /// What can be done.
    pub registry: Arc<Registry>,
    /// The hands, with their log.
    pub executor: Arc<LoggedExecutor>,
    /// Outcomes of attempts, for 24 h.
    pub attempts: Arc<AttemptMemory>,
    /// What the operator's policy lets commands do beside the built-in list.
    pub policy: Arc<dyn steadyhand_pipeline::PolicySource>,
    /// Attempts that run for a gateway in another process.
    pub running: Running,
}

/// Makes the executor's router.
pub fn router(service: Arc<ExecutorService>) -> Router {
    let guard = Arc::clone(&service.guard);
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/", get(root))
        .route("/status", get(status))
        .route("/execute", post(execute::execute))
        .route("/executions/{attempt_id}", get(execute::stored))
        .route("/tools", get(tools))
        .route("/tools/{tool_name}", get(tool))
        .route("/registry/stats", get(registry_stats))
        .route("/logs/execution", get(execution_log))
        .route("/inner/prepare", post(inner::prepare))
        .route("/inner/execute", post(inner::execute))
        .route("/inner/cancel/{attempt_id}", post(inner::cancel))
        .route("/inner/verify", post(inner::verify))
        .route("/inner/probe", post(inner::probe))
        .route("/inner/undo", post(inner::undo))
        .route("/inner/availability", get(inner::availability))
        .with_state(service);
    enclose(router, guard)
}

async fn healthz(State(service): State<Arc<ExecutorService>>) -> Response {
    let stats = stats(&service.registry);
    Json(json!({
        "ok": true,
        "service": service.guard.service.as_str(),
        "timestamp": time::zulu(service.guard.clock.now()),
        "tools_registered": stats["total_tools"],
        "tools_implemented": stats["implemented_tools"],
    }))
    .into_response()
}

async fn root(State(service): State<Arc<ExecutorService>>) -> Response {
    Json(online(&service.guard)).into_response()
}

async fn status(State(service): State<Arc<ExecutorService>>) -> Response {
    Json(json!({
        "service": service.guard.service.as_str(),
        "status": "online",
        "timestamp": time::zulu(service.guard.clock.now()),
        "version": VERSION,
        "tools": stats(&service.registry),
    }))
    .into_response()
}

async fn registry_stats(State(service): State<Arc<ExecutorService>>) -> Response {
    Json(stats(&service.registry)).into_response()
}

async fn tools(State(service): State<Arc<ExecutorService>>) -> Response {
    let in_order = TOOL_ORDER.iter().filter_map(|name| service.registry.get(name));
    let tools: Vec<Value> = in_order.map(|c| describe(c)).collect();
    Json(json!({"tools": tools, "total": tools.len()})).into_response()
}

async fn tool(
    State(service): State<Arc<ExecutorService>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let asked = Asked::of(request, &service.guard);
    let result = match service.registry.get(&name) {
        None => Err(Problem::Missing(format!("Tool not found: {name}"))),
        Some(capability) => {
            let mut tool = describe(capability);
            tool["allowed_by_default"] = json!(true);
            Ok(tool)
        }
    };
    respond(result, &service.guard, &asked.path, &asked.correlation)
}

async fn execution_log(State(service): State<Arc<ExecutorService>>, request: Request) -> Response {
    let asked = Asked::of(request, &service.guard);
    let mut f = Fields::of_query(&asked.query);
    let limit = f.integer("limit", 100, i64::MIN, i64::MAX);
    let result = f.finish().map_err(Problem::from).map(|()| service.executor.newest(limit));
    respond(result, &service.guard, &asked.path, &asked.correlation)
}

fn describe(c: &Capability) -> Value {
    json!({
        "name": c.intent,
        "display_name": c.tool_name,
        "description": c.description,
        "tier": c.tier.as_str(),
        "requires_sandboxing": c.sandboxed,
        "default_timeout_ms": c.tool_timeout_ms,
    })
}

fn stats(registry: &Registry) -> Value {
    let of = |tier: Tier| registry.iter().filter(|c| c.tier == tier).count();
    json!({
        "total_tools": registry.iter().count(),
        "implemented_tools": registry.iter().filter(|c| c.implemented).count(),
        "readonly_tools": of(Tier::Readonly),
        "compute_tools": of(Tier::Compute),
        "create_tools": of(Tier::Create),
        "destructive_tools": 0,
    })
}

impl ExecutorService {
    /// The hands, without their log.
    fn hands(&self) -> &dyn Executor {
        &*self.executor
    }
}
