//! `browser.open`: a page in the person's browser.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steadyhand_core::capability::{Capability, RepeatSafe, Risk, Tier};

use super::check::{check, schema};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The address, http or https.
    #[schemars(extend("maxLength" = 4096))]
    pub url: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The address.
    pub url: String,
    /// Whether the browser took it.
    pub opened: bool,
    /// How long it took, in milliseconds.
    pub elapsed_ms: f64,
    /// Always true.
    pub success: bool,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "browser.open",
        display_name: "Open Browser",
        tool_name: "Browser Open",
        description: "Opens an http or https address (at most 4096 characters) in the default browser. Local and private addresses are refused.",
        risk: Risk::Low,
        asks: true,
        implemented: false,
        idempotent: true,
        repeat_safe: RepeatSafe::Never,
        reversible: false,
        has_effect: true,
        tags: &["browser", "network"],
        params_schema: schema::<Params>(),
        output_schema: schema::<Output>(),
        check: check::<Params>,
        required: &["url"],
        optional: &[],
        secret_params: &[],
        secret_outputs: &[],
        timeout_max_ms: super::SHORT_TIMEOUT_MAX_MS,
        tool_timeout_ms: 5000,
        tier: Tier::Compute,
        sandboxed: false,
    }
}
