//! The check of the whole journal: every record's hash and place, every head, and that the projections
//! are what the records add up to.

mod projections;

use std::{path::Path, sync::Arc};

use rusqlite::{Connection, Row};
use steadyhand_core::{
    store::{AuditReport, StoreError},
    time::Timestamp,
};

use crate::{
    body::Body,
    chain::{GENESIS, Hash, Link},
    folder::OpenError,
    heads::{self, Head, Kind},
    keys::Keys,
    place, schema,
    trouble::of_read,
};

/// Problems listed at most.
const PROBLEMS_MAX: usize = 100;

/// What is wrong so far, one sentence each.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, problem: String) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(problem);
        }
    }
}

/// Checks a journal without changing it, beside a running instance too.
#[derive(Debug)]
pub struct Auditor {
    folder: Box<Path>,
    conn: Connection,
    keys: Arc<Keys>,
}

impl Auditor {
    /// Opens the journal in `folder` for reading. Needs its keys, and takes no lock.
    ///
    /// # Errors
    /// There is no journal, or it or its keys can't be read.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let keys = Arc::new(Keys::read(folder)?);
        Self::with_keys(folder, keys)
    }

    pub(crate) fn with_keys(folder: &Path, keys: Arc<Keys>) -> Result<Self, OpenError> {
        let path = folder.join(crate::folder::JOURNAL);
        let conn = schema::open_reader(folder).map_err(|e| schema::failure(&path, &e))?;
        Ok(Self { folder: folder.into(), conn, keys })
    }

    /// Checks everything, as of one moment. `now` tells which idempotency keys retention may have dropped.
    ///
    /// # Errors
    /// Nothing could be read at all; what is merely wrong is in the report.
    pub fn verify(&self, now: Timestamp) -> Result<AuditReport, StoreError> {
        let mut problems = Problems::default();
        // Heads first: they are signed after their records are durable, so all of them lie within what
        // the transaction below sees.
        let heads = self.heads(&mut problems)?;
        let tx = self.conn.unchecked_transaction().map_err(of_read)?;
        let walked = self.walk(&tx, heads, now, &mut problems)?;
        self.intact(&tx, &mut problems);
        let Problems(problems) = problems;
        Ok(AuditReport {
            ok: problems.is_empty(),
            records: walked.records,
            span: walked.first.map(|first| (first, walked.last)),
            heads: walked.checked,
            trusted_head: walked.trusted.map(|seq| (seq, self.keys.public())),
            problems,
        })
    }

    /// The heads of the file by sequence number, after their signatures were checked.
    fn heads(&self, problems: &mut Problems) -> Result<Vec<(u64, Hash, String)>, StoreError> {
        let mut heads = Vec::new();
        for (index, line) in heads::lines(&self.folder).map_err(of_read)?.enumerate() {
            let number = index + 1;
            let line = line.map_err(of_read)?;
            let Ok(head) = serde_json::from_str::<Head>(&line) else {
                problems.add(format!("line {number} of the heads file is no head"));
                continue;
            };
            match head.hash() {
                Some(hash) if head.signed_by(&self.keys.signing.verifying_key()) => {
                    heads.push((head.seq, hash, head.stream_id));
                }
                _ => {
                    problems.add(format!("line {number} of the heads file isn't signed by this store's key"))
                }
            }
        }
        heads.sort();
        Ok(heads)
    }

    /// Where the chain that is left begins: after what retention dropped, or at the very beginning.
    fn origin(&self, conn: &Connection, stream: &str, problems: &mut Problems) -> (u64, Hash) {
        let line = match schema::meta(conn, "cut") {
            Ok(Some(line)) => line,
            Ok(None) => return (0, GENESIS),
            Err(error) => {
                problems.add(format!("the beginning can't be read: {error}"));
                return (0, GENESIS);
            }
        };
        let cut = serde_json::from_str::<Head>(&line).ok();
        let cut = cut.filter(|cut| cut.kind == Kind::Cut && cut.stream_id == stream);
        let cut = cut.filter(|cut| cut.signed_by(&self.keys.signing.verifying_key()));
        cut.and_then(|cut| Some((cut.seq, cut.hash()?))).unwrap_or_else(|| {
            problems
                .add("the place up to which retention dropped isn't signed by this store's key".to_owned());
            (0, GENESIS)
        })
    }

    fn walk(
        &self,
        conn: &Connection,
        heads: Vec<(u64, Hash, String)>,
        now: Timestamp,
        problems: &mut Problems,
    ) -> Result<Walk, StoreError> {
        let stream = match schema::meta(conn, "stream_id") {
            Ok(stream) => stream.unwrap_or_default(),
            Err(error) => return Err(of_read(error)),
        };
        let (origin, hash) = self.origin(conn, &stream, problems);
        let unvouched = heads.is_empty();
        let mut walk = Walk::new(stream, origin, hash, heads);
        let mut projections = projections::Check::new(&self.keys, now, origin);
        walk.pass_heads(problems);
        let mut rows = conn
            .prepare("SELECT seq, stream_id, at, action_id, body, prev_hash, hash FROM records ORDER BY seq")
            .map_err(of_read)?;
        let mut rows = rows.query([]).map_err(of_read)?;
        loop {
            match rows.next() {
                Ok(Some(row)) => {
                    if let Err(error) = walk.step(row, conn, &mut projections, problems) {
                        problems.add(format!("a record after {} can't be read: {error}", walk.last));
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    problems.add(format!("the records after {} can't be read: {error}", walk.last));
                    break;
                }
            }
        }
        walk.end(problems);
        if unvouched && walk.last > origin {
            problems.add("no signed head is there to vouch for the records".to_owned());
        }
        if let Err(error) = projections.end(conn, problems) {
            problems.add(format!("the projections can't be read: {error}"));
        }
        Ok(walk)
    }

    /// Whether the database's own structure holds, indexes included.
    fn intact(&self, conn: &Connection, problems: &mut Problems) {
        let found = conn.prepare("PRAGMA integrity_check(20)").and_then(|mut check| {
            let texts: rusqlite::Result<Vec<String>> = check.query_map([], |row| row.get(0))?.collect();
            texts
        });
        match found {
            Ok(texts) => texts
                .into_iter()
                .filter(|text| text != "ok")
                .for_each(|text| problems.add(format!("the database is damaged: {text}"))),
            Err(error) => problems.add(format!("the database is damaged: {error}")),
        }
    }
}

/// A walk along the chain.
struct Walk {
    stream: String,
    heads: std::iter::Peekable<std::vec::IntoIter<(u64, Hash, String)>>,
    records: u64,
    first: Option<u64>,
    last: u64,
    hash: Hash,
    origin: u64,
    /// Heads checked.
    checked: u64,
    trusted: Option<u64>,
}

impl Walk {
    fn new(stream: String, origin: u64, hash: Hash, heads: Vec<(u64, Hash, String)>) -> Self {
        let heads = heads.into_iter().peekable();
        Self { stream, heads, records: 0, first: None, last: origin, hash, origin, checked: 0, trusted: None }
    }

    /// Checks one record.
    fn step(
        &mut self,
        row: &Row<'_>,
        conn: &Connection,
        projections: &mut projections::Check<'_>,
        problems: &mut Problems,
    ) -> rusqlite::Result<()> {
        let raw: i64 = row.get(0)?;
        let seq = place::seq(raw);
        let expected = self.last + 1;
        self.records += 1;
        self.first.get_or_insert(seq);
        if raw < 0 || seq != expected {
            problems.add(format!("record {raw} stands where record {expected} belongs"));
        }
        self.last = seq;
        let fields = Fields::of(row)?;
        let link = fields.link(seq);
        if fields.stream_id != self.stream {
            problems.add(format!("record {seq} belongs to another stream"));
        }
        if fields.prev_hash != self.hash {
            problems.add(format!("record {seq} doesn't follow the record before it"));
        }
        let hash = link.hash();
        if fields.hash != hash {
            problems.add(format!("record {seq} was changed after it was written"));
        }
        // What is stored, not what it should be: one changed record is one problem, not two.
        self.hash = fields.hash.try_into().unwrap_or(hash);
        self.pass_heads(problems);
        match serde_json::from_slice::<Body>(fields.body) {
            Ok(body) => projections.record(conn, seq, fields.action_id, &body, problems)?,
            Err(error) => problems.add(format!("record {seq} can't be read: {error}")),
        }
        Ok(())
    }

    /// Checks the heads up to the record that was just passed.
    fn pass_heads(&mut self, problems: &mut Problems) {
        while let Some((seq, hash, stream)) = self.heads.next_if(|(seq, ..)| *seq <= self.last) {
            if seq < self.last || (seq == 0 && self.last == 0) {
                // Retention dropped its record, or there is no such record, which is told elsewhere.
                if seq > self.origin {
                    problems.add(format!("a head signs record {seq}, which isn't there"));
                }
                continue;
            }
            self.checked += 1;
            if stream != self.stream || hash != self.hash {
                problems.add(format!("record {seq} isn't the one that a head signs"));
            } else {
                self.trusted = Some(seq);
            }
        }
    }

    /// Checks the heads beyond the last record.
    fn end(&mut self, problems: &mut Problems) {
        if let Some((newest, ..)) = self.heads.by_ref().last() {
            let last = self.last;
            problems.add(format!("records after {last} are missing: a head signs record {newest}"));
        }
    }
}

/// A record's columns as they are stored.
struct Fields<'a> {
    stream_id: &'a str,
    at: i64,
    action_id: Option<&'a str>,
    body: &'a [u8],
    prev_hash: &'a [u8],
    hash: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(row: &'a Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            stream_id: row.get_ref(1)?.as_str()?,
            at: row.get(2)?,
            action_id: row.get_ref(3)?.as_str_or_null()?,
            body: row.get_ref(4)?.as_bytes()?,
            prev_hash: row.get_ref(5)?.as_bytes()?,
            hash: row.get_ref(6)?.as_bytes()?,
        })
    }

    fn link(&self, seq: u64) -> Link<'a> {
        Link {
            prev: self.prev_hash,
            stream_id: self.stream_id,
            seq,
            at: self.at,
            action_id: self.action_id,
            body: self.body,
        }
    }
}

/// Checks the end of the journal at a start: that the newest head's record is there, and that the chain
/// holds from it to the end. Returns the last record's sequence number and hash.
///
/// # Errors
/// What doesn't hold.
pub(crate) fn verify_tail(
    conn: &Connection,
    stream: &str,
    newest: Option<&Head>,
    keys: &Keys,
) -> Result<(u64, Hash), String> {
    /// Records checked where no head says where to begin.
    const TAIL: u64 = 1_000;
    let fail = |e: rusqlite::Error| e.to_string();
    let key = keys.signing.verifying_key();
    let cut = match schema::meta(conn, "cut").map_err(fail)? {
        Some(line) => Some(serde_json::from_str::<Head>(&line).map_err(|e| e.to_string())?),
        None => None,
    };
    for head in newest.into_iter().chain(&cut) {
        if head.stream_id != stream || !head.signed_by(&key) {
            return Err(format!("the head of record {} isn't signed by this store's key", head.seq));
        }
    }
    let origin = cut.and_then(|cut| Some((cut.seq, cut.hash()?))).unwrap_or((0, GENESIS));
    let first: Option<i64> =
        conn.query_row("SELECT min(seq) FROM records", [], |row| row.get(0)).map_err(fail)?;
    let last: Option<i64> =
        conn.query_row("SELECT max(seq) FROM records", [], |row| row.get(0)).map_err(fail)?;
    if let Some(first) = first.map(place::seq).filter(|first| *first != origin.0 + 1) {
        return Err(format!("it begins at record {first}, where record {} belongs", origin.0 + 1));
    }
    let last = last.map_or(origin.0, place::seq);
    let head = newest.filter(|head| head.seq > origin.0);
    if let Some(head) = head.filter(|head| head.seq > last) {
        return Err(format!("it ends at record {last}, but a head signs record {}", head.seq));
    }
    let from = head.map_or(last.saturating_sub(TAIL), |head| head.seq - 1).max(origin.0);
    let mut prev = if from == origin.0 { Some(origin.1) } else { None };
    let mut rows = conn
        .prepare(
            "SELECT seq, stream_id, at, action_id, body, prev_hash, hash FROM records \
             WHERE seq > ?1 ORDER BY seq",
        )
        .map_err(fail)?;
    let mut rows = rows.query([place::sql(from)]).map_err(fail)?;
    let mut expected = from;
    while let Some(row) = rows.next().map_err(fail)? {
        expected += 1;
        let seq = place::seq(row.get(0).map_err(fail)?);
        let fields = Fields::of(row).map_err(fail)?;
        let hash = fields.link(seq).hash();
        let follows = prev.is_none_or(|prev| fields.prev_hash == prev);
        if seq != expected || fields.stream_id != stream || fields.hash != hash || !follows {
            return Err(format!("record {expected} isn't as it was written"));
        }
        if head.is_some_and(|head| head.seq == seq && head.hash() != Some(hash)) {
            return Err(format!("record {seq} isn't the one that the newest head signs"));
        }
        prev = Some(hash);
    }
    if expected != last {
        return Err(format!("records after {expected} are missing"));
    }
    Ok((last, prev.unwrap_or(origin.1)))
}
