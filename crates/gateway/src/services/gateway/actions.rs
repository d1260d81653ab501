//! `/v1/actions` (contract 1.9 and 9).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{Response, StatusCode},
};
use serde_json::{Value, json};
use steadyhand_core::{
    caller::{Caller, Scope},
    executor::UndoMode,
    id::{ActionId, CorrelationId},
};
use steadyhand_pipeline::{Answer, Exact, codes};

use super::Gateway;
use crate::{
    http::problem::{Problem, json_bytes},
    services::{Asked, respond},
    wire::{action as wire, fields::Fields},
};

/// `POST /v1/actions/plan`
pub(super) async fn plan(State(gateway): State<Arc<Gateway>>, request: Request) -> Response<Body> {
    let mut asked = Asked::of(request, &gateway.guard);
    let answer = async {
        let body = asked.body().await?;
        let request = wire::plan_request(&body, asked.correlation.clone())?;
        Ok(gateway.pipeline.run(asked.caller.clone(), request).await?)
    };
    let answer = answer.await;
    reply(&gateway, &asked, "action.plan", answer)
}

/// `POST /v1/actions/{action_id}/approve`
pub(super) async fn approve(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    let asked = Asked::of(request, &gateway.guard);
    let answer = gateway.pipeline.approve(&ActionId(id), &asked.caller).await.map_err(Problem::from);
    reply(&gateway, &asked, "action.approve", answer)
}

/// `POST /v1/actions/{action_id}/deny`
pub(super) async fn deny(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    let mut asked = Asked::of(request, &gateway.guard);
    let answer = async {
        let body = asked.body().await?;
        let reason = reason(&body)?;
        Ok(gateway.pipeline.deny(&ActionId(id), &asked.caller, reason).await?)
    };
    let answer = answer.await;
    reply(&gateway, &asked, "action.deny", answer)
}

/// The optional `{"reason": …}` of a deny.
fn reason(body: &[u8]) -> Result<Option<String>, Problem> {
    if body.is_empty() {
        return Ok(None);
    }
    let mut f = Fields::of_body(body)?;
    let reason = f.optional_text("reason");
    f.finish()?;
    Ok(reason)
}

/// `POST /v1/actions/{action_id}/cancel`
pub(super) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    let asked = Asked::of(request, &gateway.guard);
    let answer = gateway.pipeline.cancel(&ActionId(id), &asked.caller).await.map_err(Problem::from);
    reply(&gateway, &asked, "action.cancel", answer)
}

/// `POST /v1/actions/{action_id}/undo`
pub(super) async fn undo(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    let asked = Asked::of(request, &gateway.guard);
    let answer = async {
        let mut f = Fields::of_query(&asked.query);
        let mode = if f.boolean("dry_run", false) { UndoMode::DryRun } else { UndoMode::Real };
        f.finish()?;
        Ok(gateway.pipeline.undo(&ActionId(id), &asked.caller, mode).await?)
    };
    let answer = answer.await;
    reply(&gateway, &asked, "action.undo", answer)
}

/// `GET /v1/actions`
pub(super) async fn list(State(gateway): State<Arc<Gateway>>, request: Request) -> Response<Body> {
    let asked = Asked::of(request, &gateway.guard);
    let result = async {
        let (query, filters) = wire::list_query(&asked.query)?;
        let page = gateway.pipeline.list(&query).await?;
        let actions: Vec<Value> = page.records.iter().map(|r| wire::record(r, None)).collect();
        let mut body = json!({"ok": true, "actions": actions, "total": page.total, "filters": filters});
        if let Some(cursor) = page.next_cursor {
            body["next_cursor"] = json!(cursor.to_string());
        }
        Ok(body)
    };
    respond(result.await, &gateway.guard, &asked.path, &asked.correlation)
}

/// `GET /v1/actions/{action_id}`
pub(super) async fn show(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    let asked = Asked::of(request, &gateway.guard);
    let result = one(&gateway, &asked.caller, &asked.query, ActionId(id)).await;
    respond(result, &gateway.guard, &asked.path, &asked.correlation)
}

async fn one(gateway: &Gateway, caller: &Caller, query: &str, id: ActionId) -> Result<Value, Problem> {
    let mut f = Fields::of_query(query);
    let exact = f.boolean("exact", false);
    f.finish()?;
    if exact && !caller.may(Scope::Approve) {
        return Err(Problem::Forbidden("exact parameters need the scope `approve`".to_owned()));
    }
    let Some(record) = gateway.pipeline.get(&id).await? else {
        return Err(Problem::Missing(format!("Action '{id}' not found")));
    };
    let params = match exact {
        false => None,
        true => match gateway.pipeline.exact_params(&record).await? {
            Exact::Params(params) => Some(params),
            Exact::Expired => None,
        },
    };
    let mut shown = wire::record(&record, params);
    if exact && let Some(mut approval) = wire::approval(&record, gateway.guard.clock.now()) {
        approval["obstacle"] = json!(gateway.pipeline.obstacle(&record).await?);
        shown["approval"] = approval;
    }
    Ok(json!({"ok": true, "action": shown}))
}

/// Answers with an action, and writes the call's line.
fn reply(
    gateway: &Gateway,
    asked: &Asked,
    operation: &'static str,
    answer: Result<Answer, Problem>,
) -> Response<Body> {
    match answer {
        Ok(answer) if is_forbidden(&answer) => {
            let why = answer.error.map(|e| e.message).unwrap_or_default();
            problem(gateway, asked, &Problem::Forbidden(why))
        }
        Ok(answer) => {
            gateway.calls.action(operation, &answer, &asked.correlation);
            json_bytes(StatusCode::OK, wire::answer(&answer, &asked.correlation))
        }
        Err(error) => problem(gateway, asked, &error),
    }
}

fn is_forbidden(answer: &Answer) -> bool {
    answer.error.as_ref().is_some_and(|e| e.code == codes::FORBIDDEN)
}

fn problem(gateway: &Gateway, asked: &Asked, problem: &Problem) -> Response<Body> {
    let correlation: &CorrelationId = &asked.correlation;
    problem.answer(gateway.guard.service, &asked.path, correlation, gateway.guard.clock.now())
}
