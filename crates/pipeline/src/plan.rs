//! Plan: a request becomes an action with an identity, or turns out to be one already.

use serde_json::{Map, Value, json};
use steadyhand_core::{
    action::{ActionRecord, Request, default_deadline},
    caller::Caller,
    capability::{Capability, Risk},
    digest::Digest,
    event::{Entry, Event, Planned},
    id::ActionId,
    redact::redact,
    store::{Claim, Keep, Payload, PayloadKind},
    time::millis,
};
use tokio::time::Instant;

use crate::{Inner, draft::Draft};

/// What makes two requests the same under one key: intent, exact parameters, `dry_run`.
pub(crate) fn request_digest(inner: &Inner, request: &Request) -> Digest {
    let shape = json!([request.intent, request.params, request.dry_run]);
    Digest::salted(inner.parts.store.salt(), shape.to_string().as_bytes())
}

/// Digest of exact parameters; salted, for they may hold short secrets.
pub(crate) fn params_digest(inner: &Inner, params: &Map<String, Value>) -> Digest {
    let text = serde_json::to_vec(params).expect("a JSON map can be written as JSON");
    Digest::salted(inner.parts.store.salt(), &text)
}

/// Makes the action's record and its first event.
pub(crate) fn plan(
    inner: &Inner,
    caller: &Caller,
    request: Request,
    id: ActionId,
    request_digest: Option<Digest>,
    began: Instant,
) -> Draft {
    let capability = inner.parts.registry.get(&request.intent).cloned();
    let secret: Vec<String> = concealed(capability.as_deref(), &request.params);
    let secret: Vec<&str> = secret.iter().map(String::as_str).collect();
    let exact = Value::Object(request.params);
    let shown = redact(&exact, &secret, inner.parts.store.salt());
    let params_exact = shown == exact;
    let Value::Object(params) = exact else { unreachable!("made from an object above") };
    let at = inner.parts.clock.now();
    let deadline = request.deadline.unwrap_or_else(|| default_deadline(request.timeout));
    let planned = Planned {
        action_id: id.clone(),
        intent: request.intent,
        params: shown,
        params_digest: params_digest(inner, &params),
        params_exact,
        risk_level: capability.as_ref().map_or(Risk::High, |c| c.risk),
        requires_confirmation: capability.as_ref().is_none_or(|c| c.asks),
        dry_run: request.dry_run,
        caller: caller.name.clone(),
        idempotency_key: request.idempotency_key,
        correlation_id: request.correlation_id,
        session_id: request.session_id,
        max_retries: request.max_retries,
        timeout_ms: whole_millis(request.timeout),
        deadline_ms: whole_millis(deadline),
        plan_ms: millis(began.elapsed()),
    };
    let record = ActionRecord::begin(&planned, at);
    let claim = planned.idempotency_key.clone().zip(request_digest).map(|(key, request_digest)| Claim {
        caller: caller.name.clone(),
        key,
        action_id: id.clone(),
        request_digest,
        at,
    });
    let first = Entry { at, event: Event::Planned(Box::new(planned)) };
    let keep_exact = !params_exact && !record.dry_run && capability.is_some();
    let mut draft = Draft::begin(record, first, capability, params, claim);
    if keep_exact {
        let bytes = serde_json::to_vec(&*draft.params).expect("a JSON map can be written as JSON");
        draft.keep(Payload { owner: id.0, kind: PayloadKind::Params, keep: Keep::WithAction, bytes });
    }
    draft
}

/// The parameters that records don't show: those that the capability marks as secret, and those that it
/// doesn't have, for a slip in a name must not show what the right name would hide.
fn concealed(capability: Option<&Capability>, params: &Map<String, Value>) -> Vec<String> {
    let is_shown = |name: &str| {
        capability.is_some_and(|c| {
            let known = c.required.contains(&name) || c.optional.contains(&name);
            known && !c.secret_params.contains(&name)
        })
    };
    params.keys().filter(|name| !is_shown(name)).cloned().collect()
}

fn whole_millis(d: std::time::Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}
