//! One JSON line per call, on standard output.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use steadyhand_core::{id::CorrelationId, time::Clock};
use steadyhand_pipeline::Answer;

use super::sink::Sink;
use crate::wire::time;

/// Writes one line per call.
#[derive(Clone)]
pub struct CallLog {
    service: &'static str,
    sink: Sink,
    clock: Arc<dyn Clock>,
}

#[derive(Serialize)]
struct ActionLine<'a> {
    level: &'a str,
    service: &'a str,
    timestamp: String,
    operation: &'a str,
    action_id: &'a str,
    intent: &'a str,
    ok: bool,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    duration_ms: f64,
    correlation_id: &'a str,
}

impl CallLog {
    /// Writes for `service` into `sink`.
    #[must_use]
    pub fn new(service: &'static str, sink: Sink, clock: Arc<dyn Clock>) -> Self {
        Self { service, sink, clock }
    }

    /// The service started or stopped.
    pub fn event(&self, event: &str, detail: &serde_json::Value) {
        let timestamp = time::zulu(self.clock.now());
        let line = json!({
            "level": "info", "service": self.service, "timestamp": timestamp, "event": event, "detail": detail,
        });
        self.sink.line(line.to_string().into_bytes());
    }

    /// Waits for the lines so far; for the end of a service only.
    pub fn flush(&self) {
        self.sink.flush();
    }

    /// An action was planned, approved, denied, cancelled or undone.
    pub fn action(&self, operation: &'static str, answer: &Answer, correlation: &CorrelationId) {
        let record = answer.record.as_deref();
        let line = ActionLine {
            level: if answer.ok { "info" } else { "warn" },
            service: self.service,
            timestamp: time::zulu(self.clock.now()),
            operation,
            action_id: record.map_or("", |r| r.action_id.as_str()),
            intent: record.map_or("", |r| r.intent.as_str()),
            ok: answer.ok,
            state: record.map_or("", |r| r.state.as_str()),
            error: answer.error.as_ref().map(|e| e.code.as_str()),
            duration_ms: record.map_or(0.0, |r| r.telemetry.total_ms),
            correlation_id: record.map_or(correlation.as_str(), |r| r.correlation_id.as_str()),
        };
        self.sink.line(serde_json::to_vec(&line).unwrap_or_default());
    }
}
