//! `clipboard.write`: a text, put on the clipboard.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steadyhand_core::capability::{Capability, RepeatSafe, Risk, Tier};

use super::check::{check, schema};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The text; may be empty.
    #[schemars(extend("maxLength" = 100_000))]
    pub text: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// How many characters were put there.
    pub chars_written: usize,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "clipboard.write",
        display_name: "Write Clipboard",
        tool_name: "Clipboard Write",
        description: "Puts a text (at most 100000 characters) on the clipboard. Can be undone.",
        risk: Risk::Low,
        asks: false,
        implemented: false,
        idempotent: true,
        repeat_safe: RepeatSafe::Always,
        reversible: true,
        has_effect: true,
        tags: &["clipboard", "desktop"],
        params_schema: schema::<Params>(),
        output_schema: schema::<Output>(),
        check: check::<Params>,
        required: &["text"],
        optional: &[],
        secret_params: &["text"],
        secret_outputs: &[],
        timeout_max_ms: super::TIMEOUT_MAX_MS,
        tool_timeout_ms: 5000,
        tier: Tier::Create,
        sandboxed: false,
    }
}
