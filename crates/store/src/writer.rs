//! The one writer: a thread that takes whatever commits wait, writes them in one transaction, syncs
//! once, and answers all. It also signs the heads.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use steadyhand_core::{
    event::Entry,
    id::ActionId,
    store::{CLAIM_LIFE, Keep, StoreError},
    time::{Clock, Timestamp},
};
use tokio::sync::{oneshot, watch};

use crate::{
    body::ClaimRef,
    chain::{Hash, Link},
    checkpoint::Checkpointer,
    heads::{Head, HeadsFile, Kind},
    keys::Keys,
    place::{Place, sql},
    projection::{ActionRow, fold, put_claim, put_continuation, put_documents},
    seal::Sealed,
    trouble,
};

/// Commits that share one transaction at most, so that the first of them doesn't wait for too many.
const GROUP_MAX: usize = 512;

/// A commit as the writer takes it: serialized and encrypted by whoever asked for it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) action: Option<String>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) body: Vec<u8>,
    pub(crate) row: Option<ActionRow>,
    pub(crate) payloads: Vec<Sealed>,
    pub(crate) claim: Option<ClaimRef>,
}

impl Prepared {
    /// Bytes that it holds while it waits, about.
    pub(crate) fn bytes(&self) -> usize {
        let sealed: usize = self.payloads.iter().map(|p| p.ciphertext.len()).sum();
        self.body.len() + self.row.as_ref().map_or(0, |row| row.record.len()) + sealed
    }
}

/// Whoever waits for a commit.
pub(crate) type Answer = oneshot::Sender<Result<u64, StoreError>>;
/// Work on the journal between two groups. A fatal error in its return ends the writer.
pub(crate) type Work = Box<dyn FnOnce(&mut Journal) -> Result<(), StoreError> + Send>;

/// What the writer is asked for.
pub(crate) enum Job {
    /// Commit this.
    Commit(Box<Prepared>, Answer),
    /// Do this.
    Work(Work),
    /// Finish: everything asked for earlier is done first.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// What the writer and those who ask it share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Why the writer failed for good.
    pub(crate) failed: watch::Sender<Option<String>>,
    /// Bytes of the commits that wait.
    pub(crate) waiting_bytes: AtomicUsize,
    /// Commits that wait.
    pub(crate) waiting: AtomicUsize,
}

/// The journal, as only its writer holds it.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) conn: Connection,
    pub(crate) keys: Arc<Keys>,
    pub(crate) stream_id: String,
    /// The last record's place in the chain and its hash.
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
    /// The record that the newest head signs.
    pub(crate) signed: u64,
    pub(crate) heads: HeadsFile,
    pub(crate) pace: Pace,
    pub(crate) checkpointer: Checkpointer,
    /// When the first record that no head signs was committed.
    pub(crate) unsigned_since: Option<Timestamp>,
    /// Held as long as the journal is.
    pub(crate) _lock: File,
}

/// How often a head is signed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) records: u64,
    pub(crate) every: Duration,
}

/// Tells those who wait if the writer dies of a panic.
struct Watched<'a>(&'a Shared);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.send_replace(Some("the writer stopped unexpectedly".to_owned()));
        }
    }
}

/// The writer's life: until it is closed, nobody is left to ask, or the journal fails.
pub(crate) fn run(mut journal: Journal, queue: Receiver<Job>, shared: &Shared, clock: &dyn Clock) {
    let _watched = Watched(shared);
    let ended = serve(&mut journal, &queue, shared, clock);
    let closed = match ended {
        Ok(answer) => {
            let result = journal.finish(clock.now());
            if let (Some(answer), result) = (answer, result) {
                // Whoever closed may be gone.
                let _ = answer.send(result);
            }
            StoreError::Closed
        }
        Err(reason) => {
            shared.failed.send_replace(Some(reason.clone()));
            StoreError::Fatal(reason)
        }
    };
    drop(journal);
    for job in queue.try_iter() {
        refuse(job, &closed);
    }
}

fn refuse(job: Job, error: &StoreError) {
    match job {
        Job::Commit(_, answer) => drop(answer.send(Err(error.clone()))),
        // Dropping the work drops its answer, which its asker hears.
        Job::Work(_) => {}
        Job::Close(answer) => drop(answer.send(match error {
            StoreError::Closed => Ok(()),
            other => Err(other.clone()),
        })),
    }
}

type Closing = Option<oneshot::Sender<Result<(), StoreError>>>;

fn serve(
    journal: &mut Journal,
    queue: &Receiver<Job>,
    shared: &Shared,
    clock: &dyn Clock,
) -> Result<Closing, String> {
    let mut next = None;
    loop {
        let job = match next.take() {
            Some(job) => job,
            None => match journal.wait(queue) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    fatal_only(journal.sign(clock.now()))?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            },
        };
        match job {
            Job::Commit(prepared, answer) => {
                let mut group = vec![*prepared];
                let mut answers = vec![answer];
                next = gather(queue, &mut group, &mut answers);
                let bytes = group.iter().map(Prepared::bytes).sum();
                journal.checkpointer.grew(bytes);
                shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
                let waiting = shared.waiting.fetch_sub(group.len(), Ordering::Relaxed);
                let now = clock.now();
                let results = journal.commit(&group, now).map_err(|e| trouble::of_write(&e, waiting));
                // The first commit isn't answered before a head vouches for it: from then on a journal
                // without one has lost it.
                if journal.signed == 0 && results.is_ok() {
                    fatal_only(journal.sign(now))?;
                }
                answer_all(results, answers)?;
                if journal.head_is_due(now) {
                    fatal_only(journal.sign(now))?;
                }
            }
            Job::Work(work) => fatal_only(work(journal))?,
            Job::Close(answer) => return Ok(Some(answer)),
        }
    }
}

/// Takes what waits, up to the first job of another kind, which is returned.
fn gather(queue: &Receiver<Job>, group: &mut Vec<Prepared>, answers: &mut Vec<Answer>) -> Option<Job> {
    while group.len() < GROUP_MAX {
        match queue.try_recv() {
            Ok(Job::Commit(prepared, answer)) => {
                group.push(*prepared);
                answers.push(answer);
            }
            Ok(other) => return Some(other),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
        }
    }
    None
}

/// Answers a group. A fatal error is also the return value.
fn answer_all(
    results: Result<Vec<Result<u64, StoreError>>, StoreError>,
    answers: Vec<Answer>,
) -> Result<(), String> {
    match results {
        Ok(results) => {
            for (answer, result) in answers.into_iter().zip(results) {
                // Whoever asked may be gone; the commit stands.
                let _ = answer.send(result);
            }
            Ok(())
        }
        Err(error) => {
            for answer in answers {
                let _ = answer.send(Err(error.clone()));
            }
            fatal_only(Err(error))
        }
    }
}

fn fatal_only(result: Result<(), StoreError>) -> Result<(), String> {
    match result {
        Err(StoreError::Fatal(reason)) => Err(reason),
        _ => Ok(()),
    }
}

impl Journal {
    /// The next job. Gives up after the pace's time if records wait for a head.
    fn wait(&self, queue: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
        if self.signed < self.seq {
            queue.recv_timeout(self.pace.every)
        } else {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        }
    }

    /// Commits a group: one transaction, one sync. A commit whose key is taken fails alone.
    ///
    /// # Errors
    /// SQLite's; nothing of the group is kept then.
    fn commit(
        &mut self,
        group: &[Prepared],
        now: Timestamp,
    ) -> Result<Vec<Result<u64, StoreError>>, rusqlite::Error> {
        let (mut seq, mut hash) = (self.seq, self.hash);
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut results = Vec::with_capacity(group.len());
        for prepared in group {
            if let Some(holder) = holder(&tx, prepared.claim.as_ref())? {
                results.push(Err(StoreError::KeyTaken(holder)));
                continue;
            }
            let link = Link {
                prev: &hash,
                stream_id: &self.stream_id,
                seq: seq + 1,
                at: now.0,
                action_id: prepared.action.as_deref(),
                body: &prepared.body,
            };
            hash = insert(&tx, prepared, &link)?;
            seq += 1;
            results.push(Ok(seq));
        }
        tx.commit()?;
        if seq > self.seq {
            self.unsigned_since.get_or_insert(now);
        }
        (self.seq, self.hash) = (seq, hash);
        Ok(results)
    }

    fn head_is_due(&self, now: Timestamp) -> bool {
        self.seq - self.signed >= self.pace.records
            || self.unsigned_since.is_some_and(|since| now.since(since) >= self.pace.every)
    }

    /// Signs a head over the last record, unless the newest head does.
    ///
    /// # Errors
    /// The heads file can't be written.
    pub(crate) fn sign(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.signed < self.seq {
            let head = Head::sign(&self.keys, Kind::Head, &self.stream_id, self.seq, &self.hash, now);
            self.heads.append(&head).map_err(|e| trouble::of_heads(&e))?;
            self.signed = self.seq;
        }
        self.unsigned_since = None;
        Ok(())
    }

    /// Signs the last head and moves the log into the database.
    fn finish(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.sign(now)?;
        self.checkpointer.stop();
        // Readers that are still at it keep the log; the next start copies it then.
        let copied = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        copied.map_err(|e| trouble::of_write(&e, 0))
    }
}

/// The other action that a claim's key stands for, if any.
fn holder(conn: &Connection, claim: Option<&ClaimRef>) -> rusqlite::Result<Option<ActionId>> {
    const STANDING: &str = "SELECT action_id FROM claims \
         WHERE caller = ?1 AND key = ?2 AND at > ?3 AND action_id <> ?4";
    let Some(claim) = claim else { return Ok(None) };
    let oldest = claim.at.minus(CLAIM_LIFE).0;
    let key = params![claim.caller, claim.key, oldest, claim.action_id.as_str()];
    conn.prepare_cached(STANDING)?.query_row(key, |row| row.get(0).map(ActionId)).optional()
}

/// Writes one record and what follows from it. Returns its hash.
fn insert(conn: &Connection, prepared: &Prepared, link: &Link<'_>) -> rusqlite::Result<Hash> {
    const RECORD: &str = "INSERT INTO records (seq, stream_id, at, action_id, body, prev_hash, hash) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let hash = link.hash();
    let (seq, at) = (link.seq, link.at);
    let row = params![sql(seq), link.stream_id, at, link.action_id, link.body, link.prev, hash];
    conn.prepare_cached(RECORD)?.execute(row)?;
    match (&prepared.row, &prepared.action) {
        (Some(row), _) => row.put(conn, seq)?,
        (None, Some(action)) => fold(conn, action, &prepared.entries, seq)?,
        (None, None) => {}
    }
    if let Some(action) = &prepared.action {
        put_continuation(conn, action, &prepared.entries, seq)?;
    }
    for (index, sealed) in prepared.payloads.iter().enumerate() {
        put_payload(conn, sealed, Place::new(seq, index))?;
    }
    if let Some(claim) = &prepared.claim {
        put_claim(conn, claim, seq)?;
    }
    put_documents(conn, &prepared.entries, seq)?;
    Ok(hash)
}

fn put_payload(conn: &Connection, sealed: &Sealed, place: Place) -> rusqlite::Result<()> {
    const PAYLOAD: &str = "INSERT INTO payloads (place, owner, kind, shared, digest, nonce, ciphertext) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (owner, kind) DO UPDATE SET \
         place = excluded.place, shared = excluded.shared, digest = excluded.digest, \
         nonce = excluded.nonce, ciphertext = excluded.ciphertext, dropped_at = NULL";
    const OUTPUT: &str = "INSERT INTO outputs (digest, nonce, ciphertext, bytes) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (digest) DO NOTHING";
    let shared = sealed.keep == Keep::UnderQuota;
    let (nonce, ciphertext) = if shared {
        let bytes = sql(sealed.bytes as u64);
        let row = params![sealed.digest, sealed.nonce, sealed.ciphertext, bytes];
        conn.prepare_cached(OUTPUT)?.execute(row)?;
        (None, None)
    } else {
        (Some(sealed.nonce), Some(&sealed.ciphertext))
    };
    let row = params![place, sealed.owner, sealed.kind, shared, sealed.digest, nonce, ciphertext];
    conn.prepare_cached(PAYLOAD)?.execute(row)?;
    Ok(())
}
