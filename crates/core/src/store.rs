//! The journal, as the pipeline sees it: SQLite in one process, PostgreSQL where several share one
//! truth. One conformance suite holds both to this page.

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    action::{ActionRecord, State},
    digest::Digest,
    event::Entry,
    failure::FailureClass,
    id::ActionId,
    time::Timestamp,
};

/// What kind of secret a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayloadKind {
    /// An action's exact parameters, as JSON.
    Params,
    /// An action's exact output, as JSON.
    Output,
    /// What an undo would put back.
    PreImage,
}

impl PayloadKind {
    /// The kind's name in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Params => "params",
            Self::Output => "output",
            Self::PreImage => "pre_image",
        }
    }
}

/// How long a payload is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// As long as its action's record.
    WithAction,
    /// Under the quota for large outputs, oldest first out; content-addressed.
    UnderQuota,
}

/// Exact bytes that go to the store encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// What it belongs to: an action's or an attempt's identifier.
    pub owner: String,
    /// What kind it is.
    pub kind: PayloadKind,
    /// How long it is kept.
    pub keep: Keep,
    /// The exact bytes.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload({}, {}, {} bytes)", self.owner, self.kind.as_str(), self.bytes.len())
    }
}

/// A payload looked up.
#[derive(Clone, PartialEq, Eq)]
pub enum Found {
    /// The exact bytes.
    Bytes(Vec<u8>),
    /// It was kept once, and retention dropped it.
    Expired,
    /// None was ever kept.
    Never,
}

/// A claim of an idempotency key. The first durable claim of a key stands for 24 h.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The caller's name.
    pub caller: String,
    /// The caller's key.
    pub key: String,
    /// The action that the key stands for.
    pub action_id: ActionId,
    /// Digest of intent, exact parameters and `dry_run`.
    pub request_digest: Digest,
    /// When it was claimed.
    pub at: Timestamp,
}

/// How long a key stands.
pub const CLAIM_LIFE: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// One commit: all its events are one record of the journal, durable together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The action whose events these are; `None` for the service's own.
    pub action: Option<ActionId>,
    /// The events, redacted, in order. At least one.
    pub events: Vec<Entry>,
    /// The action's record after these events.
    pub record: Option<ActionRecord>,
    /// Exact bytes to keep, encrypted.
    pub payloads: Vec<Payload>,
    /// An idempotency key to claim in the same commit.
    pub claim: Option<Claim>,
}

/// A query over actions. Empty fields don't filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Only this state; a word that is no state matches nothing.
    pub state: Option<String>,
    /// Only this session.
    pub session_id: Option<String>,
    /// Only this capability.
    pub intent: Option<String>,
    /// Only this failure class; a word that is no class matches nothing.
    pub failure_class: Option<String>,
    /// Created at or after.
    pub since: Option<Timestamp>,
    /// Created before.
    pub until: Option<Timestamp>,
    /// Only rows older than this cursor, from an earlier page.
    pub cursor: Option<u64>,
    /// At most so many; 1 to 500.
    pub limit: usize,
    /// Leave out so many from the newest.
    pub offset: usize,
}

/// A page of actions, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The records.
    pub records: Vec<ActionRecord>,
    /// How many match in all, cursor, limit and offset aside.
    pub total: u64,
    /// Where the next page begins; `None`: this is the last.
    pub next_cursor: Option<u64>,
}

/// An action's identifier with its history.
pub type History = (ActionId, Vec<Entry>);

/// What retention may drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Actions that ended before `now - age` go. Default 30 days.
    pub age: std::time::Duration,
    /// Bytes that the database may take before the oldest ended actions go. Default 4 GiB.
    pub journal_bytes_max: u64,
    /// Bytes of payloads under quota before the oldest of them go. Default 1 GiB.
    pub output_bytes_max: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        let age = std::time::Duration::from_secs(30 * 24 * 60 * 60);
        Self { age, journal_bytes_max: 4 * GIB, output_bytes_max: GIB }
    }
}

/// What retention dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Actions dropped.
    pub actions: u64,
    /// Journal records dropped.
    pub records: u64,
    /// Payloads dropped.
    pub payloads: u64,
    /// Idempotency keys dropped.
    pub claims: u64,
}

/// What a check of the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Whether everything holds.
    pub ok: bool,
    /// Records read.
    pub records: u64,
    /// First and last sequence number present.
    pub span: Option<(u64, u64)>,
    /// Signed heads that were checked.
    pub heads: u64,
    /// The newest head that is trusted: sequence number and signing key.
    pub trusted_head: Option<(u64, String)>,
    /// What is wrong, one sentence each; at most 100.
    pub problems: Vec<String>,
}

/// Why the store didn't do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another action holds the key: a race that another process won.
    #[error("the idempotency key belongs to {0}")]
    KeyTaken(ActionId),
    /// The disk is full. Nothing of this commit is kept; later commits may succeed.
    #[error("the disk is full")]
    DiskFull,
    /// Too many commits wait. Nothing of this commit is kept.
    #[error("the journal is behind: {0} commits wait")]
    Overloaded(usize),
    /// The store can't promise durability any more; the process must stop and recover at its next start.
    #[error("the journal failed and takes nothing more: {0}")]
    Fatal(String),
    /// Something stored can't be read.
    #[error("the journal holds something unreadable: {0}")]
    Corrupt(String),
    /// The store is closed.
    #[error("the journal is closed")]
    Closed,
}

/// The journal and its projections.
#[async_trait]
pub trait Store: Send + Sync {
    /// Makes one commit durable: returns after the sync that covers it, shared with whoever else waits.
    /// The returned number is the record's place in the chain.
    ///
    /// # Errors
    /// On any error nothing of the commit is kept, but after [`StoreError::Fatal`] nobody can say.
    async fn commit(&self, commit: Commit) -> Result<u64, StoreError>;

    /// The standing claim of a key, if it was made less than [`CLAIM_LIFE`] before `now`.
    async fn claim(&self, caller: &str, key: &str, now: Timestamp) -> Result<Option<Claim>, StoreError>;

    /// One action's record.
    async fn action(&self, id: &ActionId) -> Result<Option<ActionRecord>, StoreError>;

    /// A page of actions, newest first.
    async fn actions(&self, query: &Query) -> Result<Page, StoreError>;

    /// The actions that haven't ended, or whose undo hasn't: what recovery looks at.
    async fn unfinished(&self) -> Result<Vec<ActionRecord>, StoreError>;

    /// One action's history, oldest first, from its `planned` on; empty if unknown.
    async fn history(&self, id: &ActionId) -> Result<Vec<Entry>, StoreError>;

    /// Histories of actions, newest action first, and how many actions there are.
    async fn histories(&self, limit: usize, offset: usize) -> Result<(Vec<History>, u64), StoreError>;

    /// Exact bytes kept earlier.
    async fn payload(&self, owner: &str, kind: PayloadKind) -> Result<Found, StoreError>;

    /// A document, as [`crate::event::Event::Document`] last set it.
    async fn document(&self, kind: &str, id: &str) -> Result<Option<Value>, StoreError>;

    /// All documents of a kind, oldest change first.
    async fn documents(&self, kind: &str) -> Result<Vec<(String, Value)>, StoreError>;

    /// Drops what retention allows.
    async fn sweep(&self, retention: Retention, now: Timestamp) -> Result<Swept, StoreError>;

    /// Checks the whole chain against the signed heads.
    async fn audit(&self) -> Result<AuditReport, StoreError>;

    /// Salt for digests of secrets in redacted forms; one per store, itself secret.
    fn salt(&self) -> &[u8];

    /// Returns when the store has failed for good, with the reason.
    async fn failed(&self) -> String;

    /// Commits what waits, signs the head, closes. Later calls answer [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}

/// The state's name and the class's, as projections are searched by.
#[must_use]
pub fn search_words(record: &ActionRecord) -> (&'static str, Option<&'static str>) {
    let class = record.execution.as_ref().and_then(|e| e.failure_class).map(FailureClass::as_str);
    (State::as_str(record.state), class)
}
