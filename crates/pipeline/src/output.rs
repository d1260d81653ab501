//! What becomes of an action's output: what the record shows, what is kept exactly, and for how long
//! (contract 1.9.5).

use serde_json::{Value, json};
use steadyhand_core::{
    action::Execution,
    capability::Capability,
    digest::Digest,
    redact::redact,
    store::{Found, Keep, Payload, PayloadKind},
};

use crate::{Inner, draft::Draft};

/// Output up to this size, as JSON, is kept with its action.
pub(crate) const KEPT_WITH_ACTION_BYTES_MAX: usize = 16 * 1024;

/// Puts `exact` into the draft's next commit as the rules say, and its shown form into `execution`.
pub(crate) fn record(
    inner: &Inner,
    draft: &mut Draft,
    capability: &Capability,
    execution: &mut Execution,
    exact: Value,
) {
    let salt = inner.parts.store.salt();
    let shown = redact(&exact, capability.secret_outputs, salt);
    let bytes = serde_json::to_vec(&exact).expect("a JSON value can be written as JSON");
    execution.output_bytes = bytes.len() as u64;
    let small = bytes.len() <= KEPT_WITH_ACTION_BYTES_MAX;
    let all_shown = shown == exact;
    execution.output = if small || shown.to_string().len() <= KEPT_WITH_ACTION_BYTES_MAX {
        shown
    } else {
        json!({"bytes": bytes.len(), "digest": Digest::salted(salt, &bytes).to_string()})
    };
    let keep = match (small, draft.record.idempotency_key.is_some()) {
        (true, _) if all_shown => None,
        (true, _) => Some(Keep::WithAction),
        (false, true) => Some(Keep::UnderQuota),
        (false, false) => None,
    };
    execution.output_evicted = !small && keep.is_none();
    if let Some(keep) = keep {
        draft.keep(Payload { owner: draft.id().0.clone(), kind: PayloadKind::Output, keep, bytes });
    }
    draft.output = Some(exact);
}

/// The exact output of an ended action, if it is still kept.
pub(crate) async fn exact(
    inner: &Inner,
    record: &steadyhand_core::action::ActionRecord,
) -> Result<Option<Value>, steadyhand_core::store::StoreError> {
    let Some(execution) = &record.execution else { return Ok(None) };
    if execution.output_evicted || execution.output.is_null() {
        return Ok(None);
    }
    match inner.parts.store.payload(record.action_id.as_str(), PayloadKind::Output).await? {
        Found::Bytes(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        // The shown form was exact, so no payload was kept.
        Found::Never => Ok(Some(execution.output.clone())),
        Found::Expired => Ok(None),
    }
}
