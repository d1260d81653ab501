//! `approve`, `deny`, `cancel`, `undo`: a person decides on an action that is there already.

use std::{io, path::Path};

use serde_json::{Value, json};
use steadyhand_core::digest::Digest;

use super::Session;
use crate::{
    args::{ApproveArgs, DenyArgs, UndoArgs},
    client::{Answer, Call, Client, encode},
    diff,
    exit::Exit,
    fault::Fault,
    out::Person,
    request_text, result_text,
};

/// Largest file that is compared with what would be written, in bytes.
const COMPARED_BYTES_MAX: u64 = 1 << 20;

/// What the person said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// Run it.
    Yes,
    /// Don't.
    No,
    /// Nobody was asked.
    Nothing,
}

/// Runs `approve`.
pub(crate) async fn approve_all(session: &Session, args: &ApproveArgs) -> Result<Exit, Fault> {
    let client = session.client()?;
    let mut exit = Exit::Done;
    for id in &args.ids {
        let said = match (args.yes, Person::find()) {
            (true, _) => Said::Yes,
            (false, Some(person)) => or_leave(ask(&client, id, person)).await?,
            (false, None) => {
                let message = "there is no terminal to ask on";
                return Err(Fault::new(Exit::WaitsForApproval, message).advise("approve with --yes"));
            }
        };
        exit = exit.and(match said {
            Said::Yes => print(session, approve(&client, id).await?),
            Said::No | Said::Nothing => {
                session.out.note(format!("{} still waits", crate::escape::line(id)));
                Exit::WaitsForApproval
            }
        });
    }
    Ok(exit)
}

/// Runs `deny`.
pub(crate) async fn deny_all(session: &Session, args: &DenyArgs) -> Result<Exit, Fault> {
    let client = session.client()?;
    let mut exit = Exit::Done;
    for id in &args.ids {
        let answer = deny(&client, id, args.reason.as_deref()).await?;
        exit = exit.and(settled(session, answer, "denied"));
    }
    Ok(exit)
}

/// Runs `cancel`.
pub(crate) async fn cancel(session: &Session, id: &str) -> Result<Exit, Fault> {
    let answer = post(&session.client()?, id, "cancel", None).await?;
    Ok(settled(session, answer, "cancelled"))
}

/// Runs `undo`.
pub(crate) async fn undo(session: &Session, args: &UndoArgs) -> Result<Exit, Fault> {
    let verb = if args.dry_run { "undo?dry_run=true" } else { "undo" };
    let answer = post(&session.client()?, &args.id, verb, None).await?;
    let done = answer["ok"] == true;
    // What is shown is what the undo did; the action's own output was shown when it ran.
    let mut shown = answer;
    if !session.out.json
        && let Some(body) = shown.as_object_mut()
    {
        body.remove("execution");
    }
    let exit = print(session, shown);
    Ok(if done { Exit::Done } else { exit })
}

/// Shows the exact request of `id` to the person and asks.
pub(crate) async fn ask(client: &Client, id: &str, mut person: Person) -> Result<Said, Fault> {
    let path = format!("/v1/actions/{}?exact=true", encode(id));
    let answer = client.ask(Call::get(&path)).await?;
    let action = answer["action"].clone();
    if action["state"] != "pending_approval" {
        let state = action["state"].as_str().unwrap_or("?");
        return Err(Fault::new(Exit::Invalid, format!("{id} doesn't wait for approval: it is {state}")));
    }
    let asked = tokio::task::spawn_blocking(move || -> io::Result<bool> {
        let change = change(&action);
        let columns = person.columns();
        person.show(&request_text::write(&action, change.as_deref(), columns))?;
        person.agrees("Run it? [y/N] ")
    });
    let agreed = asked.await.expect("asking doesn't panic").map_err(|error| {
        Fault::new(Exit::WaitsForApproval, format!("the terminal can't be asked: {error}"))
    })?;
    Ok(if agreed { Said::Yes } else { Said::No })
}

/// Approves and waits for the outcome.
pub(crate) async fn approve(client: &Client, id: &str) -> Result<Value, Fault> {
    post(client, id, "approve", None).await
}

/// Denies.
pub(crate) async fn deny(client: &Client, id: &str, reason: Option<&str>) -> Result<Value, Fault> {
    let body = reason.map(|reason| json!({ "reason": reason }));
    post(client, id, "deny", body.as_ref()).await
}

async fn post(client: &Client, id: &str, verb: &str, body: Option<&Value>) -> Result<Value, Fault> {
    let path = format!("/v1/actions/{}/{verb}", encode(id));
    let call = Call::post(&path);
    client.ask(body.map_or_else(|| call.clone(), |body| call.clone().body(body))).await
}

fn print(session: &Session, body: Value) -> Exit {
    result_text::print(session.out, &Answer { status: 200, body, retry_after: None })
}

/// Prints an end that was asked for: it counts as done.
fn settled(session: &Session, body: Value, state: &str) -> Exit {
    if body["error"]["code"] != "INVALID_STATE" && body["state"] == state {
        if session.out.json {
            session.out.value(&body);
        } else {
            let id = body["action_id"].as_str().unwrap_or("");
            session.out.line(format!("{} {state}", crate::escape::line(id)));
        }
        return Exit::Done;
    }
    print(session, body)
}

/// Waits for the answer; Ctrl-C leaves the action waiting.
async fn or_leave<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => Err(Fault::new(Exit::Interrupted, "interrupted; the action still waits")),
    }
}

/// What a write would change, where both sides are text of a size that people read.
fn change(action: &Value) -> Option<String> {
    if action["intent"] != "file.write" {
        return None;
    }
    let content = action["params"]["content"].as_str()?;
    let operand = action["approval"]["operands"].as_array()?.iter().find(|o| o["param"] == "path")?;
    let old = match operand["digest"].as_str() {
        None => String::new(),
        Some(digest) => read_text(Path::new(operand["path"].as_str()?))
            // Another file than the one that was sealed: a diff to it would show the wrong thing.
            .filter(|old| Digest::of(old.as_bytes()).as_str() == digest)?,
    };
    diff::unified(&old, content)
}

fn read_text(path: &Path) -> Option<String> {
    use std::io::Read as _;
    // The kind is looked at first: a pipe would wait for a writer.
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(COMPARED_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 > COMPARED_BYTES_MAX {
        return None;
    }
    String::from_utf8(bytes).ok()
}
