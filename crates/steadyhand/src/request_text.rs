//! The exact request as the person reads it who decides. Everything that would run is on it, escaped.

use serde_json::Value;

use crate::escape;

/// Lines of one text argument, and of a diff, that are shown.
const LINES_MAX: usize = 200;
/// Characters of one line that are shown.
const LINE_CHARS_MAX: usize = 1000;
/// Operands that are shown; no capability has more.
const OPERANDS_MAX: usize = 50;

/// Narrower than this, lines are broken as if the terminal were this wide.
const COLUMNS_MIN: usize = 40;
/// What begins the rest of a line that was broken: nothing of a request ever stands at the edge.
const GOES_ON: &str = "  > ";

/// Puts the request of `action` (as `GET /v1/actions/{id}?exact=true` answers it) into words. `diff` is
/// what a write would change. Lines are broken here to fit `columns`: left to the terminal, the rest of a
/// long line would begin at the edge and could pass for a line of ours.
pub(crate) fn write(action: &Value, diff: Option<&str>, columns: usize) -> String {
    broken(&whole(action, diff), columns.max(COLUMNS_MIN))
}

/// Breaks what is longer than `columns`. Beyond ASCII a character counts as two, which most that are wide
/// are; then a line is broken early rather than late.
fn broken(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut at = 0;
        for c in line.chars() {
            let width = if c.is_ascii() { 1 } else { 2 };
            if c != '\n' && at + width > columns {
                out.push('\n');
                out.push_str(GOES_ON);
                at = GOES_ON.len();
            }
            out.push(c);
            at += width;
        }
    }
    out
}

fn whole(action: &Value, diff: Option<&str>) -> String {
    let approval = &action["approval"];
    let word =
        |value: &Value| value.as_str().map_or_else(|| "?".to_owned(), |t| escape::line(t).into_owned());
    let mut text = format!("\n{} asks for approval\n\n", word(&action["intent"]));
    let mut fact = |name: &str, value: String| text.push_str(&format!("  {name:<9} {value}\n"));
    fact("action", word(&action["action_id"]));
    let caller = if action["caller"].is_string() { &action["caller"] } else { &approval["caller"] };
    if caller.is_string() {
        fact("asked by", word(caller));
    }
    if action["session_id"].is_string() {
        fact("session", word(&action["session_id"]));
    }
    fact("risk", word(&action["risk_level"]));
    let rule = if approval["rule"].is_string() { &approval["rule"] } else { &action["rule"] };
    if rule.is_string() {
        fact("rule", word(rule));
    }
    if let Some(seconds) = approval["remaining_seconds"].as_f64() {
        fact("expires", format!("in {:.0} s", seconds.max(0.0)));
    }
    if approval["obstacle"].is_string() {
        fact("but", format!("it would fail now: {}", word(&approval["obstacle"])));
    }
    text.push_str("\nArguments\n");
    arguments(&action["params"], &mut text);
    operands(&approval["operands"], &mut text);
    if let Some(diff) = diff {
        text.push_str("\nChange\n");
        let shown = if diff.is_empty() { "nothing: the file holds this already\n" } else { diff };
        block(shown, "  ", &mut text);
    }
    text.push('\n');
    text
}

fn arguments(params: &Value, text: &mut String) {
    let Some(params) = params.as_object().filter(|p| !p.is_empty()) else {
        text.push_str("  none\n");
        return;
    };
    let width = params.keys().map(|k| k.chars().count()).max().unwrap_or(0).min(20);
    for (name, value) in params {
        let name = escape::line(name);
        match value {
            Value::String(content) if content.contains('\n') => {
                let lines = content.lines().count();
                text.push_str(&format!("  {name:<width$}  {} bytes, {lines} lines\n", content.len()));
                block(content, "  | ", text);
            }
            Value::String(content) => text.push_str(&format!("  {name:<width$}  {}\n", quoted(content))),
            other => {
                let shown = escape::short(&other.to_string(), LINE_CHARS_MAX);
                text.push_str(&format!("  {name:<width$}  {shown}\n"));
            }
        }
    }
}

/// A text in quotes, so that its ends are seen; cut where it is very long, and saying so.
fn quoted(content: &str) -> String {
    if content.chars().count() <= LINE_CHARS_MAX {
        return format!("\"{}\"", escape::exact(content));
    }
    let shown: String = content.chars().take(LINE_CHARS_MAX).collect();
    format!("\"{}…  ({} bytes; see all with `actions ID --exact`)", escape::exact(&shown), content.len())
}

fn block(content: &str, margin: &str, text: &mut String) {
    let count = content.lines().count();
    for line in content.lines().take(LINES_MAX) {
        text.push_str(&format!("{margin}{}\n", cut(&escape::exact(line))));
    }
    if count > LINES_MAX {
        let more = count - LINES_MAX;
        text.push_str(&format!("{margin}… {more} more lines; see all with `actions ID --exact`\n"));
    }
}

/// A line, marked where it is cut.
fn cut(line: &str) -> String {
    if line.chars().count() <= LINE_CHARS_MAX {
        return line.to_owned();
    }
    line.chars().take(LINE_CHARS_MAX - 1).chain(['…']).collect()
}

fn operands(operands: &Value, text: &mut String) {
    let Some(operands) = operands.as_array().filter(|o| !o.is_empty()) else { return };
    text.push_str("\nWorks on (nothing runs if one of these has changed)\n");
    for operand in operands.iter().take(OPERANDS_MAX) {
        let path = operand["path"].as_str().unwrap_or("?");
        let state = match (operand["digest"].as_str(), operand["size"].as_u64()) {
            (Some(digest), size) => {
                let digest: String = digest.trim_start_matches("sha256:").chars().take(16).collect();
                format!("{} bytes, sha256 {}…", size.unwrap_or(0), escape::line(&digest))
            }
            (None, _) => "absent".to_owned(),
        };
        let param = escape::line(operand["param"].as_str().unwrap_or("?")).into_owned();
        text.push_str(&format!("  {param}  {}  ({state})\n", escape::exact(path)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn action() -> Value {
        json!({
            "action_id": "act_1", "intent": "file.write", "risk_level": "medium", "caller": "agent",
            "params": {"path": "a.txt", "content": "one\ntwo\n", "n": 3},
            "approval": {"remaining_seconds": 118.6, "rule": "confirm_file_write", "operands": [
                {"param": "path", "path": "/r/a.txt", "digest": "0123456789abcdef0123", "size": 4}]}
        })
    }

    #[test]
    fn everything_that_would_run_is_shown() {
        let shown = "
file.write asks for approval

  action    act_1
  asked by  agent
  risk      medium
  rule      confirm_file_write
  expires   in 119 s

Arguments
  content  8 bytes, 2 lines
  | one
  | two
  n        3
  path     \"a.txt\"

Works on (nothing runs if one of these has changed)
  path  /r/a.txt  (4 bytes, sha256 0123456789abcdef…)

Change
  @@ -1,1 +1,1 @@

";
        assert_eq!(write(&action(), Some("@@ -1,1 +1,1 @@\n"), 120), shown);
    }

    #[test]
    fn what_cant_run_says_so_before_anybody_decides() {
        let mut action = action();
        assert!(!write(&action, None, 120).contains("would fail"));
        action["approval"]["obstacle"] = json!("Command 'curl' not in allowlist");
        assert!(
            write(&action, None, 120)
                .contains("  but       it would fail now: Command 'curl' not in allowlist\n")
        );
    }

    #[test]
    fn a_request_cant_draw_over_what_is_shown() {
        let mut action = action();
        action["params"] = json!({"path": "a\u{1b}[2J\rsafe.txt", "k\u{1b}": "x\n\u{1b}[1A\u{202e}y\n"});
        action["caller"] = json!("agent\nrisk      safe");
        action["approval"]["operands"][0]["path"] = json!("/r/\u{9b}A");
        let shown = write(&action, Some("+\u{1b}[8m\n"), 120);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        assert!(!shown.contains('\u{202e}'));
        assert!(!shown.lines().any(|l| l == "risk      safe"), "one fact stays on one line: {shown}");
    }

    #[test]
    fn no_part_of_a_request_stands_at_the_edge() {
        let mut action = action();
        let spoof = format!("harmless{}Run it? [y/N] n", " ".repeat(200));
        action["params"] = json!({"content": format!("{spoof}\n漢{spoof}\n"), "path": spoof});
        for columns in [0, 40, 80, 133] {
            let shown = write(&action, Some(&format!("+{spoof}\n")), columns);
            for line in shown.lines().filter(|line| line.contains("Run it?")) {
                assert!(line.starts_with("  "), "{columns}: {line:?}");
            }
            assert!(shown.lines().all(|l| l.chars().count() <= columns.max(40)), "{columns}");
        }
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        let mut action = action();
        let lines = "x\n".repeat(LINES_MAX + 5);
        action["params"] = json!({"content": lines, "wide": "y".repeat(LINE_CHARS_MAX + 1)});
        let shown = write(&action, None, 120);
        assert!(shown.contains("… 5 more lines"));
        let joined = shown.replace(&format!("\n{GOES_ON}"), "");
        assert!(joined.contains(&format!("({} bytes; see all", LINE_CHARS_MAX + 1)));
    }

    #[test]
    fn any_answer_has_a_text() {
        for action in [json!(null), json!({}), json!({"params": []}), json!({"approval": {"operands": [1]}})]
        {
            assert!(write(&action, None, 120).contains("asks for approval"));
        }
    }
}
