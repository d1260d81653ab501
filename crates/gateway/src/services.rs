//! The services: each its table of routes and their handlers.

pub mod executor;
pub mod gateway;
pub mod supervisor;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::Request,
    http::{Response, StatusCode},
    middleware::from_fn_with_state,
};
use serde_json::{Value, json};
use steadyhand_core::{caller::Caller, id::CorrelationId};

use crate::http::{
    body, guard,
    guard::Guard,
    openapi,
    problem::{Problem, json_response},
};

/// The version that the health trio names.
pub const VERSION: &str = "1.0.0";

/// A request after the guard: who asks, and everything a handler reads of it.
pub(crate) struct Asked {
    /// Who asks.
    pub(crate) caller: Caller,
    /// The request's correlation id.
    pub(crate) correlation: CorrelationId,
    /// The path, for error bodies.
    pub(crate) path: String,
    /// The query string.
    pub(crate) query: String,
    body: Body,
    body_bytes_max: usize,
}

impl Asked {
    /// Takes a request apart.
    pub(crate) fn of(request: Request, guard: &Guard) -> Self {
        let (parts, body) = request.into_parts();
        // The guard puts both there; a request that came another way has no rights.
        let nobody = || Caller { name: "anonymous".to_owned(), scopes: Vec::new() };
        let caller = parts.extensions.get().cloned().unwrap_or_else(nobody);
        let mint = || CorrelationId::mint(&*guard.entropy);
        let correlation = parts.extensions.get().cloned().unwrap_or_else(mint);
        Self {
            caller,
            correlation,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body,
            body_bytes_max: guard.bounds.body_bytes_max,
        }
    }

    /// Reads the body.
    pub(crate) async fn body(&mut self) -> Result<bytes::Bytes, Problem> {
        body::read(std::mem::take(&mut self.body), self.body_bytes_max).await
    }
}

/// Puts guard, OpenAPI, unknown paths and wrong methods around a service's routes.
pub(crate) fn enclose(router: Router, guard: Arc<Guard>) -> Router {
    let (unknown, wrong) = (Arc::clone(&guard), Arc::clone(&guard));
    let document = openapi::document(guard.service, guard.routes);
    router
        .route("/openapi.json", axum::routing::get(move || std::future::ready(Json(document.clone()))))
        .method_not_allowed_fallback(move |request: Request| {
            let asked = Asked::of(request, &wrong);
            let now = wrong.clock.now();
            std::future::ready(Problem::MethodNotAllowed.answer(
                wrong.service,
                &asked.path,
                &asked.correlation,
                now,
            ))
        })
        .fallback(move |request: Request| std::future::ready(guard::unknown_path(&unknown, &request)))
        .layer(from_fn_with_state(guard, guard::guard))
}

/// Turns a handler's result into an answer in the service's shape.
pub(crate) fn respond(
    result: Result<Value, Problem>,
    guard: &Guard,
    path: &str,
    correlation: &CorrelationId,
) -> Response<Body> {
    match result {
        Ok(body) => json_response(StatusCode::OK, &body),
        Err(problem) => problem.answer(guard.service, path, correlation, guard.clock.now()),
    }
}

/// `GET /` of a service.
pub(crate) fn online(guard: &Guard) -> Value {
    json!({"service": guard.service.as_str(), "status": "online", "version": VERSION})
}
