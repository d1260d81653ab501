//! `audit`: one action's timeline, and whether the whole journal holds together.

use serde_json::Value;

use super::Session;
use crate::{
    args::AuditCommand,
    client::{Call, encode},
    exit::Exit,
    fault::Fault,
    out::Out,
    result_text::cell,
};

/// Runs the command.
pub(crate) async fn run(session: &Session, command: &AuditCommand) -> Result<Exit, Fault> {
    match command {
        AuditCommand::Show(args) => show(session, &args.id).await,
        AuditCommand::Verify => verify(session),
    }
}

async fn show(session: &Session, id: &str) -> Result<Exit, Fault> {
    let answer = session.client()?.ask(Call::get(&format!("/v1/audit-trails/{}", encode(id)))).await?;
    if session.out.json {
        session.out.value(&answer);
    } else {
        timeline(session.out, &answer["trail"]);
    }
    Ok(Exit::Done)
}

/// Prints a trail (contract 1.14), oldest event first.
pub(crate) fn timeline(out: Out, trail: &Value) {
    let events = trail["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    out.table(&["time", "phase", "status", "ms", "facts"], &events.iter().map(row).collect::<Vec<_>>());
}

fn row(event: &Value) -> Vec<String> {
    const COLUMNS: [&str; 4] = ["timestamp", "phase", "status", "duration_ms"];
    let facts = event
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| !COLUMNS.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| format!("{name}={}", cell(value)));
    let facts = facts.collect::<Vec<_>>().join(" ");
    let ms = event["duration_ms"].as_f64().map(|ms| format!("{ms:.2}")).unwrap_or_default();
    vec![cell(&event["timestamp"]), cell(&event["phase"]), cell(&event["status"]), ms, facts]
}

fn verify(_session: &Session) -> Result<Exit, Fault> {
    Err(Fault::new(Exit::Failed, "`audit verify` is not wired in this build"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_are_all_that_has_no_column() {
        let event = json!({"timestamp": "2026-01-02T03:04:05Z", "phase": "execute", "status": "failed",
            "duration_ms": 6.671, "retries_used": 1, "error_code": "EXECUTION_FAILED", "detail": null});
        let shown = [
            "2026-01-02T03:04:05Z",
            "execute",
            "failed",
            "6.67",
            "error_code=EXECUTION_FAILED retries_used=1",
        ];
        assert_eq!(row(&event), shown);
        assert_eq!(row(&json!("?")), ["", "", "", "", ""]);
    }
}
