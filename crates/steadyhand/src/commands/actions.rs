//! `actions`: what was asked for, and how far it is.

use std::time::Duration;

use serde_json::Value;
use steadyhand_core::time::Clock as _;

use super::{Session, audit};
use crate::{
    args::ActionsArgs,
    client::{Call, encode},
    escape,
    exit::Exit,
    fault::Fault,
    out::{Out, Tone},
    result_text::cell,
    system::SystemClock,
};

/// Characters of an action's parameters in a list.
const PARAMS_CHARS_MAX: usize = 60;

/// Runs the command.
pub(crate) async fn run(session: &Session, args: &ActionsArgs) -> Result<Exit, Fault> {
    match &args.id {
        Some(id) => one(session, id, args.exact).await,
        None => list(session, args).await,
    }
}

async fn list(session: &Session, args: &ActionsArgs) -> Result<Exit, Fault> {
    let mut path = format!("/v1/actions?limit={}", args.limit);
    let since = args.since.as_deref().map(instant).transpose()?;
    let until = args.until.as_deref().map(instant).transpose()?;
    let filters = [
        ("state", &args.state),
        ("intent", &args.intent),
        ("session_id", &args.session),
        ("failure_class", &args.failure_class),
        ("since", &since),
        ("until", &until),
    ];
    for (name, value) in filters {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encode(value)));
        }
    }
    let answer = session.client()?.ask(Call::get(&path)).await?;
    let out = session.out;
    if out.json {
        out.value(&answer);
        return Ok(Exit::Done);
    }
    let actions = answer["actions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if actions.is_empty() {
        out.note("no action matches");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = actions.iter().map(row).collect();
    out.table(&["action", "state", "intent", "params", "asked", "ms"], &rows);
    if let Some(total) = answer["total"].as_u64().filter(|total| *total > actions.len() as u64) {
        out.note(out.tone(Tone::Dim, &format!("{} of {total}; more with --limit", actions.len())));
    }
    Ok(Exit::Done)
}

fn row(action: &Value) -> Vec<String> {
    let total = action["telemetry"]["total_ms"].as_f64().filter(|ms| *ms > 0.0);
    vec![
        cell(&action["action_id"]),
        cell(&action["state"]),
        cell(&action["intent"]),
        escape::short(&in_words(&action["params"]), PARAMS_CHARS_MAX),
        cell(&action["created_at"]).chars().take("2026-01-02T03:04:05".len()).collect(),
        total.map(|ms| format!("{ms:.1}")).unwrap_or_default(),
    ]
}

/// Parameters as the command line would write them.
fn in_words(params: &Value) -> String {
    let pairs = params.as_object().into_iter().flatten();
    pairs.map(|(name, value)| format!("{name}={}", cell(value))).collect::<Vec<_>>().join(" ")
}

async fn one(session: &Session, id: &str, exact: bool) -> Result<Exit, Fault> {
    let client = session.client()?;
    let query = if exact { "?exact=true" } else { "" };
    let answer = client.ask(Call::get(&format!("/v1/actions/{}{query}", encode(id)))).await?;
    let out = session.out;
    if out.json {
        out.value(&answer);
        return Ok(Exit::Done);
    }
    let action = &answer["action"];
    details(out, action);
    if let Ok(trail) = client.ask(Call::get(&format!("/v1/audit-trails/{}", encode(id)))).await {
        out.line("");
        audit::timeline(out, &trail["trail"]);
    }
    Ok(Exit::Done)
}

fn details(out: Out, action: &Value) {
    const FIRST: [&str; 7] =
        ["action_id", "state", "intent", "risk_level", "session_id", "idempotency_key", "correlation_id"];
    let mut rows: Vec<Vec<String>> = FIRST
        .iter()
        .chain(&["rule", "caller", "decided_by", "created_at", "completed_at", "retry_count", "timeout_ms"])
        .filter(|name| !action[**name].is_null())
        .map(|name| vec![(*name).to_owned(), cell(&action[*name])])
        .collect();
    for (name, value) in action["params"].as_object().into_iter().flatten() {
        rows.push(vec![format!("params.{name}"), cell(value)]);
    }
    let failed =
        action["validation"]["checks"].as_array().into_iter().flatten().filter(|c| c["pass"] == false);
    for check in failed {
        rows.push(vec![format!("check {}", cell(&check["check"])), cell(&check["detail"])]);
    }
    let execution = &action["execution"];
    for name in ["error_code", "error_message", "failure_class", "output"] {
        if !execution[name].is_null() {
            rows.push(vec![name.to_owned(), cell(&execution[name])]);
        }
    }
    if let Some(verdict) = execution["verification"]["verdict"].as_str() {
        let detail = cell(&execution["verification"]["detail"]);
        rows.push(vec!["verified".to_owned(), format!("{verdict}: {detail}")]);
    }
    for effect in execution["side_effects"].as_array().into_iter().flatten() {
        rows.push(vec![cell(&effect["kind"]), cell(&effect["target"])]);
    }
    if action["error"].is_object() {
        let shown = format!("{}: {}", cell(&action["error"]["code"]), cell(&action["error"]["message"]));
        rows.push(vec!["error".to_owned(), shown]);
    }
    out.table(&[], &rows);
}

/// An instant as the gateway takes it: RFC 3339, from that or from how long ago it was.
fn instant(text: &str) -> Result<String, Fault> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.to_string());
    }
    let ago = ago(text).ok_or_else(|| {
        let message = format!("`{}` is no time", escape::short(text, 40));
        Fault::new(Exit::Usage, message)
            .advise("write 2026-01-02T03:04:05Z, or how long ago: 90s, 30m, 2h, 7d")
    })?;
    let at = SystemClock.now().minus(ago);
    Ok(jiff::Timestamp::from_microsecond(at.0).unwrap_or_default().to_string())
}

/// `90s`, `30m`, `2h`, `7d`; at most a century.
fn ago(text: &str) -> Option<Duration> {
    const CENTURY: u64 = 100 * 366 * 24 * 60 * 60;
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let number: u64 =
        if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok()? } else { return None };
    number.checked_mul(seconds).filter(|s| *s <= CENTURY).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_absolute_or_ago() {
        assert_eq!(instant("2026-01-02T03:04:05Z").unwrap(), "2026-01-02T03:04:05Z");
        assert_eq!(instant("2026-01-02T05:04:05+02:00").unwrap(), "2026-01-02T03:04:05Z");
        for (text, seconds) in
            [("90s", Some(90)), ("30m", Some(1_800)), ("2h", Some(7_200)), ("7d", Some(604_800))]
        {
            assert_eq!(ago(text), seconds.map(Duration::from_secs), "{text}");
        }
        for text in
            ["", "h", "1", "1w", "-1h", "+1h", "1.5h", "ü", "5ü", "99999999999999999999d", "999999999d"]
        {
            assert_eq!(instant(text).unwrap_err().exit, Exit::Usage, "{text}");
        }
    }

    #[test]
    fn rows_stand_any_answer() {
        let shown = row(&json!({"action_id": "act_1", "state": "failed", "intent": "file.read",
            "params": {"path": "a\nb"}, "created_at": "2026-01-02T03:04:05.123456", "telemetry": {"total_ms": 1.25}}));
        assert_eq!(shown, ["act_1", "failed", "file.read", "path=a\\nb", "2026-01-02T03:04:05", "1.2"]);
        assert_eq!(row(&json!(null)).len(), 6);
    }
}
