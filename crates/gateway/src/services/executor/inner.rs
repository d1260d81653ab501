//! The executor trait over HTTP, for a gateway in another process. Typed like the trait itself; the
//! other end is [`crate::remote`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{Response, StatusCode},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use steadyhand_core::executor::{Attempt, Executed, UndoMode};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ExecutorService;
use crate::{
    http::problem::Problem,
    services::{Asked, respond},
};

/// Attempts that run now, with their cancellation.
#[derive(Default)]
pub struct Running(Mutex<HashMap<String, CancellationToken>>);

impl Running {
    fn enter(&self, id: &str) -> CancellationToken {
        let token = CancellationToken::new();
        self.0.lock().expect("no code under this lock can panic").insert(id.to_owned(), token.clone());
        token
    }

    fn leave(&self, id: &str) {
        self.0.lock().expect("no code under this lock can panic").remove(id);
    }

    fn cancel(&self, id: &str) -> bool {
        let running = self.0.lock().expect("no code under this lock can panic");
        running.get(id).inspect(|token| token.cancel()).is_some()
    }
}

/// An undo over the wire.
#[derive(Serialize, Deserialize)]
pub(crate) struct UndoCall {
    pub(crate) attempt: Attempt,
    pub(crate) pre_image: Option<Vec<u8>>,
    pub(crate) dry_run: bool,
}

/// A look after an execution, over the wire.
#[derive(Serialize, Deserialize)]
pub(crate) struct VerifyCall {
    pub(crate) attempt: Attempt,
    pub(crate) executed: Executed,
}

async fn read<T: DeserializeOwned>(asked: &mut Asked) -> Result<T, Problem> {
    let body = asked.body().await?;
    serde_json::from_slice(&body).map_err(|e| Problem::Refused(StatusCode::BAD_REQUEST, e.to_string()))
}

fn shown<T: Serialize>(value: &T) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(|e| Problem::Internal(e.to_string()))
}

/// `POST /inner/prepare`
pub(super) async fn prepare(State(service): State<Arc<ExecutorService>>, request: Request) -> Response<Body> {
    let mut asked = Asked::of(request, &service.guard);
    let result = async {
        let attempt: Attempt = read(&mut asked).await?;
        shown(&service.hands().prepare(&attempt).await)
    };
    let result = result.await;
    respond(result, &service.guard, &asked.path, &asked.correlation)
}

/// `POST /inner/execute`
pub(super) async fn execute(State(service): State<Arc<ExecutorService>>, request: Request) -> Response<Body> {
    let mut asked = Asked::of(request, &service.guard);
    let result = async {
        let attempt: Attempt = read(&mut asked).await?;
        // The execution goes on when the gateway goes away; its outcome is looked up later.
        let work = Arc::clone(&service);
        let run = tokio::spawn(async move { once(&work, attempt).await });
        run.await.map_err(|e| Problem::Internal(e.to_string()))?
    };
    let result = result.await;
    respond(result, &service.guard, &asked.path, &asked.correlation)
}

async fn once(service: &ExecutorService, attempt: Attempt) -> Result<Value, Problem> {
    let id = attempt.attempt_id.as_str();
    let work = async {
        let cancel = service.running.enter(id);
        let guard: DropGuard = cancel.clone().drop_guard();
        let outcome = service.hands().execute(&attempt, &cancel).await;
        guard.disarm();
        service.running.leave(id);
        shown(&outcome)
    };
    service.attempts.once(id, &attempt.intent, &attempt.params, work).await
}

/// `POST /inner/cancel/{attempt_id}`
pub(super) async fn cancel(
    State(service): State<Arc<ExecutorService>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    let asked = Asked::of(request, &service.guard);
    let result = Ok(json!({"cancelled": service.running.cancel(&id)}));
    respond(result, &service.guard, &asked.path, &asked.correlation)
}

/// `POST /inner/verify`
pub(super) async fn verify(State(service): State<Arc<ExecutorService>>, request: Request) -> Response<Body> {
    let mut asked = Asked::of(request, &service.guard);
    let result = async {
        let call: VerifyCall = read(&mut asked).await?;
        shown(&service.hands().verify(&call.attempt, &call.executed).await)
    };
    let result = result.await;
    respond(result, &service.guard, &asked.path, &asked.correlation)
}

/// `POST /inner/probe`
pub(super) async fn probe(State(service): State<Arc<ExecutorService>>, request: Request) -> Response<Body> {
    let mut asked = Asked::of(request, &service.guard);
    let result = async {
        let attempt: Attempt = read(&mut asked).await?;
        shown(&service.hands().probe(&attempt).await)
    };
    let result = result.await;
    respond(result, &service.guard, &asked.path, &asked.correlation)
}

/// `POST /inner/undo`
pub(super) async fn undo(State(service): State<Arc<ExecutorService>>, request: Request) -> Response<Body> {
    let mut asked = Asked::of(request, &service.guard);
    let result = async {
        let call: UndoCall = read(&mut asked).await?;
        let mode = if call.dry_run { UndoMode::DryRun } else { UndoMode::Real };
        shown(&service.hands().undo(&call.attempt, call.pre_image.as_deref(), mode).await)
    };
    let result = result.await;
    respond(result, &service.guard, &asked.path, &asked.correlation)
}

/// `GET /inner/availability`
pub(super) async fn availability(
    State(service): State<Arc<ExecutorService>>,
    request: Request,
) -> Response<Body> {
    let asked = Asked::of(request, &service.guard);
    let all = service.registry.iter().map(|c| {
        let availability = service.hands().availability(c.intent);
        shown(&availability).map(|value| (c.intent.to_owned(), value))
    });
    let result = all.collect::<Result<serde_json::Map<_, _>, _>>().map(Value::Object);
    respond(result, &service.guard, &asked.path, &asked.correlation)
}
