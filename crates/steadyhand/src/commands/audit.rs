//! `audit`: one action's timeline, and whether the whole journal holds together.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use steadyhand_core::{store::AuditReport, time::Clock as _};
use steadyhand_store::Auditor;

use super::Session;
use crate::{
    args::AuditCommand,
    client::{Call, encode},
    config, escape,
    exit::Exit,
    fault::Fault,
    folders::journal_fault,
    out::{Out, Tone},
    result_text::cell,
    system::SystemClock,
};

/// Services that keep a journal of their own, below the data folder, when they run alone.
const ALONE: [&str; 2] = ["executor", "supervisor"];

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

/// Checks the journals of a data folder: the stack's, and those of services that ran alone.
fn verify(session: &Session) -> Result<Exit, Fault> {
    let places = config::places(&session.common.given(None), &session.around)?;
    let folders: Vec<PathBuf> = ALONE
        .iter()
        .map(|name| places.data_dir.join(name))
        .chain([places.data_dir.clone()])
        .filter(|folder| folder.join("journal.db").exists())
        .collect();
    if folders.is_empty() {
        let message = format!("there is no journal in {}", places.data_dir.display());
        return Err(Fault::new(Exit::Configuration, message).advise("name its folder with --data-dir"));
    }
    let mut exit = Exit::Done;
    let mut shown = Vec::new();
    for folder in folders {
        let auditor = Auditor::open(&folder).map_err(|error| journal_fault(&folder, &error))?;
        let report = auditor.verify(SystemClock.now()).map_err(|error| {
            Fault::new(Exit::Integrity, format!("the journal in {} can't be read: {error}", folder.display()))
        })?;
        if !report.ok {
            exit = Exit::Integrity;
        }
        if session.out.json {
            shown.push(as_json(&folder, &report));
        } else {
            print(session.out, &folder, &report);
        }
    }
    if session.out.json {
        session.out.value(&json!({"ok": exit == Exit::Done, "journals": shown}));
    }
    Ok(exit)
}

fn as_json(folder: &Path, report: &AuditReport) -> Value {
    json!({
        "folder": folder, "ok": report.ok, "records": report.records,
        "first": report.span.map(|s| s.0), "last": report.span.map(|s| s.1), "heads": report.heads,
        "trusted_head": report.trusted_head.as_ref().map(|(seq, key)| json!({"seq": seq, "key": key})),
        "problems": report.problems,
    })
}

fn print(out: Out, folder: &Path, report: &AuditReport) {
    let (tone, verdict) =
        if report.ok { (Tone::Good, "holds together") } else { (Tone::Bad, "does NOT hold together") };
    out.line(format!("{}  {}", out.tone(tone, verdict), folder.display()));
    let span = report.span.map_or_else(String::new, |(first, last)| format!(" ({first} to {last})"));
    out.line(format!("  {} records{span}, {} signed heads checked", report.records, report.heads));
    match &report.trusted_head {
        Some((seq, key)) => {
            out.line(format!("  trusted up to record {seq}, signed by key {}", escape::short(key, 20)));
        }
        None => out.line("  no signed head yet: removal at the end can't be told from a short journal"),
    }
    for problem in &report.problems {
        out.line(format!("  - {}", escape::line(problem)));
    }
}

#[cfg(test)]
mod tests {
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
