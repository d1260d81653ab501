//! `app.close`: a running application, ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steadyhand_core::capability::{Capability, RepeatSafe, Risk, Tier};

use super::check::{check, schema};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The application's name.
    pub target: String,
    /// Whether it is ended without being asked; false by default.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub force: Option<bool>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The application's name.
    pub target: String,
    /// Whether it was ended without being asked.
    pub force: bool,
    /// What ended, in words.
    pub output: String,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "app.close",
        display_name: "Close Application",
        tool_name: "App Close",
        description: "Closes a running application, gently or by force.",
        risk: Risk::High,
        asks: true,
        implemented: false,
        idempotent: true,
        repeat_safe: RepeatSafe::Never,
        reversible: false,
        has_effect: true,
        tags: &["app", "desktop"],
        params_schema: schema::<Params>(),
        output_schema: schema::<Output>(),
        check: check::<Params>,
        required: &["target"],
        optional: &["force"],
        secret_params: &[],
        secret_outputs: &[],
        timeout_max_ms: super::TIMEOUT_MAX_MS,
        tool_timeout_ms: 10000,
        tier: Tier::Create,
        sandboxed: false,
    }
}
