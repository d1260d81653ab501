//! `health`: how the services are.

use serde_json::{Value, json};

use super::Session;
use crate::{client::Call, escape, exit::Exit, fault::Fault, out::Tone, result_text::cell};

/// Runs the command. Any overall state but `healthy` is a failure.
pub(crate) async fn run(session: &Session) -> Result<Exit, Fault> {
    let client = session.client()?;
    let answer = client.send(Call::get("/v1/health/summary")).await?;
    // A gateway without a health supervisor still says that it lives.
    let answer = if answer.status == 404 {
        let alive = client.ask(Call::get("/healthz")).await?;
        json!({"ok": alive["ok"], "overall_state": if alive["ok"] == true { "healthy" } else { "failed" }})
    } else {
        client.taken(answer)?
    };
    let out = session.out;
    let overall = answer["overall_state"].as_str().unwrap_or("unknown");
    let exit = if overall == "healthy" { Exit::Done } else { Exit::Failed };
    if out.json {
        out.value(&answer);
        return Ok(exit);
    }
    let tone = if exit == Exit::Done { Tone::Good } else { Tone::Bad };
    out.line(format!("{} at {}", out.tone(tone, &escape::line(overall)), client.base()));
    if let Some(services) = answer["dependencies"].as_object() {
        let rows: Vec<Vec<String>> = services.iter().map(row).collect();
        out.line("");
        out.table(&["service", "port", "state", "failures", "ms", "last error"], &rows);
    }
    Ok(exit)
}

fn row((name, service): (&String, &Value)) -> Vec<String> {
    let state = if service["configured"] == false { "not here".to_owned() } else { cell(&service["state"]) };
    let latency = service["last_latency_ms"].as_f64().map(|ms| format!("{ms:.1}")).unwrap_or_default();
    vec![
        name.clone(),
        cell(&service["port"]),
        state,
        cell(&service["consecutive_failures"]),
        latency,
        cell(&service["last_error"]),
    ]
}
