//! Retention, a bounded step at a time, so that it never holds the writer for long.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use steadyhand_core::{
    store::{StoreError, Swept},
    time::Timestamp,
};

use crate::{
    chain::Hash,
    heads::{Head, Kind},
    place::{Place, seq, sql},
    schema, trouble,
    writer::Journal,
};

/// Records, keys, payloads or tombstones dropped in one transaction.
const STEP_ROWS: u64 = 500;

/// What may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// When it is.
    pub(crate) now: Timestamp,
    /// Records and actions from before this instant; `None`: all that have ended.
    pub(crate) before: Option<Timestamp>,
    /// Idempotency keys claimed at or before this instant; actions with younger ones stay.
    pub(crate) claims_until: Timestamp,
}

/// What one step did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Step {
    pub(crate) swept: Swept,
    /// Whether another step may find more.
    pub(crate) more: bool,
}

impl Journal {
    /// Drops a prefix of at most [`STEP_ROWS`] records with the actions that began in it. The prefix
    /// ends where a head is signed or was signed earlier, and the new beginning is signed too.
    ///
    /// # Errors
    /// SQLite's; nothing has changed then.
    pub(crate) fn prune_records(&mut self, bounds: Bounds) -> Result<Step, StoreError> {
        self.prune_step(bounds).map_err(|e| trouble::of_write(&e, 0))
    }

    fn prune_step(&mut self, bounds: Bounds) -> rusqlite::Result<Step> {
        let first: Option<i64> = self.conn.query_row("SELECT min(seq) FROM records", [], |row| row.get(0))?;
        let Some(first) = first.map(seq) else { return Ok(Step::default()) };
        let full = first + STEP_ROWS - 1;
        let Some(last) = prefix_end(&self.conn, full.min(self.signed), bounds)? else {
            return Ok(Step::default());
        };
        if last < first {
            return Ok(Step::default());
        }
        let hash: Hash =
            self.conn.query_row("SELECT hash FROM records WHERE seq = ?1", [sql(last)], |row| row.get(0))?;
        let cut = Head::sign(&self.keys, Kind::Cut, &self.stream_id, last, &hash, bounds.now);
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let swept = drop_prefix(&tx, last, bounds)?;
        schema::set_meta(&tx, "cut", &cut.line())?;
        tx.commit()?;
        Ok(Step { swept, more: last == full })
    }

    /// Bytes of the database in use.
    ///
    /// # Errors
    /// SQLite's.
    pub(crate) fn used_bytes(&self) -> Result<u64, StoreError> {
        const USED: &str = "SELECT (page_count - freelist_count) * page_size \
             FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
        let used: i64 =
            self.conn.query_row(USED, [], |row| row.get(0)).map_err(|e| trouble::of_write(&e, 0))?;
        Ok(seq(used))
    }

    /// Drops idempotency keys claimed at or before `until`.
    ///
    /// # Errors
    /// SQLite's; nothing has changed then.
    pub(crate) fn prune_claims(&mut self, until: Timestamp) -> Result<Step, StoreError> {
        const DROP: &str = "DELETE FROM claims WHERE rowid IN \
             (SELECT rowid FROM claims WHERE at <= ?1 ORDER BY at LIMIT ?2)";
        let done = self.conn.execute(DROP, params![until.0, sql(STEP_ROWS)]);
        let claims = done.map_err(|e| trouble::of_write(&e, 0))? as u64;
        Ok(Step { swept: Swept { claims, ..Swept::default() }, more: claims == STEP_ROWS })
    }

    /// Forgets that payloads dropped before `before` were ever kept.
    ///
    /// # Errors
    /// SQLite's; nothing has changed then.
    pub(crate) fn prune_tombstones(&mut self, before: Timestamp) -> Result<Step, StoreError> {
        const DROP: &str = "DELETE FROM payloads WHERE place IN \
             (SELECT place FROM payloads WHERE dropped_at < ?1 LIMIT ?2)";
        let done = self.conn.execute(DROP, params![before.0, sql(STEP_ROWS)]);
        let dropped = done.map_err(|e| trouble::of_write(&e, 0))? as u64;
        Ok(Step { swept: Swept::default(), more: dropped == STEP_ROWS })
    }

    /// Drops the oldest large outputs until those that are left take `bytes_max` at most.
    ///
    /// # Errors
    /// SQLite's; nothing has changed then.
    pub(crate) fn prune_outputs(&mut self, bytes_max: u64) -> Result<Step, StoreError> {
        self.outputs_step(bytes_max).map_err(|e| trouble::of_write(&e, 0))
    }

    fn outputs_step(&mut self, bytes_max: u64) -> rusqlite::Result<Step> {
        const OLDEST: &str = "SELECT id, bytes FROM outputs ORDER BY id LIMIT ?1";
        let kept: i64 =
            self.conn.query_row("SELECT coalesce(sum(bytes), 0) FROM outputs", [], |row| row.get(0))?;
        let mut excess = seq(kept).saturating_sub(bytes_max);
        if excess == 0 {
            return Ok(Step::default());
        }
        let mut last = 0;
        {
            let mut oldest = self.conn.prepare_cached(OLDEST)?;
            let mut rows = oldest.query([sql(STEP_ROWS)])?;
            while let Some(row) = rows.next()?
                && excess > 0
            {
                last = row.get(0)?;
                excess = excess.saturating_sub(seq(row.get(1)?));
            }
        }
        let dropped = self.conn.execute("DELETE FROM outputs WHERE id <= ?1", [last])?;
        let swept = Swept { payloads: dropped as u64, ..Swept::default() };
        Ok(Step { swept, more: excess > 0 })
    }

    /// Takes the heads of dropped records out of the heads file.
    ///
    /// # Errors
    /// The file can't be replaced.
    pub(crate) fn compact_heads(&mut self) -> Result<(), StoreError> {
        let cut = schema::meta(&self.conn, "cut").map_err(|e| trouble::of_write(&e, 0))?;
        match cut.as_deref().map(serde_json::from_str::<Head>) {
            Some(Ok(cut)) => self.heads.compact(&cut).map_err(|e| trouble::of_heads(&e)),
            _ => Ok(()),
        }
    }
}

/// The last record, at most `last`, of the prefix in which everything may go; `None`: nothing may.
fn prefix_end(conn: &Connection, last: u64, bounds: Bounds) -> rusqlite::Result<Option<u64>> {
    const YOUNG: &str = "SELECT seq FROM records WHERE seq <= ?1 AND at >= ?2 ORDER BY seq LIMIT 1";
    const NEEDED: &str = "SELECT ordinal FROM actions WHERE ordinal <= ?1 \
         AND (unfinished = 1 OR updated_at >= ?2 OR coalesce(claim_at > ?3, 0)) ORDER BY ordinal LIMIT 1";
    let mut last = sql(last);
    if let Some(before) = bounds.before {
        let young: Option<i64> =
            conn.query_row(YOUNG, params![last, before.0], |row| row.get(0)).optional()?;
        last = young.map_or(last, |young| young - 1);
    }
    let young = bounds.before.map_or(i64::MAX, |before| before.0);
    let needed: Option<i64> =
        conn.query_row(NEEDED, params![last, young, bounds.claims_until.0], |row| row.get(0)).optional()?;
    last = needed.map_or(last, |needed| needed - 1);
    Ok((last > 0).then_some(seq(last)))
}

/// Drops all records up to `last`, and what hangs on them.
fn drop_prefix(conn: &Connection, last: u64, bounds: Bounds) -> rusqlite::Result<Swept> {
    const DEAD: &str = "SELECT DISTINCT digest FROM payloads \
         WHERE place < ?1 AND shared = 1 AND digest IS NOT NULL";
    const ORPHAN: &str = "DELETE FROM outputs WHERE digest = ?1 \
         AND NOT EXISTS (SELECT 1 FROM payloads WHERE shared = 1 AND digest = ?1)";
    const BURY: &str = "UPDATE payloads SET digest = NULL, nonce = NULL, ciphertext = NULL, dropped_at = ?2 \
         WHERE place < ?1 AND dropped_at IS NULL";
    let end = Place::new(last + 1, 0);
    let dead: Vec<String> = {
        let mut dead = conn.prepare_cached(DEAD)?;
        let digests = dead.query_map([end], |row| row.get(0))?;
        digests.collect::<rusqlite::Result<_>>()?
    };
    let records = conn.execute("DELETE FROM records WHERE seq <= ?1", [sql(last)])? as u64;
    let actions = conn.execute("DELETE FROM actions WHERE ordinal <= ?1", [sql(last)])? as u64;
    conn.execute("DELETE FROM continuations WHERE ordinal <= ?1", [sql(last)])?;
    let payloads = conn.execute(BURY, params![end, bounds.now.0])? as u64;
    for digest in &dead {
        conn.prepare_cached(ORPHAN)?.execute([digest])?;
    }
    let old = params![sql(last), bounds.claims_until.0];
    let claims = conn.execute("DELETE FROM claims WHERE seq <= ?1 AND at <= ?2", old)? as u64;
    Ok(Swept { actions, records, payloads, claims })
}
