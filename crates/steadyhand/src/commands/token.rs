//! `token`: who may speak to the gateway.

use std::sync::Arc;

use serde_json::{Value, json};
use steadyhand_core::caller::Scope;
use steadyhand_gateway::auth::tokens::{Token, TokenError, TokenStore, word};

use super::Session;
use crate::{
    args::{ScopeWord, TokenCommand},
    config,
    exit::Exit,
    fault::Fault,
    system::SystemEntropy,
};

/// Runs the command. It works on the data folder, whether or not a gateway runs.
pub(crate) fn run(session: &Session, command: &TokenCommand) -> Result<Exit, Fault> {
    let places = config::places(&session.common.given(None), &session.around)?;
    let store = TokenStore::open(places.tokens(), Arc::new(SystemEntropy)).map_err(fault)?;
    match command {
        TokenCommand::Show { name } => shown(session, &store.show(name).map_err(fault)?),
        TokenCommand::List => list(session, &store)?,
        TokenCommand::New { name, scopes } => {
            let scopes: Vec<Scope> = scopes.iter().copied().map(scope).collect();
            shown(session, &store.create(name, &scopes).map_err(fault)?);
        }
        TokenCommand::Rotate { name } => {
            shown(session, &store.rotate(name).map_err(fault)?);
            session.out.note("the old token stops within a second");
        }
        TokenCommand::Remove { name } => {
            store.remove(name).map_err(fault)?;
            session.out.note(format!("{name} is removed and stops within a second"));
        }
    }
    Ok(Exit::Done)
}

fn scope(word: ScopeWord) -> Scope {
    match word {
        ScopeWord::Read => Scope::Read,
        ScopeWord::Act => Scope::Act,
        ScopeWord::Approve => Scope::Approve,
        ScopeWord::Admin => Scope::Admin,
    }
}

fn fault(error: TokenError) -> Fault {
    let exit = match &error {
        TokenError::Name(_) | TokenError::Scopes(_) => Exit::Usage,
        TokenError::Unknown(_) | TokenError::Exists(_) | TokenError::Full => Exit::Invalid,
        TokenError::Exposed { .. }
        | TokenError::NotOurs(_)
        | TokenError::Malformed { .. }
        | TokenError::Io { .. } => Exit::Configuration,
    };
    let advice = match &error {
        TokenError::Unknown(_) => {
            Some("`steadyhand token list` shows them; the first `steadyhand up` makes three")
        }
        _ => None,
    };
    Fault { exit, message: error.to_string(), advice: advice.map(str::to_owned) }
}

fn shown(session: &Session, token: &Token) {
    if session.out.json {
        let mut body = described(token);
        body["token"] = token.secret.expose().into();
        session.out.value(&body);
    } else {
        session.out.line(token.secret.expose());
    }
}

fn described(token: &Token) -> Value {
    let scopes: Vec<&str> = token.scopes.iter().copied().map(word).collect();
    json!({"name": token.name, "scopes": scopes, "created_at": token.created_at})
}

fn list(session: &Session, store: &TokenStore) -> Result<(), Fault> {
    let all = store.list().map_err(fault)?;
    if session.out.json {
        let tokens: Vec<Value> = all
            .iter()
            .map(|token| token.as_ref().map_or_else(|error| json!({"error": error.to_string()}), described))
            .collect();
        session.out.value(&json!({ "tokens": tokens }));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .filter_map(|token| token.as_ref().ok())
        .map(|token| {
            let scopes: Vec<&str> = token.scopes.iter().copied().map(word).collect();
            vec![token.name.clone(), scopes.join(" "), token.created_at.clone()]
        })
        .collect();
    session.out.table(&["token", "scopes", "made"], &rows);
    for error in all.iter().filter_map(|token| token.as_ref().err()) {
        session.out.note(format!("steadyhand: {}", crate::escape::line(&error.to_string())));
    }
    Ok(())
}
