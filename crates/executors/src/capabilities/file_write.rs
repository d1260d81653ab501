//! `file.write`: the whole content of one file under a root, replaced at once.

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
    /// The new content; may be empty.
    pub content: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The file's absolute path, links followed.
    pub path: String,
    /// The content's size in bytes.
    pub bytes_written: u64,
    /// Whether there was such a file before.
    pub was_existing: bool,
    /// How long it took, in milliseconds.
    pub elapsed_ms: f64,
    /// Always true.
    pub success: bool,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "file.write",
        display_name: "Write File",
        tool_name: "File Write",
        description: "Creates a file under the sandbox folders or replaces its whole content (UTF-8, at most 10 MiB) in one step, making parent folders as needed. Can be undone.",
        risk: Risk::Medium,
        asks: true,
        implemented: true,
        idempotent: false,
        repeat_safe: RepeatSafe::WhenProbed,
        reversible: true,
        has_effect: true,
        tags: &["filesystem", "write"],
        params_schema: schema::<Params>(),
        output_schema: schema::<Output>(),
        check: check::<Params>,
        required: &["path", "content"],
        optional: &[],
        secret_params: &["content"],
        secret_outputs: &[],
        timeout_max_ms: super::SHORT_TIMEOUT_MAX_MS,
        tool_timeout_ms: 5000,
        tier: Tier::Create,
        sandboxed: true,
    }
}
