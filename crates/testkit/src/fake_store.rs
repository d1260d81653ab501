//! A journal in memory: it can be told to fail, to be slow, and to lose what a crash loses.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;
use steadyhand_core::{
    action::ActionRecord,
    event::{Entry, Event},
    id::ActionId,
    store::{
        AuditReport, CLAIM_LIFE, Claim, Commit, Found, History, Page, PayloadKind, Query, Retention, Store,
        StoreError, Swept, search_words,
    },
    time::Timestamp,
};

/// What every fake store salts its digests with.
const SALT: &[u8] = b"a salt for tests";

type PayloadKey = (String, PayloadKind);

/// What is durable, and what is to go wrong next.
#[derive(Default)]
struct Data {
    /// In the order of their first commit.
    order: Vec<ActionId>,
    histories: HashMap<ActionId, Vec<Entry>>,
    records: HashMap<ActionId, ActionRecord>,
    payloads: HashMap<PayloadKey, Vec<u8>>,
    expired: HashSet<PayloadKey>,
    claims: Vec<Claim>,
    commits: u64,
    /// What happens to the next commits; empty: they succeed.
    next: VecDeque<Option<StoreError>>,
    claims_to_miss: u32,
    commit_takes: Duration,
}

/// An in-memory journal. [`FakeStore::handle`] is another process on the same journal, and
/// [`FakeStore::crash`] is the same process started again.
pub struct FakeStore {
    data: Arc<Mutex<Data>>,
    dead: AtomicBool,
}

impl Default for FakeStore {
    fn default() -> Self {
        Self { data: Arc::default(), dead: AtomicBool::new(false) }
    }
}

impl FakeStore {
    /// Another handle on the same journal, as another process would have.
    #[must_use]
    pub fn handle(&self) -> Self {
        Self { data: Arc::clone(&self.data), dead: AtomicBool::new(false) }
    }

    /// Ends this handle, whose users get [`StoreError::Closed`] from now on, and gives a fresh one on
    /// what was durable.
    #[must_use]
    pub fn crash(&self) -> Self {
        self.dead.store(true, Ordering::SeqCst);
        self.handle()
    }

    /// Plans what becomes of the next commits, in order: `None` succeeds.
    pub fn plan_commits(&self, plan: impl IntoIterator<Item = Option<StoreError>>) {
        self.lock().next.extend(plan);
    }

    /// Fails the next commit; nothing of it is kept.
    pub fn fail_next(&self, error: StoreError) {
        self.plan_commits([Some(error)]);
    }

    /// Lets the next look-up of a key find nothing: another process is about to claim it.
    pub fn miss_next_claim(&self) {
        self.lock().claims_to_miss += 1;
    }

    /// How long each commit takes from now on.
    pub fn commits_take(&self, time: Duration) {
        self.lock().commit_takes = time;
    }

    /// How many commits were made durable.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// Drops a payload, as retention does.
    ///
    /// # Panics
    /// If none is kept.
    pub fn expire(&self, id: &ActionId, kind: PayloadKind) {
        let mut data = self.lock();
        let key = (id.0.clone(), kind);
        assert!(data.payloads.remove(&key).is_some(), "there is a payload to expire");
        data.expired.insert(key);
    }

    /// Every action with its history and its record, oldest first, whether or not this handle is dead.
    #[must_use]
    pub fn all(&self) -> Vec<(ActionRecord, Vec<Entry>)> {
        let data = self.lock();
        let pick = |id: &ActionId| (data.records[id].clone(), data.histories[id].clone());
        data.order.iter().map(pick).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Data> {
        self.data.lock().expect("no test panics under this lock")
    }

    fn alive(&self) -> Result<MutexGuard<'_, Data>, StoreError> {
        if self.dead.load(Ordering::SeqCst) { Err(StoreError::Closed) } else { Ok(self.lock()) }
    }
}

impl Data {
    fn take(&mut self, commit: Commit) -> Result<u64, StoreError> {
        if let Some(Some(error)) = self.next.pop_front() {
            return Err(error);
        }
        if let Some(claim) = &commit.claim {
            if let Some(first) = self.standing(&claim.caller, &claim.key, claim.at) {
                return Err(StoreError::KeyTaken(first.action_id.clone()));
            }
            self.claims.push(claim.clone());
        }
        if let (Some(id), Some(record)) = (commit.action, commit.record) {
            if !self.records.contains_key(&id) {
                self.order.push(id.clone());
            }
            self.histories.entry(id.clone()).or_default().extend(commit.events);
            self.records.insert(id, record);
        }
        for payload in commit.payloads {
            self.payloads.insert((payload.owner, payload.kind), payload.bytes);
        }
        self.commits += 1;
        Ok(self.commits)
    }

    fn standing(&self, caller: &str, key: &str, now: Timestamp) -> Option<&Claim> {
        let stands = |c: &&Claim| c.caller == caller && c.key == key && now.since(c.at) < CLAIM_LIFE;
        self.claims.iter().rev().find(stands)
    }

    fn matches(&self, record: &ActionRecord, query: &Query) -> bool {
        let (state, class) = search_words(record);
        query.state.as_deref().is_none_or(|s| s == state)
            && query.failure_class.as_deref().is_none_or(|c| Some(c) == class)
            && query.intent.as_ref().is_none_or(|i| *i == record.intent)
            && query.session_id.as_ref().is_none_or(|s| Some(s) == record.session_id.as_ref())
            && query.since.is_none_or(|t| record.created_at >= t)
            && query.until.is_none_or(|t| record.created_at < t)
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn commit(&self, commit: Commit) -> Result<u64, StoreError> {
        assert!(!commit.events.is_empty(), "a commit has events");
        let takes = self.alive()?.commit_takes;
        // Even the fastest sync lets others run meanwhile.
        tokio::task::yield_now().await;
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        self.alive()?.take(commit)
    }

    async fn claim(&self, caller: &str, key: &str, now: Timestamp) -> Result<Option<Claim>, StoreError> {
        tokio::task::yield_now().await;
        let mut data = self.alive()?;
        if data.claims_to_miss > 0 {
            data.claims_to_miss -= 1;
            return Ok(None);
        }
        Ok(data.standing(caller, key, now).cloned())
    }

    async fn action(&self, id: &ActionId) -> Result<Option<ActionRecord>, StoreError> {
        tokio::task::yield_now().await;
        Ok(self.alive()?.records.get(id).cloned())
    }

    async fn actions(&self, query: &Query) -> Result<Page, StoreError> {
        let data = self.alive()?;
        let newest_first = data.order.iter().rev().map(|id| &data.records[id]);
        let all: Vec<ActionRecord> = newest_first.filter(|r| data.matches(r, query)).cloned().collect();
        let total = all.len() as u64;
        let records = all.into_iter().skip(query.offset).take(query.limit).collect();
        Ok(Page { records, total, next_cursor: None })
    }

    async fn unfinished(&self) -> Result<Vec<ActionRecord>, StoreError> {
        let data = self.alive()?;
        let all = data.order.iter().map(|id| &data.records[id]);
        Ok(all.filter(|r| !r.ended() || r.undoing).cloned().collect())
    }

    async fn history(&self, id: &ActionId) -> Result<Vec<Entry>, StoreError> {
        Ok(self.alive()?.histories.get(id).cloned().unwrap_or_default())
    }

    async fn histories(&self, limit: usize, offset: usize) -> Result<(Vec<History>, u64), StoreError> {
        let data = self.alive()?;
        let newest_first = data.order.iter().rev().skip(offset).take(limit);
        let page = newest_first.map(|id| (id.clone(), data.histories[id].clone())).collect();
        Ok((page, data.order.len() as u64))
    }

    async fn payload(&self, owner: &str, kind: PayloadKind) -> Result<Found, StoreError> {
        let data = self.alive()?;
        let key = (owner.to_owned(), kind);
        Ok(match data.payloads.get(&key) {
            Some(bytes) => Found::Bytes(bytes.clone()),
            None if data.expired.contains(&key) => Found::Expired,
            None => Found::Never,
        })
    }

    async fn document(&self, kind: &str, id: &str) -> Result<Option<Value>, StoreError> {
        let all = self.documents(kind).await?;
        Ok(all.into_iter().find(|(found, _)| found == id).map(|(_, body)| body))
    }

    async fn documents(&self, kind: &str) -> Result<Vec<(String, Value)>, StoreError> {
        let data = self.alive()?;
        let mut documents: Vec<(String, Value)> = Vec::new();
        for entry in data.order.iter().flat_map(|id| &data.histories[id]) {
            let Event::Document { kind: of, id, body } = &entry.event else { continue };
            if of == kind {
                documents.retain(|(known, _)| known != id);
                if !body.is_null() {
                    documents.push((id.clone(), body.clone()));
                }
            }
        }
        Ok(documents)
    }

    async fn sweep(&self, _: Retention, _: Timestamp) -> Result<Swept, StoreError> {
        drop(self.alive()?);
        Ok(Swept::default())
    }

    async fn audit(&self) -> Result<AuditReport, StoreError> {
        let records = self.alive()?.commits;
        let span = (records > 0).then_some((1, records));
        Ok(AuditReport { ok: true, records, span, heads: 0, trusted_head: None, problems: Vec::new() })
    }

    fn salt(&self) -> &[u8] {
        SALT
    }

    async fn failed(&self) -> String {
        std::future::pending().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.dead.store(true, Ordering::SeqCst);
        Ok(())
    }
}
