//! Who asks, and what they may.

use serde::{Deserialize, Serialize};

/// What a token allows. The names are those of the wire contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Every GET, and dry runs of undo and replay.
    Read,
    /// Plan, cancel one's own action, stop.
    Act,
    /// Approve, deny, cancel another's action, undo.
    Approve,
    /// Policy, tokens, backups.
    Admin,
    /// The gateway's own calls to the executor. No person's token has it.
    Service,
}

/// An authenticated caller: the token's name and its scopes. Idempotency keys belong to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's name, such as `agent` or `operator`.
    pub name: String,
    /// What the token allows.
    pub scopes: Vec<Scope>,
}

impl Caller {
    /// The caller that everybody is when authentication is off.
    #[must_use]
    pub fn operator() -> Self {
        Self {
            name: "operator".to_owned(),
            scopes: vec![Scope::Read, Scope::Act, Scope::Approve, Scope::Admin],
        }
    }

    /// The agent that the first start makes a token for.
    #[must_use]
    pub fn agent() -> Self {
        Self { name: "agent".to_owned(), scopes: vec![Scope::Read, Scope::Act] }
    }

    /// Whether the caller holds `scope`.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}
