//! The engine as its users see it.

mod decisions;
mod laws;
mod orders;
mod refusals;

use serde_json::{Map, Value};
use steadyhand_policy::{Policy, Query, Ruling};

/// The ruling of `policy` on an action whose parameters are given as a JSON object.
fn decide(policy: &Policy, intent: &str, params: &Value, caller: &str) -> Ruling {
    policy.decide(&Query { intent, params: &object(params), caller })
}

fn object(params: &Value) -> Map<String, Value> {
    params.as_object().expect("parameters are an object").clone()
}
