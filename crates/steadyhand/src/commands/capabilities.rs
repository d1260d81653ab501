//! `capabilities`: what can be done on this machine.

use serde_json::Value;
use steadyhand_core::capability::nearest;

use super::Session;
use crate::{
    args::CapabilitiesArgs, client::Call, escape, exit::Exit, fault::Fault, out::Out, result_text::cell,
};

/// Runs the command.
pub(crate) async fn run(session: &Session, args: &CapabilitiesArgs) -> Result<Exit, Fault> {
    let answer = session.client()?.ask(Call::get("/v1/capabilities?all=true")).await?;
    let all = answer["capabilities"].as_array().map(Vec::as_slice).unwrap_or_default();
    let out = session.out;
    let Some(intent) = &args.intent else {
        if out.json {
            out.value(&answer);
        } else {
            out.table(
                &["intent", "risk", "asks", "works", "parameters"],
                &all.iter().map(row).collect::<Vec<_>>(),
            );
        }
        return Ok(Exit::Done);
    };
    let known = all.iter().filter_map(|c| c["intent"].as_str());
    let Some(one) = all.iter().find(|c| c["intent"] == intent.as_str()) else {
        let fault = Fault::new(Exit::Invalid, format!("there is no capability `{intent}`"));
        return Err(match nearest(intent, known) {
            Some(near) => fault.advise(format!("did you mean `{near}`?")),
            None => fault.advise("`steadyhand capabilities` lists them all"),
        });
    };
    if out.json {
        out.value(one);
    } else {
        details(out, one);
    }
    Ok(Exit::Done)
}

fn row(capability: &Value) -> Vec<String> {
    let names = |field: &str| capability[field].as_array().cloned().unwrap_or_default();
    let required = names("required_params").iter().map(cell).collect::<Vec<_>>();
    let optional = names("optional_params").iter().map(|p| format!("[{}]", cell(p))).collect::<Vec<_>>();
    let works = match capability["available"].as_bool() {
        Some(false) => format!("no: {}", cell(&capability["unavailable_reason"])),
        _ => "yes".to_owned(),
    };
    vec![
        cell(&capability["intent"]),
        cell(&capability["risk_level"]),
        if capability["requires_confirmation"] == true { "yes" } else { "no" }.to_owned(),
        works,
        [required, optional].concat().join(" "),
    ]
}

fn details(out: Out, capability: &Value) {
    out.line(format!(
        "{}: {}\n",
        escape::line(&cell(&capability["intent"])),
        escape::line(&cell(&capability["description"]))
    ));
    let facts = [
        "risk_level",
        "requires_confirmation",
        "repeat_safe",
        "reversible",
        "sandbox",
        "timeout_max_ms",
        "available",
        "unavailable_reason",
    ];
    let facts: Vec<Vec<String>> = facts
        .iter()
        .filter(|name| !capability[**name].is_null())
        .map(|name| vec![(*name).to_owned(), cell(&capability[*name])])
        .collect();
    out.table(&[], &facts);
    let required = capability["required_params"].as_array().cloned().unwrap_or_default();
    let properties = capability["params_schema"]["properties"].as_object().cloned().unwrap_or_default();
    if properties.is_empty() {
        return out.line("\nNo parameters.");
    }
    out.line("");
    let rows: Vec<Vec<String>> = properties
        .iter()
        .map(|(name, schema)| {
            let needed = if required.iter().any(|r| r == name.as_str()) { "yes" } else { "no" };
            // Documentation is wrapped where it is written; here the table wraps it.
            let what = cell(&schema["description"]).split_whitespace().collect::<Vec<_>>().join(" ");
            vec![name.clone(), kind(schema), needed.to_owned(), what]
        })
        .collect();
    out.table(&["parameter", "type", "needed", "what"], &rows);
}

/// A schema's type in a word.
fn kind(schema: &Value) -> String {
    match &schema["type"] {
        Value::Array(types) => {
            let types = types.iter().filter_map(Value::as_str).filter(|t| *t != "null");
            types.collect::<Vec<_>>().join(" or ")
        }
        other => cell(other),
    }
}
