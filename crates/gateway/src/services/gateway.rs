//! The gateway (7000): the front door for actions.

mod actions;
mod audit;
pub mod health;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use steadyhand_core::caller::Scope;
use steadyhand_pipeline::Pipeline;

use super::{Asked, VERSION, enclose, online, respond};
use crate::{
    http::{
        guard::Guard,
        route::{self, Access, Route},
    },
    logs::calls::CallLog,
    wire::{capability, fields::Fields, time},
};

const READ: Access = Access::Needs(Scope::Read);
const ACT: Access = Access::Needs(Scope::Act);
const APPROVE: Access = Access::Needs(Scope::Approve);

/// The gateway's routes (contract 1.1).
pub const ROUTES: &[Route] = &[
    route::get("/healthz", Access::Open, "Whether the service answers."),
    route::get("/", Access::Open, "What this is."),
    route::get("/status", Access::Open, "Whether the service answers, with its version."),
    route::get("/openapi.json", Access::Open, "This document."),
    route::get("/docs", Access::Open, "The routes, for people."),
    route::post(
        "/v1/actions/plan",
        ACT,
        "Asks for an action; runs it at once where nobody needs to be asked.",
    ),
    route::get("/v1/actions", READ, "Lists actions, newest first."),
    route::get("/v1/actions/{action_id}", READ, "One action's record; `exact=true` shows exact parameters."),
    route::post(
        "/v1/actions/{action_id}/approve",
        APPROVE,
        "Says yes to exactly what was shown, and runs it.",
    ),
    route::post("/v1/actions/{action_id}/deny", APPROVE, "Says no."),
    route::post("/v1/actions/{action_id}/cancel", ACT, "Ends a waiting or running action."),
    route::post(
        "/v1/actions/{action_id}/undo",
        Access::NeedsUnlessDryRun(Scope::Approve),
        "Puts back what a reversible action changed; `dry_run=true` only tells what it would do.",
    ),
    route::get("/v1/capabilities", READ, "What can be done; `all=true` adds schemas and availability."),
    route::get("/v1/health/summary", READ, "Health of the other services."),
    route::get("/v1/audit-trails", READ, "Audit trails, newest action first."),
    route::get("/v1/audit-trails/{action_id}", READ, "One action's audit trail."),
];

/// What the gateway's handlers work with.
pub struct Gateway {
    /// The guard before them.
    pub guard: Arc<Guard>,
    /// The action pipeline.
    pub pipeline: Pipeline,
    /// Watches the other services.
    pub health: Arc<health::HealthWatch>,
    /// One line per call on standard output.
    pub calls: CallLog,
}

/// Makes the gateway's router.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let guard = Arc::clone(&gateway.guard);
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/", get(root))
        .route("/status", get(status))
        .route("/docs", get(docs))
        .route("/v1/actions/plan", post(actions::plan))
        .route("/v1/actions", get(actions::list))
        .route("/v1/actions/{action_id}", get(actions::show))
        .route("/v1/actions/{action_id}/approve", post(actions::approve))
        .route("/v1/actions/{action_id}/deny", post(actions::deny))
        .route("/v1/actions/{action_id}/cancel", post(actions::cancel))
        .route("/v1/actions/{action_id}/undo", post(actions::undo))
        .route("/v1/capabilities", get(capabilities))
        .route("/v1/health/summary", get(health::summary))
        .route("/v1/audit-trails", get(audit::list))
        .route("/v1/audit-trails/{action_id}", get(audit::show))
        .with_state(gateway);
    enclose(router, guard)
}

async fn healthz(State(gateway): State<Arc<Gateway>>) -> Response {
    let now = time::zulu(gateway.guard.clock.now());
    axum::Json(json!({"ok": true, "service": gateway.guard.service.as_str(), "timestamp": now}))
        .into_response()
}

async fn root(State(gateway): State<Arc<Gateway>>) -> Response {
    axum::Json(online(&gateway.guard)).into_response()
}

async fn status(State(gateway): State<Arc<Gateway>>) -> Response {
    let now = time::zulu(gateway.guard.clock.now());
    let body: Value = json!({
        "service": gateway.guard.service.as_str(), "status": "online", "timestamp": now, "version": VERSION,
    });
    axum::Json(body).into_response()
}

/// The routes as a page: small, without scripts, from the same table as everything else.
async fn docs() -> Response {
    let mut rows = String::new();
    for route in ROUTES {
        let (method, path, summary) = (&route.method, route.path, route.summary);
        rows.push_str(&format!("<tr><td>{method}</td><td><code>{path}</code></td><td>{summary}</td></tr>\n"));
    }
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Steadyhand: routes</title>\n\
         <style>body{{font-family:system-ui;margin:2rem;max-width:60rem}}td{{padding:.3rem .8rem}}</style>\n\
         <h1>Steadyhand: routes</h1><p>The machine-readable form is \
         <a href=\"/openapi.json\">/openapi.json</a>.</p>\n<table>{rows}</table></html>\n"
    );
    axum::response::Html(page).into_response()
}

async fn capabilities(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let asked = Asked::of(request, &gateway.guard);
    let mut f = Fields::of_query(&asked.query);
    let all = f.boolean("all", false);
    let result = f
        .finish()
        .map_err(Into::into)
        .map(|()| capability::list(gateway.pipeline.registry(), gateway.pipeline.executor().as_ref(), all));
    respond(result, &gateway.guard, &asked.path, &asked.correlation)
}
