//! An action's outcome: what it brought on standard output, how it went beside it.

use serde_json::Value;

use crate::{
    client::Answer,
    escape,
    exit::Exit,
    out::{Out, Tone},
};

/// Prints the outcome of an action and answers the exit code.
pub(crate) fn print(out: Out, answer: &Answer) -> Exit {
    let body = &answer.body;
    let exit = crate::client::exit_of_action(body);
    if out.json {
        out.value(body);
        return exit;
    }
    let output = &body["execution"]["output"];
    if body["execution"].is_object() && !output.is_null() {
        content(out, output);
    }
    if let Some(undo) = body["undo"].as_object() {
        out.line(escape::text(undo.get("summary").and_then(Value::as_str).unwrap_or("")));
        if let Some(diff) = undo.get("diff").and_then(Value::as_str) {
            out.line(escape::text(diff.trim_end()));
        }
    }
    if out.terminal {
        summary(out, body, exit);
    }
    if exit != Exit::Done {
        why(out, body, exit);
    }
    exit
}

/// The main content: exact bytes for a pipe, escaped for a terminal.
fn content(out: Out, output: &Value) {
    let main = ["content", "stdout", "text"].iter().find_map(|field| output[field].as_str());
    match main {
        Some(text) if out.terminal => {
            let shown = escape::text(text);
            if !shown.is_empty() {
                out.line(shown.trim_end_matches('\n'));
            }
        }
        Some(text) => out.bytes(text.as_bytes()),
        None => structured(out, output),
    }
    if let Some(stderr) = output["stderr"].as_str().filter(|t| !t.is_empty()) {
        out.note(escape::text(stderr).trim_end_matches('\n'));
    }
}

fn structured(out: Out, output: &Value) {
    if let Some(windows) = output["windows"].as_array() {
        let rows: Vec<Vec<String>> =
            windows.iter().map(|w| vec![cell(&w["hwnd"]), cell(&w["title"])]).collect();
        return out.table(&["hwnd", "title"], &rows);
    }
    let Some(fields) = output.as_object() else { return out.line(escape::text(&output.to_string())) };
    let plain =
        fields.iter().filter(|(name, _)| !matches!(name.as_str(), "elapsed_ms" | "duration_ms" | "success"));
    let rows: Vec<Vec<String>> = plain.map(|(name, value)| vec![name.clone(), cell(value)]).collect();
    out.table(&[], &rows);
}

/// A JSON value as a cell of a table.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn summary(out: Out, body: &Value, exit: Exit) {
    let tone = if exit == Exit::Done { Tone::Good } else { Tone::Bad };
    let state = escape::line(body["state"].as_str().unwrap_or("?")).into_owned();
    let mut facts = vec![escape::line(body["action_id"].as_str().unwrap_or("")).into_owned()];
    let verification = &body["execution"]["verification"];
    if let Some(verdict) = verification["verdict"].as_str() {
        let evidence = verification["evidence"].as_str().unwrap_or("");
        facts.push(escape::line(&format!("{verdict} by {evidence}")).into_owned());
    }
    if let Some(retries) = body["execution"]["retries_used"].as_u64().filter(|n| *n > 0) {
        facts.push(format!("{retries} retries"));
    }
    if let Some(total) = body["telemetry"]["total_ms"].as_f64() {
        facts.push(format!("{total:.1} ms"));
    }
    facts.retain(|fact| !fact.is_empty());
    out.note(format!("{}  {}", out.tone(tone, &state), out.tone(Tone::Dim, &facts.join("  "))));
    for effect in body["execution"]["side_effects"].as_array().into_iter().flatten() {
        let shown = format!("{} {}", cell(&effect["kind"]), cell(&effect["target"]));
        out.note(format!("  {}", escape::line(&shown)));
    }
}

/// Why it isn't done, and what to do.
fn why(out: Out, body: &Value, exit: Exit) {
    let execution = &body["execution"];
    let code = body["error"]["code"].as_str().or_else(|| execution["error_code"].as_str());
    let message = body["error"]["message"].as_str().or_else(|| execution["error_message"].as_str());
    let shown = match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) if exit == Exit::Failed && body["state"] == "succeeded" => {
            format!("the program ended with {}", cell(&execution["output"]["return_code"]))
        }
        (None, None) => format!("the action is {}", cell(&body["state"])),
    };
    let is_said = out.terminal && code.is_none() && message.is_none() && body["state"] != "succeeded";
    if exit != Exit::WaitsForApproval && !is_said {
        out.note(format!("steadyhand: {}", escape::text(&shown)));
    }
    let id = body["action_id"].as_str().filter(|id| !id.is_empty()).unwrap_or("ID");
    let advice = match exit {
        Exit::OutcomeUnknown => {
            "nobody can say if it took effect: look, before you ask for it again".to_owned()
        }
        Exit::WaitsForApproval => {
            format!("{id} waits for approval: `steadyhand approve {id}` or `steadyhand deny {id}`")
        }
        Exit::Failed if code.is_some() => format!("see `steadyhand actions {id}`"),
        Exit::Invalid if code == Some("VALIDATION_FAILED") => {
            "see `steadyhand capabilities` for what can be asked".to_owned()
        }
        _ => return,
    };
    out.note(format!("  {}", escape::line(&advice)));
}
