//! Requests and capabilities for tests of the pipeline and of what is above it.

use std::time::Duration;

use serde_json::{Map, Value, json};
use steadyhand_core::{
    action::Request,
    capability::{Capability, Registry, RepeatSafe, Risk, Tier},
    id::CorrelationId,
};

/// The policy under which nothing asks.
pub const ALLOW_ALL: &str = "[[rule]]\nname = \"all\"\ncapability = \"*\"\ndecision = \"allow\"\n";

/// A request in the making.
#[derive(Debug, Clone)]
pub struct Asked(Request);

/// Asks for `intent` with `params`, an object; everything else by default.
#[must_use]
pub fn ask(intent: &str, params: Value) -> Asked {
    let params = match params {
        Value::Object(params) => params,
        _ => Map::new(),
    };
    Asked(Request {
        intent: intent.to_owned(),
        params,
        timeout: Duration::from_secs(10),
        deadline: None,
        max_retries: None,
        idempotency_key: None,
        session_id: None,
        dry_run: false,
        correlation_id: CorrelationId::from("req_0123456789ab"),
    })
}

/// Asks to read a file.
#[must_use]
pub fn read(path: &str) -> Asked {
    ask("file.read", json!({"path": path}))
}

/// Asks to write a file.
#[must_use]
pub fn write(path: &str, content: &str) -> Asked {
    ask("file.write", json!({"path": path, "content": content}))
}

/// Asks to run a command.
#[must_use]
pub fn shell(command: &str) -> Asked {
    ask("shell.run", json!({"command": command}))
}

impl Asked {
    /// Under this idempotency key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.0.idempotency_key = Some(key.to_owned());
        self
    }

    /// In this session.
    #[must_use]
    pub fn session(mut self, session: &str) -> Self {
        self.0.session_id = Some(session.to_owned());
        self
    }

    /// With this bound on one attempt.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = timeout;
        self
    }

    /// With this bound on all attempts and waits.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.0.deadline = Some(deadline);
        self
    }

    /// With this bound on retries.
    #[must_use]
    pub fn max_retries(mut self, max: u8) -> Self {
        self.0.max_retries = Some(max);
        self
    }

    /// Planned and validated only.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.0.dry_run = true;
        self
    }

    /// The request.
    #[must_use]
    pub fn request(self) -> Request {
        self.0
    }
}

/// One capability of each kind:
///
/// | intent | built-in policy | repeat | more |
/// | --- | --- | --- | --- |
/// | `file.read` | allows | always | no effect; its output is secret |
/// | `window.list` | allows | always | no effect |
/// | `file.write` | asks | when probed | can be undone; `content` is secret |
/// | `shell.run` | asks | never | |
/// | `clipboard.write` | allows | always | has an effect |
/// | `app.launch` | asks | never | this build can't do it |
#[must_use]
pub fn registry() -> Registry {
    Registry::new(vec![
        Capability {
            required: &["path"],
            secret_outputs: &["content"],
            timeout_max_ms: 15_000,
            ..capability("file.read", Risk::Safe)
        },
        capability("window.list", Risk::Safe),
        Capability {
            required: &["path", "content"],
            secret_params: &["content"],
            asks: true,
            has_effect: true,
            reversible: true,
            repeat_safe: RepeatSafe::WhenProbed,
            timeout_max_ms: 15_000,
            ..capability("file.write", Risk::Medium)
        },
        Capability {
            required: &["command"],
            asks: true,
            has_effect: true,
            repeat_safe: RepeatSafe::Never,
            timeout_max_ms: 15_000,
            ..capability("shell.run", Risk::Medium)
        },
        Capability {
            required: &["content"],
            secret_params: &["content"],
            has_effect: true,
            ..capability("clipboard.write", Risk::Low)
        },
        Capability {
            required: &["name"],
            asks: true,
            has_effect: true,
            implemented: false,
            repeat_safe: RepeatSafe::Never,
            ..capability("app.launch", Risk::Medium)
        },
    ])
}

fn capability(intent: &'static str, risk: Risk) -> Capability {
    Capability {
        intent,
        display_name: intent,
        tool_name: intent,
        description: "For tests.",
        risk,
        asks: false,
        implemented: true,
        idempotent: false,
        repeat_safe: RepeatSafe::Always,
        reversible: false,
        has_effect: false,
        tags: &[],
        params_schema: json!({"type": "object"}),
        output_schema: json!({"type": "object"}),
        check: all_text,
        required: &[],
        optional: &[],
        secret_params: &[],
        secret_outputs: &[],
        timeout_max_ms: 30_000,
        tool_timeout_ms: 10_000,
        tier: Tier::Readonly,
        sandboxed: false,
    }
}

/// Every parameter of every capability here is a text.
fn all_text(params: &Value) -> Result<(), String> {
    let params = params.as_object().ok_or("parameters should be an object")?;
    match params.iter().find(|(_, value)| !value.is_string()) {
        Some((name, _)) => Err(format!("{name} should be a text")),
        None => Ok(()),
    }
}
