//! `mouse.click`: a click at a place on the screen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steadyhand_core::capability::{Capability, RepeatSafe, Risk, Tier};

use super::check::{check, schema};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Pixels from the left, 0 to 7680.
    #[schemars(extend("minimum" = 0, "maximum" = 7680))]
    pub x: i64,
    /// Pixels from the top, 0 to 4320.
    #[schemars(extend("minimum" = 0, "maximum" = 4320))]
    pub y: i64,
    /// `left` (the default) or `right`.
    #[serde(default)]
    #[schemars(extend("enum" = ["left", "right", null], "default" = "left"))]
    pub button: Option<String>,
    /// How often; once by default.
    #[serde(default)]
    #[schemars(extend("default" = 1))]
    pub clicks: Option<u32>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Pixels from the left.
    pub x: i64,
    /// Pixels from the top.
    pub y: i64,
    /// The button.
    pub button: String,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "mouse.click",
        display_name: "Mouse Click",
        tool_name: "Mouse Click",
        description: "Clicks at a place on the screen, in pixels from the top left corner.",
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
        required: &["x", "y"],
        optional: &["button", "clicks"],
        secret_params: &[],
        secret_outputs: &[],
        timeout_max_ms: super::TIMEOUT_MAX_MS,
        tool_timeout_ms: 5000,
        tier: Tier::Create,
        sandboxed: false,
    }
}
