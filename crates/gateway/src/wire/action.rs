//! Actions on the wire (contract 1.9): the plan request in, answers and records out.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};
use steadyhand_core::{
    action::{ActionRecord, ErrorNote, Execution, Request, State, Telemetry, Validation},
    capability::Risk,
    executor::{SideEffect, Verification},
    id::CorrelationId,
    store::Query,
    time::Timestamp,
};
use steadyhand_pipeline::Answer;

use super::{
    fields::{Fields, Unfit},
    time,
};

/// The longest idempotency key, in bytes (contract 1.9.5).
const KEY_BYTES_MAX: usize = 200;
/// The longest name of a capability or a session, in bytes: records, logs and answers repeat them.
const NAME_BYTES_MAX: usize = 200;
/// The most parameters of an action; no capability has more than a few.
const PARAMS_MAX: usize = 64;

/// Reads the plan request.
///
/// # Errors
/// The `detail` of a 422 answer.
pub fn plan_request(body: &[u8], correlation_id: CorrelationId) -> Result<Request, Unfit> {
    let mut f = Fields::of_body(body)?;
    let request = Request {
        intent: f.text_up_to("intent", NAME_BYTES_MAX),
        params: f.object_up_to("params", PARAMS_MAX, NAME_BYTES_MAX),
        timeout: positive_millis(f.integer("timeout_ms", 10_000, 100, 120_000)),
        deadline: f.optional_integer("deadline_ms", 100, 600_000).map(positive_millis),
        max_retries: f.optional_integer("max_retries", 0, 5).and_then(|n| u8::try_from(n).ok()),
        idempotency_key: f.bounded_text("idempotency_key", KEY_BYTES_MAX),
        session_id: f.bounded_text("session_id", NAME_BYTES_MAX),
        dry_run: f.boolean("dry_run", false),
        correlation_id,
    };
    f.optional_object("metadata");
    f.finish()?;
    Ok(request)
}

fn positive_millis(n: i64) -> Duration {
    Duration::from_millis(u64::try_from(n).unwrap_or(0))
}

/// What a list request asked for, as it was written, for the answer's `filters`.
#[derive(Debug, Serialize)]
pub struct Filters {
    state: Option<String>,
    session_id: Option<String>,
    limit: usize,
    offset: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Reads the query of a list of actions. Bounds are clamped, not refused (D-15).
///
/// # Errors
/// The `detail` of a 422 answer.
pub fn list_query(query: &str) -> Result<(Query, Filters), Unfit> {
    let mut f = Fields::of_query(query);
    let (limit, offset) = f.page();
    let filters = Filters {
        state: f.optional_text("state"),
        session_id: f.optional_text("session_id"),
        limit,
        offset,
        intent: f.optional_text("intent"),
        failure_class: f.optional_text("failure_class"),
        since: f.optional_text("since"),
        until: f.optional_text("until"),
        cursor: f.optional_text("cursor"),
    };
    f.finish()?;
    let instant = |name: &str, text: &Option<String>| -> Result<Option<Timestamp>, Unfit> {
        let Some(text) = text else { return Ok(None) };
        time::parse(text).map(Some).ok_or_else(|| {
            let message = "Input should be a time: RFC 3339, or seconds since the Unix epoch";
            unfit("datetime_parsing", name, message, text)
        })
    };
    let cursor = match &filters.cursor {
        None => None,
        Some(text) => Some(text.parse::<u64>().map_err(|_| {
            unfit("int_parsing", "cursor", "Input should be the next_cursor of an earlier page", text)
        })?),
    };
    let query = Query {
        state: filters.state.clone(),
        session_id: filters.session_id.clone(),
        intent: filters.intent.clone(),
        failure_class: filters.failure_class.clone(),
        since: instant("since", &filters.since)?,
        until: instant("until", &filters.until)?,
        cursor,
        limit: filters.limit,
        offset: filters.offset,
    };
    Ok((query, filters))
}

fn unfit(kind: &str, name: &str, message: &str, input: &str) -> Unfit {
    Unfit(vec![json!({"type": kind, "loc": ["query", name], "msg": message, "input": input})])
}

/// The answer to plan, approve, deny, cancel and undo; null fields are left out.
#[derive(Serialize)]
struct AnswerBody<'a> {
    ok: bool,
    action_id: &'a str,
    state: State,
    intent: &'a str,
    risk_level: Risk,
    requires_confirmation: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<&'a Validation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution: Option<ExecutionBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    telemetry: Option<&'a Telemetry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ErrorNote>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<UndoBody<'a>>,
    correlation_id: &'a str,
}

#[derive(Serialize)]
struct UndoBody<'a> {
    summary: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<&'a str>,
    dry_run: bool,
}

#[derive(Serialize)]
struct ExecutionBody<'a> {
    success: bool,
    output: &'a Value,
    side_effects: &'a [SideEffect],
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_class: Option<&'a str>,
    retries_used: u32,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<&'a Verification>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    output_evicted: bool,
}

impl<'a> ExecutionBody<'a> {
    fn of(execution: &'a Execution, exact: Option<&'a Value>) -> Self {
        Self {
            success: execution.success,
            output: exact.unwrap_or(&execution.output),
            side_effects: &execution.side_effects,
            error_code: execution.error_code.as_deref(),
            error_message: execution.error_message.as_deref(),
            failure_class: execution.failure_class.map(|c| c.as_str()),
            retries_used: execution.retries_used,
            duration_ms: execution.duration_ms,
            verification: execution.verification.as_ref(),
            output_evicted: execution.output_evicted && exact.is_none(),
        }
    }
}

/// Writes an answer. Where there is no record, `correlation` is the request's own.
#[must_use]
pub fn answer(answer: &Answer, correlation: &CorrelationId) -> Vec<u8> {
    let undo = answer.undo.as_ref().map(|u| UndoBody {
        summary: &u.summary,
        diff: u.diff.as_deref(),
        dry_run: u.dry_run,
    });
    let body = match (&answer.record, &answer.refused) {
        (Some(record), _) => AnswerBody {
            ok: answer.ok,
            action_id: record.action_id.as_str(),
            state: record.state,
            intent: &record.intent,
            risk_level: record.risk_level,
            requires_confirmation: record.requires_confirmation,
            validation: record.validation.as_ref(),
            execution: record.execution.as_ref().map(|e| ExecutionBody::of(e, answer.output.as_ref())),
            telemetry: Some(&record.telemetry),
            error: answer.error.as_ref(),
            undo,
            correlation_id: record.correlation_id.as_str(),
        },
        (None, refused) => AnswerBody {
            ok: answer.ok,
            action_id: refused.as_ref().map_or("", |r| r.action_id.as_str()),
            state: refused.as_ref().map_or(State::Failed, |r| r.state),
            intent: refused.as_ref().map_or("unknown", |r| r.intent.as_str()),
            risk_level: Risk::Medium,
            requires_confirmation: false,
            validation: None,
            execution: None,
            telemetry: None,
            error: answer.error.as_ref(),
            undo,
            correlation_id: correlation.as_str(),
        },
    };
    serde_json::to_vec(&body).expect("an answer can be written as JSON")
}

/// Writes a record (contract 1.9.6). `params` stands in for the redacted ones where given.
#[must_use]
pub fn record(record: &ActionRecord, params: Option<Map<String, Value>>) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("action_id", json!(record.action_id));
    put("intent", json!(record.intent));
    put("params", params.map_or_else(|| record.params.clone(), Value::Object));
    put("state", json!(record.state));
    put("risk_level", json!(record.risk_level));
    put("requires_confirmation", json!(record.requires_confirmation));
    put("dry_run", json!(record.dry_run));
    put("correlation_id", json!(record.correlation_id));
    put("telemetry", json!(record.telemetry));
    put("created_at", json!(time::bare(record.created_at)));
    put("updated_at", json!(time::bare(record.updated_at)));
    put("max_retries", json!(record.max_retries));
    put("retry_count", json!(record.retry_count));
    put("timeout_ms", json!(record.timeout_ms));
    put("deadline_ms", json!(record.deadline_ms));
    put("caller", json!(record.caller));
    let optional = [
        ("idempotency_key", record.idempotency_key.as_ref().map(|k| json!(k))),
        ("session_id", record.session_id.as_ref().map(|s| json!(s))),
        ("validation", record.validation.as_ref().map(|v| json!(v))),
        ("execution", record.execution.as_ref().map(|e| json!(ExecutionBody::of(e, None)))),
        ("error", record.error.as_ref().map(|e| json!(e))),
        ("completed_at", record.completed_at.map(|t| json!(time::bare(t)))),
        ("rule", record.rule.as_ref().map(|r| json!(r))),
        ("decided_by", record.decided_by.as_ref().map(|d| json!(d))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            put(name, value);
        }
    }
    Value::Object(out)
}

/// What a person needs to decide, beside the exact parameters.
#[must_use]
pub fn approval(record: &ActionRecord, now: Timestamp) -> Option<Value> {
    let seal = record.seal.as_ref().filter(|_| record.state == State::PendingApproval)?;
    let remaining = seal.expires_at.since(now).as_millis() as f64 / 1_000.0;
    Some(json!({
        "expires_at": time::zulu(seal.expires_at),
        "remaining_seconds": remaining,
        "operands": seal.operands,
        "rule": record.rule,
        "policy_version": seal.policy_version,
    }))
}
