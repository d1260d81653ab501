//! `config`: what is in force, where it came from, and whether it holds together.

use serde_json::json;

use super::Session;
use crate::{
    args::{ConfigCommand, SettingArgs, ShowArgs},
    config::{self, keys::KEYS},
    exit::Exit,
    fault::Fault,
};

/// Runs the command.
pub(crate) fn run(session: &Session, command: &ConfigCommand) -> Result<Exit, Fault> {
    match command {
        ConfigCommand::Show(args) => show(session, args),
        ConfigCommand::Check(settings) => check(session, settings),
    }
}

fn show(session: &Session, args: &ShowArgs) -> Result<Exit, Fault> {
    let loaded = config::load(&session.common.given(Some(&args.settings)), &session.around)?;
    let (out, places) = (session.out, &loaded.config.places);
    if out.json {
        let settings: serde_json::Map<String, serde_json::Value> = KEYS
            .iter()
            .map(|key| {
                let (value, source) = &loaded.settings[key.name];
                let shown = json!({"value": value.to_json(), "from": source.to_string(), "default": key.default,
                    "unit": key.unit, "range": key.range(), "variable": key.variable(), "what": key.doc});
                (key.name.to_owned(), shown)
            })
            .collect();
        out.value(&json!({
            "config_file": places.config_file, "config_file_exists": loaded.file_exists,
            "policy_file": places.policy_file, "data_dir": places.data_dir, "settings": settings,
        }));
        return Ok(Exit::Done);
    }
    let absent = if loaded.file_exists { "" } else { "  (absent: defaults hold)" };
    out.line(format!("# configuration  {}{absent}", places.config_file.display()));
    out.line(format!("# policy         {}", places.policy_file.display()));
    out.line(format!("# data           {}\n", places.data_dir.display()));
    let rows: Vec<Vec<String>> = KEYS
        .iter()
        .map(|key| {
            let (value, source) = &loaded.settings[key.name];
            let mut row = vec![key.name.to_owned(), value.to_string(), source.to_string()];
            if args.explain {
                let unit = if key.unit.is_empty() { String::new() } else { format!(" {}", key.unit) };
                row.push(format!("{}{unit}", key.range()));
                row.push(key.doc.to_owned());
            }
            row
        })
        .collect();
    let head = ["setting", "value", "from", "range", "what"];
    out.table(&head[..if args.explain { 5 } else { 3 }], &rows);
    Ok(Exit::Done)
}

fn check(session: &Session, settings: &SettingArgs) -> Result<Exit, Fault> {
    let loaded = config::load(&session.common.given(Some(settings)), &session.around)?;
    let policy = loaded.config.policy()?;
    if session.out.json {
        session
            .out
            .value(&json!({"ok": true, "rules": policy.rule_count(), "policy_version": policy.version()}));
    } else {
        session.out.line(format!("configuration and policy hold together ({} rules)", policy.rule_count()));
    }
    Ok(Exit::Done)
}
