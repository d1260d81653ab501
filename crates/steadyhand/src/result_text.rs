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
    // A refusal may carry the outcome of an earlier request; that is not what was asked for now.
    let is_its_own = matches!(exit, Exit::Done | Exit::Failed | Exit::OutcomeUnknown);
    if is_its_own && !output.is_null() {
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
    facts.push(timings(&body["telemetry"]));
    facts.retain(|fact| !fact.is_empty());
    out.note(format!("{}  {}", out.tone(tone, &state), out.tone(Tone::Dim, &facts.join("  "))));
    for effect in body["execution"]["side_effects"].as_array().into_iter().flatten() {
        let shown = format!("{} {}", cell(&effect["kind"]), cell(&effect["target"]));
        out.note(format!("  {}", escape::line(&shown)));
    }
}

/// The whole time, and where it went.
fn timings(telemetry: &Value) -> String {
    let Some(total) = telemetry["total_ms"].as_f64() else { return String::new() };
    let steps = [
        ("approval", "approval_wait_ms"),
        ("plan", "plan_ms"),
        ("validate", "validate_ms"),
        ("execute", "execute_ms"),
        ("verify", "verify_ms"),
    ];
    let spent = steps
        .iter()
        .filter_map(|(name, field)| Some((name, telemetry[*field].as_f64().filter(|ms| *ms >= 0.05)?)))
        .map(|(name, ms)| format!("{name} {ms:.1}"));
    let spent = spent.collect::<Vec<_>>().join(", ");
    if spent.is_empty() { format!("{total:.1} ms") } else { format!("{total:.1} ms ({spent})") }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn timings_name_the_steps_that_took_time() {
        let telemetry = json!({"plan_ms": 0.01, "validate_ms": 0.09, "approval_wait_ms": 1493.64, "execute_ms": 2.98,
            "verify_ms": 0.0, "total_ms": 1497.3});
        assert_eq!(timings(&telemetry), "1497.3 ms (approval 1493.6, validate 0.1, execute 3.0)");
        assert_eq!(timings(&json!({"total_ms": 0.2})), "0.2 ms");
        assert_eq!(timings(&json!(null)), "");
    }
}
