//! `health`: how the services are.

use serde_json::Value;

use super::Session;
use crate::{client::Call, escape, exit::Exit, fault::Fault, out::Tone, result_text::cell};

/// Runs the command. Any overall state but `healthy` is a failure.
pub(crate) async fn run(session: &Session) -> Result<Exit, Fault> {
    let client = session.client()?;
    let answer = client.ask(Call::get("/v1/health/summary")).await?;
    let out = session.out;
    let overall = answer["overall_state"].as_str().unwrap_or("unknown");
    let exit = if overall == "healthy" { Exit::Done } else { Exit::Failed };
    if out.json {
        out.value(&answer);
        return Ok(exit);
    }
    let tone = if exit == Exit::Done { Tone::Good } else { Tone::Bad };
    out.line(format!("{} at {}\n", out.tone(tone, &escape::line(overall)), client.base()));
    let rows: Vec<Vec<String>> = answer["dependencies"].as_object().into_iter().flatten().map(row).collect();
    out.table(&["service", "port", "state", "failures", "ms", "last error"], &rows);
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
