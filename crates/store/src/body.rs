//! A record's content: the events, and what binds the rest of the commit to the chain.

use serde::{Deserialize, Serialize};
use steadyhand_core::{digest::Digest, event::Entry, id::ActionId, store::Claim, time::Timestamp};

/// One record's content, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    /// The events, in order.
    pub(crate) entries: Vec<Entry>,
    /// The payloads kept with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) payloads: Vec<PayloadRef>,
    /// The key claimed with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) claim: Option<ClaimRef>,
}

/// A payload, by the digest of its exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PayloadRef {
    pub(crate) owner: String,
    pub(crate) kind: String,
    /// Salted, in hexadecimal digits.
    pub(crate) digest: String,
}

/// A claim, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClaimRef {
    pub(crate) caller: String,
    pub(crate) key: String,
    pub(crate) action_id: ActionId,
    pub(crate) request_digest: Digest,
    pub(crate) at: Timestamp,
}

impl From<&Claim> for ClaimRef {
    fn from(claim: &Claim) -> Self {
        Self {
            caller: claim.caller.clone(),
            key: claim.key.clone(),
            action_id: claim.action_id.clone(),
            request_digest: claim.request_digest.clone(),
            at: claim.at,
        }
    }
}
