//! `/v1/audit-trails` (contract 1.14), read from the journal.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::Response,
};
use serde_json::{Value, json};
use steadyhand_core::id::ActionId;

use super::Gateway;
use crate::{
    http::problem::Problem,
    services::{Asked, respond},
    wire::{fields::Fields, trail},
};

/// `GET /v1/audit-trails`
pub(super) async fn list(State(gateway): State<Arc<Gateway>>, request: Request) -> Response<Body> {
    let asked = Asked::of(request, &gateway.guard);
    let result = async {
        let mut f = Fields::of_query(&asked.query);
        let (limit, offset) = f.page();
        f.finish()?;
        let (histories, total) = gateway.pipeline.store().histories(limit, offset).await?;
        let trails: Vec<Value> = histories.iter().filter_map(trail::trail).collect();
        Ok(json!({"ok": true, "trails": trails, "total": total}))
    };
    respond(result.await, &gateway.guard, &asked.path, &asked.correlation)
}

/// `GET /v1/audit-trails/{action_id}`
pub(super) async fn show(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    let asked = Asked::of(request, &gateway.guard);
    let result = async {
        let id = ActionId(id);
        let entries = gateway.pipeline.store().history(&id).await?;
        let missing = || Problem::Missing(format!("Audit trail for action '{id}' not found"));
        let trail = trail::trail(&(id.clone(), entries)).ok_or_else(missing)?;
        Ok(json!({"ok": true, "trail": trail}))
    };
    respond(result.await, &gateway.guard, &asked.path, &asked.correlation)
}
