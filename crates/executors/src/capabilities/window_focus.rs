//! `window.focus`: one window, brought to the front.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steadyhand_core::capability::{Capability, RepeatSafe, Risk, Tier};

use super::check::{check, schema};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A part of the window's title, in any case.
    pub title: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The window's handle.
    pub hwnd: u64,
    /// The window's title.
    pub title: String,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "window.focus",
        display_name: "Focus Window",
        tool_name: "Window Focus",
        description: "Brings the window whose title contains the given text (in any case) to the front.",
        risk: Risk::Safe,
        asks: false,
        implemented: false,
        idempotent: true,
        repeat_safe: RepeatSafe::Always,
        reversible: false,
        has_effect: true,
        tags: &["desktop", "window"],
        params_schema: schema::<Params>(),
        output_schema: schema::<Output>(),
        check: check::<Params>,
        required: &["title"],
        optional: &[],
        secret_params: &[],
        secret_outputs: &[],
        timeout_max_ms: super::TIMEOUT_MAX_MS,
        tool_timeout_ms: 5000,
        tier: Tier::Compute,
        sandboxed: false,
    }
}
