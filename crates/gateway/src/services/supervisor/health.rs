//! The supervisor's look at the other services: measured, never assumed (D-38).

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use steadyhand_core::time::millis;
use tokio::time::Instant;

use super::Supervisor;
use crate::{http::problem::Service, services::gateway, wire::time};

/// `GET /health/all`
pub(super) async fn all(State(supervisor): State<Arc<Supervisor>>) -> Response {
    let services = looks(&supervisor).await;
    let timestamp = time::bare(supervisor.guard.clock.now());
    Json(json!({"timestamp": timestamp, "services": services})).into_response()
}

/// `GET /status`
pub(super) async fn status(State(supervisor): State<Arc<Supervisor>>) -> Response {
    let looks = looks(&supervisor).await;
    let services: Map<String, Value> =
        looks.into_iter().map(|(name, look)| (name, look["status"].clone())).collect();
    let uptime = supervisor.guard.clock.now().since(supervisor.started_at).as_secs();
    Json(json!({
        "service": supervisor.guard.service.as_str(),
        "status": "online",
        "operational_mode": "normal",
        "uptime_seconds": uptime,
        "services": services,
    }))
    .into_response()
}

async fn looks(supervisor: &Supervisor) -> Map<String, Value> {
    let looks = supervisor.services.iter().map(|(service, port)| look(supervisor, *service, *port));
    join_all(looks).await.into_iter().collect()
}

async fn look(supervisor: &Supervisor, service: Service, port: u16) -> (String, Value) {
    let began = Instant::now();
    let healthy = gateway::health::look(port).await.is_ok();
    let look = json!({
        "status": if healthy { "healthy" } else { "failed" },
        "latency_ms": millis(began.elapsed()),
        "last_check": time::bare(supervisor.guard.clock.now()),
    });
    (service.as_str().to_owned(), look)
}
