//! `policy`: whether a policy file can be used, and which rule decides for a request.

use serde_json::{Value, json};
use steadyhand_policy::{Policy, Query, Rule};

use super::Session;
use crate::{
    args::{ExplainArgs, PolicyCommand},
    config, escape,
    exit::Exit,
    fault::Fault,
    out::Tone,
    params::{self, SystemReader},
};

/// Runs the command.
pub(crate) fn run(session: &Session, command: &PolicyCommand) -> Result<Exit, Fault> {
    let config = config::load(&session.common.given(None), &session.around)?.config;
    match command {
        PolicyCommand::Check { file: None } => check(session, &config.policy()?),
        PolicyCommand::Check { file: Some(file) } => {
            let text = config::read_optional(file)?.ok_or_else(|| {
                Fault::new(Exit::Configuration, format!("there is no file {}", file.display()))
            })?;
            check(session, &config.policy_with(&text, file)?)
        }
        PolicyCommand::Explain(args) => explain(session, &config.policy()?, args),
    }
}

fn check(session: &Session, policy: &Policy) -> Result<Exit, Fault> {
    let out = session.out;
    let misfits = policy.misfits(&steadyhand_executors::capabilities::registry());
    if !misfits.is_empty() {
        let listed: Vec<String> = misfits.iter().map(ToString::to_string).collect();
        return Err(
            Fault::new(Exit::Configuration, listed.join("\n  ")).advise("these rules can never match")
        );
    }
    if out.json {
        out.value(&json!({"ok": true, "rules": policy.rule_count(), "version": policy.version()}));
        return Ok(Exit::Done);
    }
    out.line(format!("good: {} rules, version {}", policy.rule_count(), policy.version()));
    let rows: Vec<Vec<String>> = policy.rules().map(row).collect();
    out.table(&["rule", "decision", "capability", "caller", "from"], &rows);
    Ok(Exit::Done)
}

fn row(rule: &Rule) -> Vec<String> {
    let from = match rule.line() {
        Some(line) => format!("{}, line {line}", rule.origin()),
        None => rule.origin().to_string(),
    };
    vec![
        rule.name().to_owned(),
        rule.decision().to_string(),
        rule.capability().to_owned(),
        rule.caller().unwrap_or("").to_owned(),
        from,
    ]
}

fn explain(session: &Session, policy: &Policy, args: &ExplainArgs) -> Result<Exit, Fault> {
    let pairs = params::pairs(&args.params)?;
    let registry = steadyhand_executors::capabilities::registry();
    let schema = registry.get(&args.intent).map(|capability| &capability.params_schema);
    let params = params::assemble(None, pairs, schema, &mut SystemReader)?;
    let query = Query { intent: &args.intent, params: &params, caller: &args.caller };
    let ruling = policy.decide(&query);
    let steps = policy.explain(&query);
    let out = session.out;
    if schema.is_none() {
        out.note(format!(
            "there is no capability `{}`; rules are shown all the same",
            escape::line(&args.intent)
        ));
    }
    if out.json {
        let steps: Vec<Value> = steps
            .iter()
            .map(|step| json!({"rule": step.rule.name(), "why_not": step.mismatch.map(|m| m.to_string())}))
            .collect();
        out.value(&json!({
            "decision": ruling.decision.as_str(), "rule": ruling.rule, "description": ruling.description,
            "origin": ruling.origin.as_str(), "line": ruling.line, "steps": steps,
        }));
        return Ok(Exit::Done);
    }
    let decided = steps.last().map(|step| row(step.rule)[4].clone()).unwrap_or_default();
    out.line(format!(
        "{}: rule {} ({decided})",
        out.tone(Tone::Strong, ruling.decision.as_str()),
        ruling.rule
    ));
    if !ruling.description.is_empty() {
        out.line(format!("  {}", escape::line(&ruling.description)));
    }
    out.line("");
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|step| {
            let why = step.mismatch.map_or_else(|| "matches".to_owned(), |m| m.to_string());
            vec![step.rule.name().to_owned(), step.rule.decision().to_string(), why]
        })
        .collect();
    out.table(&["rule", "decision", "why (not)"], &rows);
    Ok(Exit::Done)
}
