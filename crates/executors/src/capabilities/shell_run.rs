//! `shell.run`: one program with its arguments, confined, never by way of a shell.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steadyhand_core::capability::{Capability, RepeatSafe, Risk, Tier};

use super::check::{check, schema};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Program and arguments; single quotes, double quotes and backslashes group words.
    pub command: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The command as it was given.
    pub command: String,
    /// The exit code, or 128 + the signal that ended the program.
    pub return_code: i32,
    /// The head of standard output.
    pub stdout: String,
    /// The head of standard error.
    pub stderr: String,
    /// Whether `stdout` is only the head.
    pub stdout_truncated: bool,
    /// Whether `stderr` is only the head.
    pub stderr_truncated: bool,
    /// How much the program wrote to standard output, in bytes.
    pub stdout_bytes: u64,
    /// How much the program wrote to standard error, in bytes.
    pub stderr_bytes: u64,
    /// How long it took, in milliseconds.
    pub elapsed_ms: f64,
    /// Whether the exit code is 0.
    pub success: bool,
    /// How it was confined.
    pub sandbox: String,
}

/// Describes the capability.
#[must_use]
pub fn describe() -> Capability {
    Capability {
        intent: "shell.run",
        display_name: "Run Shell Command",
        tool_name: "Shell Run",
        description: "Runs one allowlisted read-only program (such as ls, cat, ps) with its arguments, confined and without a shell: no pipes, redirection or expansion. Returns exit code and the first 10000 characters of stdout and of stderr.",
        risk: Risk::Medium,
        asks: true,
        implemented: true,
        idempotent: false,
        repeat_safe: RepeatSafe::Never,
        reversible: false,
        has_effect: true,
        tags: &["compute", "shell"],
        params_schema: schema::<Params>(),
        output_schema: schema::<Output>(),
        check: check::<Params>,
        required: &["command"],
        optional: &[],
        secret_params: &[],
        secret_outputs: &["stdout", "stderr"],
        timeout_max_ms: super::SHORT_TIMEOUT_MAX_MS,
        tool_timeout_ms: 5000,
        tier: Tier::Compute,
        sandboxed: false,
    }
}
