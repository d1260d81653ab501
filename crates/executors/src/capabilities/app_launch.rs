//! `app.launch`: an installed application, started.

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
    /// Its arguments; none by default.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub args: Option<Vec<String>>,
    /// The folder it starts in.
    #[serde(default)]
    pub working_dir: Option<String>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Its process.
    pub pid: u32,
    /// The application's name.
    pub target: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "app.launch",
        display_name: "Launch Application",
        tool_name: "App Launch",
        description: "Starts an installed application and returns its process id.",
        risk: Risk::Medium,
        asks: true,
        implemented: false,
        idempotent: false,
        repeat_safe: RepeatSafe::Never,
        reversible: true,
        has_effect: true,
        tags: &["app", "desktop"],
        params_schema: schema::<Params>(),
        output_schema: schema::<Output>(),
        check: check::<Params>,
        required: &["target"],
        optional: &["args", "working_dir"],
        secret_params: &[],
        secret_outputs: &[],
        timeout_max_ms: super::TIMEOUT_MAX_MS,
        tool_timeout_ms: 10000,
        tier: Tier::Compute,
        sandboxed: false,
    }
}
