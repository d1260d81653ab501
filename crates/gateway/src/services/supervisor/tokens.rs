//! The supervisor's approval tokens (contract 6.3): each releases one call, the one it was made for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use steadyhand_core::{
    chance::Entropy,
    digest::Digest,
    event::{Entry, Event},
    id::TokenId,
    redact::mask_text,
    store::{Commit, Store, StoreError},
    time::{Clock, Timestamp},
};

use crate::wire::time;

/// The kind of document that a token is in the journal.
const KIND: &str = "approval_token";
/// Tokens that are remembered once they no longer wait.
const REMEMBERED_MAX: usize = 1000;
/// Characters of an argument that a summary shows.
const SUMMARY_VALUE_CHARS: usize = 60;

/// The bounds of tokens (contract 7, `action_safety`).
#[derive(Debug, Clone, Copy)]
pub struct TokenLimits {
    /// How long a token waits. Default 120 s.
    pub life: Duration,
    /// Tokens that may wait at once; the oldest makes room. Default 50.
    pub pending_max: usize,
}

impl Default for TokenLimits {
    fn default() -> Self {
        Self { life: Duration::from_secs(120), pending_max: 50 }
    }
}

/// What became of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// It waits.
    Pending,
    /// It released its call.
    Approved,
    /// A person said no.
    Denied,
    /// Nobody used it in time.
    Expired,
    /// Somebody tried to use it again.
    Replayed,
}

impl TokenState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Replayed => "replayed",
        }
    }
}

/// One token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Its identifier.
    pub token_id: TokenId,
    /// The tool it is for.
    pub action: String,
    /// What it is bound to: tool and arguments.
    pub args_hash: String,
    /// The call in a line, for people.
    pub summary: String,
    /// What became of it.
    pub state: TokenState,
    /// When it was made.
    pub created_at: Timestamp,
    /// The trace it belongs to.
    pub trace_id: String,
    /// How long it waits, in milliseconds.
    pub life_ms: u64,
}

impl Token {
    fn expires_at(&self) -> Timestamp {
        self.created_at.plus(Duration::from_millis(self.life_ms))
    }

    /// The token on the wire.
    #[must_use]
    pub fn shown(&self, now: Timestamp) -> Value {
        json!({
            "token_id": self.token_id,
            "action": self.action,
            "args_hash": self.args_hash,
            "summary": self.summary,
            "state": self.state,
            "created_utc": time::offset(self.created_at),
            "ttl_seconds": self.life_ms as f64 / 1_000.0,
            "remaining_seconds": self.remaining_seconds(now),
            "trace_id": self.trace_id,
        })
    }

    /// Seconds that are left, with one decimal.
    #[must_use]
    pub fn remaining_seconds(&self, now: Timestamp) -> f64 {
        (self.expires_at().since(now).as_millis() as f64 / 100.0).round() / 10.0
    }
}

/// Why a token doesn't release a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// No such token.
    #[error("Token not found")]
    NotFound,
    /// Its time is up.
    #[error("Token expired")]
    Expired,
    /// It is for another call, and goes on waiting for that one (D-13).
    #[error("Token is for another call")]
    OtherCall,
    /// It was used or denied.
    #[error("Token already used (was {0})")]
    Used(&'static str),
}

/// The digest that binds a token to its call: first 16 digits over the key-sorted JSON of both.
#[must_use]
pub fn args_hash(action: &str, args: &Map<String, Value>) -> String {
    Digest::of_json(&json!({"action": action, "args": args})).as_str()[..16].to_owned()
}

/// The call in a line: the tool, then what it works on.
#[must_use]
pub fn summary(action: &str, args: &Map<String, Value>) -> String {
    let mut line = action.to_owned();
    for key in ["command", "path", "url"] {
        if let Some(value) = args.get(key).and_then(Value::as_str) {
            let shown: String = mask_text(value).chars().take(SUMMARY_VALUE_CHARS).collect();
            line.push_str(&format!(" | {key}=\"{shown}\""));
        }
    }
    line
}

/// All tokens, by age; identifiers are found by a scan of at most a thousand.
pub struct Tokens {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    limits: TokenLimits,
    by_age: Mutex<BTreeMap<u64, Token>>,
}

impl Tokens {
    /// Reads the tokens back from the journal.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        limits: TokenLimits,
    ) -> Result<Self, StoreError> {
        let mut by_age = BTreeMap::new();
        for (id, body) in store.documents(KIND).await? {
            let token: Token = serde_json::from_value(body)
                .map_err(|e| StoreError::Corrupt(format!("approval token {id}: {e}")))?;
            by_age.insert(by_age.len() as u64, token);
        }
        Ok(Self { store, clock, entropy, limits, by_age: Mutex::new(by_age) })
    }

    /// Makes a token for a call. The oldest that waits expires when there are too many.
    ///
    /// # Errors
    /// When the journal can't be written; there is no token then.
    pub async fn mint(
        &self,
        action: &str,
        args: &Map<String, Value>,
        trace_id: &str,
    ) -> Result<Token, StoreError> {
        let token = Token {
            token_id: TokenId::mint(&*self.entropy),
            action: action.to_owned(),
            args_hash: args_hash(action, args),
            summary: summary(action, args),
            state: TokenState::Pending,
            created_at: self.clock.now(),
            trace_id: trace_id.to_owned(),
            life_ms: u64::try_from(self.limits.life.as_millis()).unwrap_or(u64::MAX),
        };
        let changed = {
            let mut by_age = self.lock();
            let mut changed = self.expire(&mut by_age);
            let waiting: Vec<u64> = pending_keys(&by_age);
            let surplus = (waiting.len() + 1).saturating_sub(self.limits.pending_max.max(1));
            for key in waiting.into_iter().take(surplus) {
                changed.extend(set(&mut by_age, key, TokenState::Expired));
            }
            let next = by_age.last_key_value().map_or(0, |(k, _)| k + 1);
            by_age.insert(next, token.clone());
            changed.push(token.clone());
            changed
        };
        self.write(changed).await?;
        Ok(token)
    }

    /// Uses a token for a call: once, in time, for the call it was made for.
    ///
    /// # Errors
    /// The outer error is the journal's; the inner says why the token releases nothing.
    pub async fn redeem(
        &self,
        id: &str,
        action: &str,
        args: &Map<String, Value>,
    ) -> Result<Result<(), Rejected>, StoreError> {
        let (result, changed) = {
            let mut by_age = self.lock();
            let mut changed = self.expire(&mut by_age);
            let found = by_age.iter().find(|(_, t)| t.token_id.as_str() == id).map(|(k, t)| (*k, t.clone()));
            let result = match found {
                None => Err(Rejected::NotFound),
                Some((_, t)) if t.state == TokenState::Expired => Err(Rejected::Expired),
                Some((key, t)) if t.state != TokenState::Pending => {
                    changed.extend(set(&mut by_age, key, TokenState::Replayed));
                    Err(Rejected::Used(t.state.as_str()))
                }
                Some((_, t)) if t.args_hash != args_hash(action, args) => Err(Rejected::OtherCall),
                Some((key, _)) => {
                    changed.extend(set(&mut by_age, key, TokenState::Approved));
                    Ok(())
                }
            };
            (result, changed)
        };
        self.write(changed).await?;
        Ok(result)
    }

    /// Denies a token that waits. Tells its state after that; `None`: there is no such token.
    ///
    /// # Errors
    /// When the journal can't be written.
    pub async fn deny(&self, id: &str) -> Result<Option<TokenState>, StoreError> {
        let (state, changed) = {
            let mut by_age = self.lock();
            let mut changed = self.expire(&mut by_age);
            let found = by_age.iter().find(|(_, t)| t.token_id.as_str() == id).map(|(k, t)| (*k, t.state));
            let state = match found {
                Some((key, TokenState::Pending)) => {
                    changed.extend(set(&mut by_age, key, TokenState::Denied));
                    Some(TokenState::Denied)
                }
                other => other.map(|(_, state)| state),
            };
            (state, changed)
        };
        self.write(changed).await?;
        Ok(state)
    }

    /// A token's state; `None`: there is no such token.
    #[must_use]
    pub fn state(&self, id: &str) -> Option<TokenState> {
        self.lock().values().find(|t| t.token_id.as_str() == id).map(|t| t.state)
    }

    /// The tokens that wait, oldest first, as the wire shows them.
    #[must_use]
    pub fn pending(&self) -> Vec<Value> {
        let now = self.clock.now();
        let waits = |t: &&Token| t.state == TokenState::Pending && now < t.expires_at();
        self.lock().values().filter(waits).map(|t| t.shown(now)).collect()
    }

    /// How many wait, and how many are remembered.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.pending().len(), self.lock().len())
    }

    /// Expires what is late, and forgets the oldest that no longer wait.
    fn expire(&self, by_age: &mut BTreeMap<u64, Token>) -> Vec<Token> {
        let now = self.clock.now();
        let late: Vec<u64> =
            pending_keys(by_age).into_iter().filter(|k| now >= by_age[k].expires_at()).collect();
        let changed = late.into_iter().filter_map(|k| set(by_age, k, TokenState::Expired)).collect();
        let settled: Vec<u64> =
            by_age.iter().filter(|(_, t)| t.state != TokenState::Pending).map(|(k, _)| *k).collect();
        let surplus = settled.len().saturating_sub(REMEMBERED_MAX);
        for key in settled.into_iter().take(surplus) {
            by_age.remove(&key);
        }
        changed
    }

    async fn write(&self, changed: Vec<Token>) -> Result<(), StoreError> {
        if changed.is_empty() {
            return Ok(());
        }
        let at = self.clock.now();
        let entry = |token: Token| {
            let id = token.token_id.0.clone();
            let body = serde_json::to_value(token).expect("a token can be written as JSON");
            Entry { at, event: Event::Document { kind: KIND.to_owned(), id, body } }
        };
        let events = changed.into_iter().map(entry).collect();
        self.store.commit(Commit { events, ..Commit::default() }).await.map(|_| ())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Token>> {
        self.by_age.lock().expect("no code under this lock can panic")
    }
}

fn pending_keys(by_age: &BTreeMap<u64, Token>) -> Vec<u64> {
    by_age.iter().filter(|(_, t)| t.state == TokenState::Pending).map(|(k, _)| *k).collect()
}

fn set(by_age: &mut BTreeMap<u64, Token>, key: u64, state: TokenState) -> Option<Token> {
    let token = by_age.get_mut(&key)?;
    token.state = state;
    Some(token.clone())
}
