//! `keyboard.type`: text, as if typed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steadyhand_core::capability::{Capability, RepeatSafe, Risk, Tier};

use super::check::{check, schema};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The text.
    #[schemars(extend("maxLength" = 1000))]
    pub text: String,
    /// Milliseconds between two keys; as fast as is safe by default.
    #[serde(default)]
    pub delay_ms: Option<u32>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// How many characters were typed.
    pub chars_typed: u32,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "keyboard.type",
        display_name: "Type Text",
        tool_name: "Keyboard Type",
        description: "Types a text (at most 1000 characters) into the focused window.",
        risk: Risk::High,
        asks: true,
        implemented: false,
        idempotent: false,
        repeat_safe: RepeatSafe::Never,
        reversible: false,
        has_effect: true,
        tags: &["desktop", "input"],
        params_schema: schema::<Params>(),
        output_schema: schema::<Output>(),
        check: check::<Params>,
        required: &["text"],
        optional: &["delay_ms"],
        secret_params: &["text"],
        secret_outputs: &[],
        timeout_max_ms: super::TIMEOUT_MAX_MS,
        tool_timeout_ms: 10000,
        tier: Tier::Create,
        sandboxed: false,
    }
}
