//! `keyboard.hotkey`: several keys, pressed together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steadyhand_core::capability::{Capability, RepeatSafe, Risk, Tier};

use super::check::{check, schema};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The keys, joined by `+`.
    pub keys: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The keys as they were given.
    pub keys: String,
    /// The keys as they were pressed.
    pub sendkeys: String,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "keyboard.hotkey",
        display_name: "Press Hotkey",
        tool_name: "Keyboard Hotkey",
        description: "Presses a key combination such as ctrl+s in the focused window. Combinations that end sessions or programs are refused.",
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
        required: &["keys"],
        optional: &[],
        secret_params: &[],
        secret_outputs: &[],
        timeout_max_ms: super::TIMEOUT_MAX_MS,
        tool_timeout_ms: 5000,
        tier: Tier::Create,
        sandboxed: false,
    }
}
