//! Capabilities on the wire (contract 1.10).

use serde_json::{Map, Value, json};
use steadyhand_core::{
    capability::{Capability, Registry, RepeatSafe, Risk},
    executor::Executor,
};

/// The body of `GET /v1/capabilities`; `all` adds schemas, repeat safety and availability.
#[must_use]
pub fn list(registry: &Registry, executor: &dyn Executor, all: bool) -> Value {
    let entries: Vec<Value> = registry
        .iter()
        .map(|c| {
            let mut entry = entry(c);
            if all {
                entry.extend(extended(c, executor));
            }
            Value::Object(entry)
        })
        .collect();
    json!({"ok": true, "capabilities": entries, "stats": stats(registry)})
}

fn entry(c: &Capability) -> Map<String, Value> {
    let entry = json!({
        "intent": c.intent,
        "display_name": c.display_name,
        "description": c.description,
        "risk_level": c.risk,
        "requires_confirmation": c.asks,
        "implemented": c.implemented,
        "required_params": c.required,
        "optional_params": c.optional,
        "idempotent": c.idempotent,
        "reversible": c.reversible,
        "tags": c.tags,
    });
    let Value::Object(entry) = entry else { unreachable!("written as an object above") };
    entry
}

fn extended(c: &Capability, executor: &dyn Executor) -> Map<String, Value> {
    let availability = executor.availability(c.intent);
    let repeat_safe = match c.repeat_safe {
        RepeatSafe::Always => "always",
        RepeatSafe::Never => "never",
        RepeatSafe::WhenProbed => "when_probed",
    };
    let extended = json!({
        "params_schema": c.params_schema,
        "output_schema": c.output_schema,
        "repeat_safe": repeat_safe,
        "timeout_max_ms": c.timeout_max_ms,
        "available": availability.available,
        "unavailable_reason": availability.reason,
        "sandbox": availability.sandbox,
    });
    let Value::Object(extended) = extended else { unreachable!("written as an object above") };
    extended
}

/// The counts over all capabilities.
#[must_use]
pub fn stats(registry: &Registry) -> Value {
    let count = |test: &dyn Fn(&Capability) -> bool| registry.iter().filter(|c| test(c)).count();
    let risks = [Risk::Safe, Risk::Low, Risk::Medium, Risk::High, Risk::Critical];
    let by_risk: Map<String, Value> =
        risks.iter().map(|risk| (risk.as_str().to_owned(), json!(count(&|c| c.risk == *risk)))).collect();
    json!({
        "total": registry.iter().count(),
        "implemented": count(&|c| c.implemented),
        "by_risk": by_risk,
        "confirmable": count(&|c| c.asks),
        "reversible": count(&|c| c.reversible),
        "idempotent": count(&|c| c.idempotent),
    })
}
