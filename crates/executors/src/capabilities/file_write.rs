//! `file.write`: the whole content of one file under a root, replaced at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use steadyhand_core::capability::{Capability, RepeatSafe, Risk, Tier};

use super::check::{check, schema};
use crate::files::CONTENT_BYTES_MAX;

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
        check: fits,
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

/// The types, and the bound that is known without looking at the world: nobody is asked about what can't
/// be done, and nothing so large is kept meanwhile.
fn fits(params: &Value) -> Result<(), String> {
    check::<Params>(params)?;
    let bytes = params["content"].as_str().map_or(0, str::len) as u64;
    if bytes > CONTENT_BYTES_MAX {
        return Err(format!("Content too large: {bytes} bytes (max {CONTENT_BYTES_MAX})"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn content_fits_up_to_its_bound_and_not_beyond() {
        let max = usize::try_from(CONTENT_BYTES_MAX).expect("10 MiB");
        let of = |bytes| fits(&json!({"path": "a", "content": "x".repeat(bytes)}));
        assert_eq!(of(max), Ok(()));
        assert_eq!(of(max + 1), Err("Content too large: 10485761 bytes (max 10485760)".to_owned()));
    }
}
