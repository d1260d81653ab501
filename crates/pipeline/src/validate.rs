//! Validate: shape, types, bounds, then policy. The world isn't looked at (contract 1.9.2).

use serde_json::Value;
use steadyhand_core::{
    action::{Check, Validation},
    capability::{Capability, ParamError, Registry, Risk},
    event::Event,
    time::millis,
};
use steadyhand_policy::{Decision, Query, Ruling};
use tokio::time::Instant;

use crate::{Inner, answer::codes, draft::Draft};

/// What follows from validation.
pub(crate) enum Verdict {
    /// The checks failed; the action has ended.
    Invalid,
    /// Policy says no; the action has ended.
    Denied,
    /// It may run at once.
    Allowed,
    /// A person is asked first.
    Ask,
}

/// Runs the checks, then asks policy.
pub(crate) fn validate(inner: &Inner, draft: &mut Draft) -> Verdict {
    let began = Instant::now();
    let mut validation = check(
        &inner.parts.registry,
        draft.capability.as_deref(),
        &draft.record.intent,
        &draft.params,
        draft.record.timeout_ms,
    );
    if !validation.valid {
        let reason = validation.rejection_reason.clone().unwrap_or_default();
        draft.push(inner, Event::Validated { validation, rule: None, validate_ms: millis(began.elapsed()) });
        let error = Some(crate::answer::note(codes::VALIDATION_FAILED, reason));
        draft.end(inner, draft.record.state, None, error);
        return Verdict::Invalid;
    }
    let ruling = rule(inner, draft);
    validation.requires_confirmation = ruling.decision == Decision::Ask;
    let rule = Some(ruling.rule.clone());
    draft.push(inner, Event::Validated { validation, rule, validate_ms: millis(began.elapsed()) });
    match ruling.decision {
        Decision::Allow => Verdict::Allowed,
        Decision::Ask => Verdict::Ask,
        Decision::Deny => {
            let message = denial(&ruling);
            draft.push(inner, Event::PolicyDenied { rule: ruling.rule, message });
            Verdict::Denied
        }
    }
}

/// What policy says of this action now.
pub(crate) fn rule(inner: &Inner, draft: &Draft) -> Ruling {
    inner.parts.policy.current().decide(&Query {
        intent: &draft.record.intent,
        params: &draft.params,
        caller: &draft.record.caller,
    })
}

fn denial(ruling: &Ruling) -> String {
    if ruling.description.is_empty() {
        format!("Denied by rule '{}'", ruling.rule)
    } else {
        format!("Denied by rule '{}': {}", ruling.rule, ruling.description)
    }
}

/// The checks of contract 1.9.2, in order. The first four stop at the first failure.
pub(crate) fn check(
    registry: &Registry,
    capability: Option<&Capability>,
    intent: &str,
    params: &serde_json::Map<String, Value>,
    timeout_ms: u64,
) -> Validation {
    let Some(capability) = capability else {
        let hint =
            registry.nearest(intent).map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
        let reason = format!("Unknown intent: {intent}{hint}");
        let checks = vec![failed("capability_exists", Value::from(reason.clone()))];
        return Validation {
            valid: false,
            checks,
            risk_level: Risk::High,
            requires_confirmation: true,
            rejection_reason: Some(reason),
        };
    };
    let mut checks = vec![passed("capability_exists", None), implemented(capability)];
    let mut reason = None;
    let mut missing = capability.missing(params);
    if !missing.is_empty() {
        // A misspelt name is the likely reason.
        missing.extend(capability.unknown(params));
    }
    checks.push(params_check("required_params", &missing, &mut reason));
    if reason.is_none() {
        checks.push(params_check("param_types", &capability.ill_typed(params), &mut reason));
    }
    if reason.is_none() {
        checks.push(timeout_check(capability, timeout_ms, &mut reason));
        let assessed = format!("Assessed: {}", capability.risk);
        checks.push(passed("risk_classification", Some(assessed)));
    }
    Validation {
        valid: reason.is_none(),
        checks,
        risk_level: capability.risk,
        requires_confirmation: capability.asks,
        rejection_reason: reason,
    }
}

/// A capability that this build can't do may be planned; running it ends with `not_implemented`.
fn implemented(capability: &Capability) -> Check {
    let detail = (!capability.implemented)
        .then(|| format!("Intent '{}' can be planned, but this build can't run it", capability.intent));
    passed("capability_implemented", detail)
}

fn params_check(name: &str, errors: &[ParamError], reason: &mut Option<String>) -> Check {
    if errors.is_empty() {
        return passed(name, None);
    }
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    *reason = Some(texts.join("; "));
    failed(name, Value::from(texts))
}

fn timeout_check(capability: &Capability, timeout_ms: u64, reason: &mut Option<String>) -> Check {
    let max = capability.timeout_max_ms;
    if timeout_ms <= max {
        return passed("timeout_bounds", None);
    }
    *reason = Some("Pre-flight check failed".to_owned());
    failed("timeout_bounds", Value::from(format!("Timeout {timeout_ms}ms exceeds max {max}ms")))
}

fn passed(name: &str, detail: Option<String>) -> Check {
    Check { check: name.to_owned(), pass: true, detail: detail.map(Value::from) }
}

fn failed(name: &str, detail: Value) -> Check {
    Check { check: name.to_owned(), pass: false, detail: Some(detail) }
}
