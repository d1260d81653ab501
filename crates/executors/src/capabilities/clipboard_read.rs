//! `clipboard.read`: the clipboard's text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steadyhand_core::capability::{Capability, RepeatSafe, Risk, Tier};

use super::check::{check, schema};

/// Nothing is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The text.
    pub text: String,
    /// Its length in characters.
    pub length: usize,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "clipboard.read",
        display_name: "Read Clipboard",
        tool_name: "Clipboard Read",
        description: "Returns the clipboard's text; empty when it holds none.",
        risk: Risk::Safe,
        asks: false,
        implemented: false,
        idempotent: true,
        repeat_safe: RepeatSafe::Always,
        reversible: false,
        has_effect: false,
        tags: &["clipboard", "desktop", "readonly"],
        params_schema: schema::<Params>(),
        output_schema: schema::<Output>(),
        check: check::<Params>,
        required: &[],
        optional: &[],
        secret_params: &[],
        secret_outputs: &["text"],
        timeout_max_ms: super::TIMEOUT_MAX_MS,
        tool_timeout_ms: 5000,
        tier: Tier::Readonly,
        sandboxed: false,
    }
}
