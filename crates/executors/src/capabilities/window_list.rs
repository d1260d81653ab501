//! `window.list`: the open windows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steadyhand_core::capability::{Capability, RepeatSafe, Risk, Tier};

use super::check::{check, schema};

/// Nothing is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// One open window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Its handle.
    pub hwnd: u64,
    /// Its title.
    pub title: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The windows, the topmost first.
    pub windows: Vec<Window>,
    /// How many they are.
    pub count: usize,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "window.list",
        display_name: "List Windows",
        tool_name: "Window List",
        description: "Lists the open windows with handle and title.",
        risk: Risk::Safe,
        asks: false,
        implemented: false,
        idempotent: true,
        repeat_safe: RepeatSafe::Always,
        reversible: false,
        has_effect: false,
        tags: &["desktop", "readonly", "window"],
        params_schema: schema::<Params>(),
        output_schema: schema::<Output>(),
        check: check::<Params>,
        required: &[],
        optional: &[],
        secret_params: &[],
        secret_outputs: &[],
        timeout_max_ms: super::TIMEOUT_MAX_MS,
        tool_timeout_ms: 5000,
        tier: Tier::Readonly,
        sandboxed: false,
    }
}
