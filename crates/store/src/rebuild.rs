//! The projections, computed anew from the journal.

use rusqlite::{Connection, TransactionBehavior, params};
use steadyhand_core::store::StoreError;

use crate::{
    body::Body,
    place::{Place, seq, sql},
    projection::{fold, put_claim, put_continuation, put_documents},
    trouble,
    writer::Journal,
};

impl Journal {
    /// Recomputes actions, claims and documents from the records. What retention dropped stays dropped,
    /// but documents that were last set there stay.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub(crate) fn rebuild(&mut self) -> Result<(), StoreError> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate);
        let done = tx.and_then(|tx| {
            replay(&tx)?;
            tx.commit()
        });
        done.map_err(|error| trouble::of_write(&error, 0))
    }
}

fn replay(conn: &Connection) -> rusqlite::Result<()> {
    let first: Option<i64> = conn.query_row("SELECT min(seq) FROM records", [], |row| row.get(0))?;
    let first = seq(first.unwrap_or(i64::MAX));
    conn.execute("DELETE FROM actions", [])?;
    conn.execute("DELETE FROM continuations", [])?;
    conn.execute("DELETE FROM claims WHERE seq >= ?1", [sql(first)])?;
    conn.execute("DELETE FROM documents WHERE place >= ?1", params![Place::new(first, 0)])?;
    let mut rows = conn.prepare("SELECT seq, action_id, body FROM records ORDER BY seq")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let at = seq(row.get(0)?);
        let action: Option<String> = row.get(1)?;
        let body = row.get_ref(2)?.as_bytes()?;
        let body: Body = serde_json::from_slice(body).map_err(crate::projection::unreadable)?;
        if let Some(action) = action {
            fold(conn, &action, &body.entries, at)?;
            put_continuation(conn, &action, &body.entries, at)?;
        }
        if let Some(claim) = &body.claim {
            put_claim(conn, claim, at)?;
        }
        put_documents(conn, &body.entries, at)?;
    }
    Ok(())
}
