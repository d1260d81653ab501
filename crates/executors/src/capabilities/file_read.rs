//! `file.read`: the text of one file under a root.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steadyhand_core::capability::{Capability, RepeatSafe, Risk, Tier};

use super::check::{check, schema};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The file's path: relative to the first sandbox folder, or absolute under any of them. `~` isn't
    /// expanded.
    pub path: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The file's absolute path, links followed.
    pub path: String,
    /// The content's size in bytes.
    pub size_bytes: u64,
    /// The whole content.
    pub content: String,
    /// How long it took, in milliseconds.
    pub elapsed_ms: f64,
    /// Always true.
    pub success: bool,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "file.read",
        display_name: "Read File",
        tool_name: "File Read",
        description: "Reads a text file (UTF-8, at most 10 MiB) under the sandbox folders and returns its content. Relative paths start at the first folder.",
        risk: Risk::Safe,
        asks: false,
        implemented: true,
        idempotent: true,
        repeat_safe: RepeatSafe::Always,
        reversible: false,
        has_effect: false,
        tags: &["filesystem", "readonly"],
        params_schema: schema::<Params>(),
        output_schema: schema::<Output>(),
        check: check::<Params>,
        required: &["path"],
        optional: &[],
        secret_params: &[],
        secret_outputs: &["content"],
        timeout_max_ms: super::SHORT_TIMEOUT_MAX_MS,
        tool_timeout_ms: 5000,
        tier: Tier::Readonly,
        sandboxed: true,
    }
}
