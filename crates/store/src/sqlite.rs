//! The journal in SQLite: one folder, one instance.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;
use steadyhand_core::{
    action::ActionRecord,
    chance::{Entropy, random_id},
    event::Entry,
    id::ActionId,
    store::{
        AuditReport, CLAIM_LIFE, Claim, Commit, Found, History, Page, PayloadKind, Query, Retention, Store,
        StoreError, Swept,
    },
    time::{Clock, Timestamp},
};
use tokio::sync::{oneshot, watch};

use crate::{
    audit::{Auditor, verify_tail},
    body::{Body, ClaimRef, PayloadRef},
    checkpoint::Checkpointer,
    folder::{self, HEADS, JOURNAL, OpenError},
    heads::{HeadsFile, Opened},
    keys::{Keys, Start},
    place::PER_RECORD,
    projection::ActionRow,
    prune::{Bounds, Step},
    query,
    readers::Readers,
    schema, seal, trouble,
    writer::{self, Job, Journal, Pace, Prepared, Shared},
};

/// Commits, and other work for the writer, that wait at most.
pub const QUEUE_DEPTH_MAX: usize = 4_096;
/// Bytes of the commits that wait at most.
pub const QUEUE_BYTES_MAX: usize = 256 << 20;
/// Bytes of one commit at most.
pub const COMMIT_BYTES_MAX: usize = 64 << 20;
/// Events of one commit at most, and payloads.
pub const EVENTS_MAX: usize = PER_RECORD as usize;
/// Reads that run or wait at most.
pub const READS_WAITING_MAX: usize = 4_096;

/// How a store runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Connections that read beside the writer; 1 to 16, default 4.
    pub readers: usize,
    /// Records after which a head is signed; at least 1, default 1,000.
    pub head_records: u64,
    /// Time after which a head is signed if there is anything new; default 10 s.
    pub head_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 4, head_records: 1_000, head_every: Duration::from_secs(10) }
    }
}

/// The store in SQLite. Dropping it without [`Store::close`] finishes as `close` does, but blocks.
pub struct SqliteStore {
    folder: PathBuf,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    options: Options,
    shared: Arc<Shared>,
    /// `None` once the store is dropped.
    queue: Option<SyncSender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    readers: Arc<Readers>,
    closed: AtomicBool,
    auditing: tokio::sync::Mutex<()>,
    notices: Vec<String>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the journal in `folder`, making it at a first start. Blocks for the time of a few syncs.
    ///
    /// # Errors
    /// Each case of [`OpenError`] says what to do.
    pub fn open(
        folder: &Path,
        options: Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, OpenError> {
        let readers = options.readers.clamp(1, 16);
        let options = Options { readers, head_records: options.head_records.max(1), ..options };
        folder::create(folder)?;
        let lock = folder::lock(folder)?;
        let start = if folder::has_journal(folder)? { Start::Again } else { Start::First };
        let keys = Arc::new(Keys::open(folder, start, &*entropy)?);
        let path = folder.join(JOURNAL);
        folder::reserve(&path)?;
        let conn = schema::open_writer(folder)?;
        let stream_id = stream(&conn, &*entropy).map_err(|e| schema::failure(&path, &e))?;
        let opened = HeadsFile::open(folder).map_err(OpenError::io(&folder.join(HEADS)))?;
        let Opened { file: heads, newest, torn_bytes } = opened;
        let tail = verify_tail(&conn, &stream_id, newest.as_ref(), &keys);
        let (seq, hash) = tail.map_err(|reason| OpenError::BrokenChain { path, reason })?;
        let mut notices = Vec::new();
        if torn_bytes > 0 {
            notices
                .push(format!("the last {torn_bytes} bytes of {HEADS} were torn by a crash and taken off"));
        }
        let shared = Arc::new(Shared {
            failed: watch::Sender::new(None),
            waiting_bytes: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        });
        if newest.is_none() && seq > 0 {
            notices.push(format!("no signed head was found: records up to {seq} are taken as they are"));
        }
        let signed = newest.map_or(0, |head| head.seq);
        let journal = Journal {
            conn,
            keys: Arc::clone(&keys),
            stream_id,
            seq,
            hash,
            signed,
            heads,
            pace: Pace { records: options.head_records, every: options.head_every },
            checkpointer: Checkpointer::start(folder, Arc::clone(&shared))?,
            unsigned_since: (signed < seq).then(|| clock.now()),
            _lock: lock,
        };
        let (queue, jobs) = sync_channel(QUEUE_DEPTH_MAX);
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn({
            let (shared, clock) = (Arc::clone(&shared), Arc::clone(&clock));
            move || writer::run(journal, jobs, &shared, &*clock)
        });
        let thread = thread.map_err(OpenError::io(folder))?;
        Ok(Self {
            folder: folder.to_owned(),
            keys,
            clock,
            entropy,
            options,
            shared,
            queue: Some(queue),
            thread: Mutex::new(Some(thread)),
            readers: Readers::new(folder.to_owned(), options.readers, READS_WAITING_MAX),
            closed: AtomicBool::new(false),
            auditing: tokio::sync::Mutex::new(()),
            notices,
        })
    }

    /// What opening repaired, one sentence each.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Recomputes the projections from the records. Commits wait meanwhile.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub async fn rebuild(&self) -> Result<(), StoreError> {
        self.on_writer(|journal| journal.rebuild()).await
    }

    /// Serializes and encrypts a commit, so that the writer has only to insert.
    fn prepare(&self, commit: Commit) -> Result<Prepared, StoreError> {
        let Commit { action, events, record, payloads, claim } = commit;
        let refused = |why: String| Err(StoreError::Corrupt(why));
        if events.is_empty() || events.len() > EVENTS_MAX || payloads.len() > EVENTS_MAX {
            let (events, payloads) = (events.len(), payloads.len());
            return refused(format!("a commit of {events} events and {payloads} payloads"));
        }
        let bytes: usize = payloads.iter().map(|payload| payload.bytes.len()).sum();
        if bytes > COMMIT_BYTES_MAX {
            return refused(format!("a commit of {bytes} bytes"));
        }
        let payloads: Vec<_> =
            payloads.iter().map(|payload| seal::seal(payload, &self.keys, &*self.entropy)).collect();
        let refs = payloads.iter().map(|sealed| PayloadRef {
            owner: sealed.owner.clone(),
            kind: sealed.kind.to_owned(),
            digest: sealed.digest.clone(),
        });
        let claim = claim.as_ref().map(ClaimRef::from);
        let body = Body { entries: events, payloads: refs.collect(), claim };
        let json = serde_json::to_vec(&body).map_err(trouble::of_read)?;
        let row = record.as_ref().map(ActionRow::of).transpose().map_err(trouble::of_read)?;
        let Body { entries, claim, .. } = body;
        let action = action.map(|id| id.0);
        let prepared = Prepared { action, entries, body: json, row, payloads, claim };
        match prepared.bytes() {
            bytes if bytes > COMMIT_BYTES_MAX => refused(format!("a commit of {bytes} bytes")),
            _ => Ok(prepared),
        }
    }

    /// Why the writer takes nothing any more.
    fn ended(&self) -> StoreError {
        match &*self.shared.failed.borrow() {
            Some(reason) => StoreError::Fatal(reason.clone()),
            None => StoreError::Closed,
        }
    }

    fn ask(&self, job: Job) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) || self.shared.failed.borrow().is_some() {
            return Err(self.ended());
        }
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Overloaded(QUEUE_DEPTH_MAX),
            TrySendError::Disconnected(_) => self.ended(),
        })
    }

    /// Runs `work` on the journal between two groups of commits.
    async fn on_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Work(Box::new(move |journal| {
            let result = work(journal);
            let fatal = match &result {
                Err(error @ StoreError::Fatal(_)) => Err(error.clone()),
                _ => Ok(()),
            };
            // Whoever asked may be gone; the work is done.
            let _ = answer.send(result);
            fatal
        })))?;
        answered.await.unwrap_or_else(|_| Err(self.ended()))
    }

    /// Repeats a step of retention until it finds no more. Commits go between the steps.
    async fn steps(
        &self,
        swept: &mut Swept,
        step: impl Fn(&mut Journal) -> Result<Step, StoreError> + Send + Copy + 'static,
    ) -> Result<(), StoreError> {
        loop {
            let Step { swept: more, more: again } = self.on_writer(step).await?;
            swept.actions += more.actions;
            swept.records += more.records;
            swept.payloads += more.payloads;
            swept.claims += more.claims;
            if !again {
                return Ok(());
            }
        }
    }

    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the writer was told through `failed`.
            let _ = thread.join();
        }
    }
}

/// The stream's identifier, minted at a first start.
fn stream(conn: &rusqlite::Connection, entropy: &dyn Entropy) -> rusqlite::Result<String> {
    if let Some(id) = schema::meta(conn, "stream_id")? {
        return Ok(id);
    }
    let id = random_id(entropy, "str_", 8);
    schema::set_meta(conn, "stream_id", &id)?;
    Ok(id)
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, commit: Commit) -> Result<u64, StoreError> {
        let prepared = self.prepare(commit)?;
        let bytes = prepared.bytes();
        let waiting = self.shared.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let asked = if waiting > QUEUE_BYTES_MAX {
            Err(StoreError::Overloaded(self.shared.waiting.load(Ordering::Relaxed)))
        } else {
            self.ask(Job::Commit(Box::new(prepared), answer))
        };
        if let Err(error) = asked {
            self.shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(error);
        }
        answered.await.unwrap_or_else(|_| Err(self.ended()))
    }

    async fn claim(&self, caller: &str, key: &str, now: Timestamp) -> Result<Option<Claim>, StoreError> {
        let (caller, key) = (caller.to_owned(), key.to_owned());
        let after = now.minus(CLAIM_LIFE);
        self.readers.read(move |conn| query::claim(conn, &caller, &key, after)).await
    }

    async fn action(&self, id: &ActionId) -> Result<Option<ActionRecord>, StoreError> {
        let id = id.clone();
        self.readers.read(move |conn| query::action(conn, id.as_str())).await
    }

    async fn actions(&self, query: &Query) -> Result<Page, StoreError> {
        let query = query.clone();
        self.readers.read(move |conn| query::actions(conn, &query)).await
    }

    async fn unfinished(&self) -> Result<Vec<ActionRecord>, StoreError> {
        self.readers.read(query::unfinished).await
    }

    async fn history(&self, id: &ActionId) -> Result<Vec<Entry>, StoreError> {
        let id = id.clone();
        self.readers.read(move |conn| query::history(conn, id.as_str())).await
    }

    async fn histories(&self, limit: usize, offset: usize) -> Result<(Vec<History>, u64), StoreError> {
        self.readers.read(move |conn| query::histories(conn, limit, offset)).await
    }

    async fn payload(&self, owner: &str, kind: PayloadKind) -> Result<Found, StoreError> {
        let (owner, keys) = (owner.to_owned(), Arc::clone(&self.keys));
        self.readers.read(move |conn| query::payload(conn, &owner, kind.as_str(), &keys)).await
    }

    async fn document(&self, kind: &str, id: &str) -> Result<Option<Value>, StoreError> {
        let (kind, id) = (kind.to_owned(), id.to_owned());
        self.readers.read(move |conn| query::document(conn, &kind, &id)).await
    }

    async fn documents(&self, kind: &str) -> Result<Vec<(String, Value)>, StoreError> {
        let kind = kind.to_owned();
        self.readers.read(move |conn| query::documents(conn, &kind)).await
    }

    async fn sweep(&self, retention: Retention, now: Timestamp) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let before = now.minus(retention.age);
        let claims_until = now.minus(CLAIM_LIFE);
        // Only what a head signs may go.
        self.on_writer(move |journal| journal.sign(now)).await?;
        let by_age = Bounds { now, before: Some(before), claims_until };
        self.steps(&mut swept, move |journal| journal.prune_records(by_age)).await?;
        let by_quota = Bounds { before: None, ..by_age };
        let journal_bytes_max = retention.journal_bytes_max;
        let quota = move |journal: &mut Journal| match journal.used_bytes()? > journal_bytes_max {
            true => journal.prune_records(by_quota),
            false => Ok(Step::default()),
        };
        self.steps(&mut swept, quota).await?;
        self.steps(&mut swept, move |journal| journal.prune_claims(claims_until)).await?;
        let output_bytes_max = retention.output_bytes_max;
        self.steps(&mut swept, move |journal| journal.prune_outputs(output_bytes_max)).await?;
        self.steps(&mut swept, move |journal| journal.prune_tombstones(before)).await?;
        if swept.records > 0 {
            self.on_writer(|journal| journal.compact_heads()).await?;
        }
        Ok(swept)
    }

    async fn audit(&self) -> Result<AuditReport, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let _one = self.auditing.lock().await;
        let (folder, keys, now) = (self.folder.clone(), Arc::clone(&self.keys), self.clock.now());
        let done = tokio::task::spawn_blocking(move || {
            Auditor::with_keys(&folder, keys).map_err(trouble::of_read)?.verify(now)
        });
        done.await.map_err(trouble::of_read)?
    }

    fn salt(&self) -> &[u8] {
        &self.keys.salt
    }

    async fn failed(&self) -> String {
        let mut failed = self.shared.failed.subscribe();
        let reason = failed.wait_for(Option::is_some).await.map(|reason| reason.clone());
        match reason {
            Ok(Some(reason)) => reason,
            // The sender lives as long as this store does.
            _ => std::future::pending().await,
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let mut result = match &*self.shared.failed.borrow() {
            Some(reason) => Err(StoreError::Fatal(reason.clone())),
            None => Ok(()),
        };
        self.readers.close(self.options.readers).await;
        let (answer, answered) = oneshot::channel();
        let mut job = Job::Close(answer);
        while let Some(queue) = &self.queue {
            match queue.try_send(job) {
                Ok(()) => {
                    result = answered.await.unwrap_or_else(|_| Err(self.ended()));
                    break;
                }
                // Nothing new gets in any more, so a place becomes free.
                Err(TrySendError::Full(back)) => job = back,
                Err(TrySendError::Disconnected(_)) => break,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join());
            // A panic of the writer was told through `failed`.
            let _ = joined.await;
        }
        result
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.readers.shut();
        self.queue = None;
        self.join();
    }
}
