//! `doctor`: everything that a first start can trip over, looked at without changing anything.

use serde_json::{Value, json};

use super::Session;
use crate::{
    args::SettingArgs,
    config::{self, Config},
    exit::Exit,
    fault::Fault,
    out::Tone,
};

mod checks;

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// As it should be.
    Ok,
    /// It will work, but not fully.
    Warn,
    /// It won't work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    level: Level,
    subject: &'static str,
    fact: String,
    advice: Option<String>,
}

impl Finding {
    fn ok(subject: &'static str, fact: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject, fact: fact.into(), advice: None }
    }

    fn warn(subject: &'static str, fact: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warn, subject, fact: fact.into(), advice: Some(advice.into()) }
    }

    fn fail(subject: &'static str, fact: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Fail, subject, fact: fact.into(), advice: Some(advice.into()) }
    }

    fn of(subject: &'static str, fault: Fault) -> Self {
        Self { level: Level::Fail, subject, fact: fault.message, advice: fault.advice }
    }
}

/// Runs the command. One failure is exit code 8; warnings alone are none.
pub(crate) fn run(session: &Session, settings: &SettingArgs) -> Result<Exit, Fault> {
    let findings = match config::load(&session.common.given(Some(settings)), &session.around) {
        Ok(loaded) => {
            let absent = if loaded.file_exists { "" } else { " (absent: defaults hold)" };
            let fact = format!("{}{absent}", loaded.config.places.config_file.display());
            let mut findings = vec![Finding::ok("configuration", fact)];
            findings.extend(look(session, &loaded.config));
            findings
        }
        Err(fault) => vec![Finding::of("configuration", fault)],
    };
    print(session, &findings);
    let failed = findings.iter().any(|f| f.level == Level::Fail);
    Ok(if failed { Exit::Configuration } else { Exit::Done })
}

fn look(session: &Session, config: &Config) -> Vec<Finding> {
    let mut findings = vec![checks::policy(config), checks::data_folder(config)];
    findings.extend(config.roots.iter().map(|root| checks::root(root)));
    findings.push(checks::tokens(config));
    findings.push(checks::ports(config));
    findings.push(checks::sandbox());
    findings.push(checks::display(config, &session.around));
    findings.push(checks::disk(config));
    findings.push(checks::clock());
    findings
}

fn print(session: &Session, findings: &[Finding]) {
    let out = session.out;
    if out.json {
        let shown: Vec<Value> = findings
            .iter()
            .map(
                |f| json!({"level": word(f.level), "subject": f.subject, "fact": f.fact, "advice": f.advice}),
            )
            .collect();
        return out.value(&json!({ "findings": shown }));
    }
    for finding in findings {
        let tone = match finding.level {
            Level::Ok => Tone::Good,
            Level::Warn => Tone::Warn,
            Level::Fail => Tone::Bad,
        };
        let level = out.tone(tone, &format!("{:<4}", word(finding.level)));
        out.line(format!("{level}  {:<13}  {}", finding.subject, crate::escape::text(&finding.fact)));
        if let Some(advice) = &finding.advice {
            out.line(format!("      {:<13}  → {}", "", crate::escape::text(advice)));
        }
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warn => "warn",
        Level::Fail => "fail",
    }
}
