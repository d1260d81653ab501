//! What the gateway answers, and which exit code that is.

use serde_json::Value;

use crate::{exit::Exit, fault::Fault};

/// An answer of the gateway.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body; null where there is none.
    pub(crate) body: Value,
    /// The `Retry-After` header.
    pub(crate) retry_after: Option<String>,
}

impl Answer {
    /// The body of a success.
    ///
    /// # Errors
    /// What the gateway says, with the exit code of its status.
    pub(crate) fn success(self, no_token: Option<&str>) -> Result<Value, Fault> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let said = message(&self.body).unwrap_or_else(|| format!("HTTP status {}", self.status));
        let fault = Fault::new(exit_of_status(self.status), said);
        Err(match self.status {
            401 => {
                let why = no_token.map(|why| format!(" ({why})")).unwrap_or_default();
                let message = format!("the gateway doesn't know this token{why}");
                Fault::new(Exit::NotAllowed, message).advise(
                    "see `steadyhand token list`; for another data folder use --data-dir, or set STEADYHAND_TOKEN",
                )
            }
            403 => fault.advise("the token doesn't allow this: try `--as operator`"),
            429 | 503 => {
                let wait = self.retry_after.map(|s| format!("try again in {s} s"));
                fault.advise(wait.unwrap_or_else(|| "try again later".to_owned()))
            }
            _ => fault,
        })
    }
}

fn exit_of_status(status: u16) -> Exit {
    match status {
        401 | 403 => Exit::NotAllowed,
        408 | 429 | 503 => Exit::Busy,
        400..=499 => Exit::Invalid,
        _ => Exit::Failed,
    }
}

/// The sentence in an error body, in any of the contract's forms (0.4, 0.5).
pub(crate) fn message(body: &Value) -> Option<String> {
    let error = &body["error"];
    if let Some(text) = error["message"].as_str().or_else(|| error.as_str()) {
        return Some(text.to_owned());
    }
    match &body["detail"] {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().map(item).collect::<Vec<_>>().join("; ")),
        _ => None,
    }
}

/// One item of a 422 body: where, and what.
fn item(item: &Value) -> String {
    let place = item["loc"].as_array().into_iter().flatten().skip(1).map(|part| match part {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    let place = place.collect::<Vec<_>>().join(".");
    let said = item["msg"].as_str().unwrap_or("not as it should be");
    if place.is_empty() { said.to_owned() } else { format!("`{place}`: {said}") }
}

/// The exit code of an answer about an action (contract 1.9).
pub(crate) fn exit_of_action(body: &Value) -> Exit {
    let code = body["error"]["code"].as_str().or_else(|| body["execution"]["error_code"].as_str());
    match code.unwrap_or_default() {
        "OUTCOME_UNKNOWN" => return Exit::OutcomeUnknown,
        "POLICY_DENIED" | "APPROVAL_STALE" | "APPROVAL_EXPIRED" | "CANCELLED" => return Exit::Refused,
        "VALIDATION_FAILED"
        | "NOT_FOUND"
        | "INVALID_STATE"
        | "IDEMPOTENCY_CONFLICT"
        | "NOT_REVERSIBLE"
        | "PAYLOAD_EXPIRED"
        | "AMBIGUOUS_TARGET" => return Exit::Invalid,
        "FORBIDDEN" | "UNAUTHENTICATED" => return Exit::NotAllowed,
        "APPROVAL_LIMIT" | "STOPPED" | "OVERLOADED" | "RATE_LIMITED" | "CIRCUIT_OPEN" => return Exit::Busy,
        _ => {}
    }
    let ok = body["ok"].as_bool().unwrap_or(false);
    match body["state"].as_str().unwrap_or_default() {
        "pending_approval" => Exit::WaitsForApproval,
        "denied" | "cancelled" => Exit::Refused,
        "succeeded" if body["execution"]["output"]["success"] == false => Exit::Failed,
        "succeeded" | "validated" | "rolled_back" if ok => Exit::Done,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn actions_end_with_their_exit_code() {
        let cases = [
            (
                json!({"ok": true, "state": "succeeded", "execution": {"output": {"success": true}}}),
                Exit::Done,
            ),
            (
                json!({"ok": true, "state": "succeeded", "execution": {"output": {"success": false}}}),
                Exit::Failed,
            ),
            (json!({"ok": true, "state": "validated"}), Exit::Done),
            (json!({"ok": true, "state": "rolled_back"}), Exit::Done),
            (json!({"ok": true, "state": "pending_approval"}), Exit::WaitsForApproval),
            (json!({"ok": true, "state": "denied"}), Exit::Refused),
            (
                json!({"ok": false, "state": "cancelled", "error": {"code": "APPROVAL_EXPIRED"}}),
                Exit::Refused,
            ),
            (json!({"ok": false, "state": "failed", "error": {"code": "POLICY_DENIED"}}), Exit::Refused),
            (json!({"ok": false, "state": "planned", "error": {"code": "VALIDATION_FAILED"}}), Exit::Invalid),
            (json!({"ok": false, "state": "failed", "error": {"code": "NOT_FOUND"}}), Exit::Invalid),
            (json!({"ok": false, "state": "planned", "error": {"code": "APPROVAL_LIMIT"}}), Exit::Busy),
            (json!({"ok": false, "state": "planned", "error": {"code": "STOPPED"}}), Exit::Busy),
            (
                json!({"ok": false, "state": "failed", "execution": {"error_code": "OUTCOME_UNKNOWN"}}),
                Exit::OutcomeUnknown,
            ),
            (
                json!({"ok": false, "state": "failed", "execution": {"error_code": "EXECUTION_FAILED"}}),
                Exit::Failed,
            ),
            (json!({"ok": false, "state": "timeout", "execution": {"error_code": "TIMEOUT"}}), Exit::Failed),
            (json!({"ok": false, "state": "succeeded", "error": {"code": "UNDO_CONFLICT"}}), Exit::Failed),
            (json!({"ok": false, "state": "succeeded", "error": {"code": "INVALID_STATE"}}), Exit::Invalid),
            (json!({}), Exit::Failed),
            (json!(null), Exit::Failed),
        ];
        for (body, exit) in cases {
            assert_eq!(exit_of_action(&body), exit, "{body}");
        }
    }

    #[test]
    fn refusals_keep_what_the_gateway_says() {
        let cases = [
            (
                401,
                json!({"error": {"code": "UNAUTHENTICATED"}}),
                Exit::NotAllowed,
                "doesn't know this token (gone)",
            ),
            (403, json!({"error": {"message": "needs approve"}}), Exit::NotAllowed, "needs approve"),
            (404, json!({"error": {"code": "NOT_FOUND", "message": "no such"}}), Exit::Invalid, "no such"),
            (404, json!({"detail": "Not Found"}), Exit::Invalid, "Not Found"),
            (
                422,
                json!({"detail": [{"loc": ["body", "params", 0], "msg": "Field required"}, {"msg": "bad"}]}),
                Exit::Invalid,
                "`params.0`: Field required; bad",
            ),
            (429, json!({"detail": "slow down"}), Exit::Busy, "slow down"),
            (503, json!(null), Exit::Busy, "HTTP status 503"),
            (500, json!({"error": "internal_server_error"}), Exit::Failed, "internal_server_error"),
        ];
        for (status, body, exit, said) in cases {
            let fault = Answer { status, body, retry_after: None }.success(Some("gone")).unwrap_err();
            assert_eq!(fault.exit, exit, "{status}");
            assert!(fault.message.contains(said), "{status}: {}", fault.message);
        }
        let busy = Answer { status: 429, body: json!(null), retry_after: Some("7".into()) };
        assert_eq!(busy.success(None).unwrap_err().advice.as_deref(), Some("try again in 7 s"));
    }
}
