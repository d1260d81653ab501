//! `act`: ask for one action and wait for its outcome.

use serde_json::{Value, json};
use steadyhand_core::chance::random_id;

use super::{
    Session,
    decide::{self, Said},
};
use crate::{
    args::ActArgs,
    client::{Answer, Call, Client, LOOK, encode},
    escape,
    exit::Exit,
    fault::Fault,
    out::Person,
    params::{self, SystemReader},
    result_text,
    system::SystemEntropy,
};

/// Runs the command.
pub(crate) async fn run(session: &Session, args: &ActArgs) -> Result<Exit, Fault> {
    let pairs = params::pairs(&args.params)?;
    let client = session.client()?;
    let schema = if params::needs_schema(&pairs) { schema_of(&client, &args.intent).await? } else { None };
    let params = params::assemble(args.json_params.as_deref(), pairs, schema.as_ref(), &mut SystemReader)?;
    let request = request(args, &params.into());
    let correlation_id = random_id(&SystemEntropy, "req_", 6);
    let call = Call::post("/v1/actions/plan").body(&request).correlation_id(&correlation_id);
    let answer = or_cancel(&client, Which::Correlation(&correlation_id), client.ask(call)).await?;
    if answer["state"] != "pending_approval" || args.dry_run {
        return Ok(result_text::print(session.out, &good(answer)));
    }
    let id = answer["action_id"].as_str().unwrap_or_default().to_owned();
    let said = if args.yes {
        Said::Yes
    } else if session.out.json {
        Said::Nothing
    } else {
        match Person::find() {
            Some(person) => {
                match or_cancel(&client, Which::Id(&id), decide::ask(&client, &id, person)).await {
                    // Whoever speaks with this token may ask, and somebody else decides.
                    Err(fault) if fault.exit == Exit::NotAllowed => Said::Nothing,
                    said => said?,
                }
            }
            None => Said::Nothing,
        }
    };
    match said {
        Said::Yes => {
            let approval = or_cancel(&client, Which::Id(&id), decide::approve(&client, &id)).await?;
            Ok(result_text::print(session.out, &good(approval)))
        }
        Said::No => {
            let denial = decide::deny(&client, &id, None).await?;
            Ok(result_text::print(session.out, &good(denial)))
        }
        Said::Nothing => Ok(result_text::print(session.out, &good(answer))),
    }
}

fn good(body: Value) -> Answer {
    Answer { status: 200, body, retry_after: None }
}

fn request(args: &ActArgs, params: &Value) -> Value {
    let mut request = json!({
        "intent": args.intent,
        "params": params,
        "timeout_ms": args.timeout_ms,
        "dry_run": args.dry_run,
    });
    let optional = [
        ("deadline_ms", args.deadline_ms.map(Value::from)),
        ("max_retries", args.max_retries.map(Value::from)),
        ("idempotency_key", args.key.clone().map(Value::from)),
        ("session_id", args.session.clone().map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            request[name] = value;
        }
    }
    request
}

/// The schema of a capability's parameters, if the gateway knows the capability.
async fn schema_of(client: &Client, intent: &str) -> Result<Option<Value>, Fault> {
    let answer = client.ask(Call::get("/v1/capabilities?all=true")).await?;
    let known = answer["capabilities"].as_array().into_iter().flatten().find(|c| c["intent"] == intent);
    Ok(known.map(|c| c["params_schema"].clone()).filter(Value::is_object))
}

/// How an action is known to us.
#[derive(Debug, Clone, Copy)]
enum Which<'a> {
    /// Not yet answered: by what we sent with it.
    Correlation(&'a str),
    /// By its identifier.
    Id(&'a str),
}

/// Waits for `work`; Ctrl-C cancels the action.
async fn or_cancel<T>(
    client: &Client,
    which: Which<'_>,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        result = &mut work => result,
        _ = tokio::signal::ctrl_c() => {
            let said = cancel(client, which).await.unwrap_or_else(|fault| format!("not cancelled: {fault}"));
            Err(Fault::new(Exit::Interrupted, format!("interrupted; {said}")))
        }
    }
}

async fn cancel(client: &Client, which: Which<'_>) -> Result<String, Fault> {
    let id = match which {
        Which::Id(id) => id.to_owned(),
        Which::Correlation(correlation_id) => {
            let answer = client.ask(Call::get("/v1/actions?limit=100")).await?;
            let actions = answer["actions"].as_array();
            let ours = actions.into_iter().flatten().find(|a| a["correlation_id"] == correlation_id);
            match ours.and_then(|a| a["action_id"].as_str()) {
                Some(id) => id.to_owned(),
                None => return Ok("see `steadyhand actions` for how it ends".to_owned()),
            }
        }
    };
    let path = format!("/v1/actions/{}/cancel", encode(&id));
    let answer = client.ask(Call::post(&path).within(LOOK)).await?;
    let state = answer["state"].as_str().unwrap_or("?");
    Ok(escape::line(&format!("{id} is {state}")).into_owned())
}
