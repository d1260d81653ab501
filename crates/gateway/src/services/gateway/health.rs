//! `GET /v1/health/summary` (contract 1.11): the other services, looked at every 15 s, and again after
//! 2 s where a look failed (D-40).

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use steadyhand_core::time::{Clock, Timestamp, millis};
use steadyhand_reliability::health::{Health, overall};
use tokio::time::Instant;

use super::Gateway;
use crate::{
    client::{self, Introduction},
    http::problem::Service,
};

/// Between two looks at a service that answered.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Between two looks at a service that didn't.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// A service that doesn't answer within this time failed the look.
const PATIENCE: Duration = Duration::from_secs(3);
/// The services of the contract that this build doesn't have, with their ports' offsets.
const NOT_BUILT: [(&str, u16); 3] = [("model-router", 10), ("memory-engine", 20), ("pipecat", 30)];

struct Watched {
    service: Service,
    port: u16,
    health: Mutex<Health>,
}

/// Watches the other services.
pub struct HealthWatch {
    watched: Vec<Watched>,
    port_base: u16,
    clock: Arc<dyn Clock>,
}

impl HealthWatch {
    /// Watches `services`, whose ports count from `port_base`.
    #[must_use]
    pub fn new(services: &[Service], port_base: u16, clock: Arc<dyn Clock>) -> Self {
        let watch = |service: &Service| Watched {
            service: *service,
            port: port_base + service.port_offset(),
            health: Mutex::default(),
        };
        Self { watched: services.iter().map(watch).collect(), port_base, clock }
    }

    /// Looks at all services, each at its own pace, for ever.
    pub async fn run(&self) {
        join_all(self.watched.iter().map(|w| self.follow(w))).await;
    }

    async fn follow(&self, watched: &Watched) {
        loop {
            let began = Instant::now();
            let outcome = look(watched.port).await;
            let pause = if outcome.is_ok() { LOOK_EVERY } else { LOOK_AGAIN };
            watched.lock().record(outcome, began.elapsed(), self.clock.now());
            tokio::time::sleep(pause).await;
        }
    }

    fn summary(&self) -> Value {
        let mut dependencies = Map::new();
        for (name, offset) in NOT_BUILT {
            dependencies.insert(name.to_owned(), not_built(name, self.port_base + offset));
        }
        let mut states = Vec::new();
        for watched in &self.watched {
            let health = watched.lock();
            states.push(health.state);
            dependencies.insert(watched.service.as_str().to_owned(), watched.shown(&health));
        }
        json!({"ok": true, "overall_state": overall(states), "dependencies": dependencies})
    }
}

impl Watched {
    fn shown(&self, health: &Health) -> Value {
        let seconds = |t: Timestamp| t.0 as f64 / 1e6;
        json!({
            "name": self.service.as_str(),
            "port": self.port,
            "state": health.state,
            "consecutive_failures": health.consecutive_failures,
            "consecutive_successes": health.consecutive_successes,
            "total_checks": health.total_checks,
            "total_failures": health.total_failures,
            "last_latency_ms": health.last_latency.map(millis),
            "last_error": health.last_error,
            "last_check_time": health.last_check.map(seconds),
            "last_ok_time": health.last_ok.map(seconds),
            "configured": true,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().expect("no code under this lock can panic")
    }
}

fn not_built(name: &str, port: u16) -> Value {
    json!({
        "name": name, "port": port, "state": "failed", "consecutive_failures": 0,
        "consecutive_successes": 0, "total_checks": 0, "total_failures": 0, "last_latency_ms": null,
        "last_error": "not in this build", "last_check_time": null, "last_ok_time": null,
        "configured": false,
    })
}

/// One look: `ok` true with status 200, in time.
pub(crate) async fn look(port: u16) -> Result<(), String> {
    let url = format!("http://127.0.0.1:{port}/healthz");
    let (status, body) = tokio::time::timeout(PATIENCE, client::get(&url, Introduction::default()))
        .await
        .map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
        .map_err(|e| e.to_string())?;
    let ok = serde_json::from_slice::<Value>(&body).is_ok_and(|b| b["ok"] == true);
    if status.is_success() && ok { Ok(()) } else { Err(format!("HTTP {}", status.as_u16())) }
}

/// `GET /v1/health/summary`
pub(super) async fn summary(State(gateway): State<Arc<Gateway>>) -> Response {
    Json(gateway.health.summary()).into_response()
}
