//! Whether the projections are what the records add up to.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, params};
use steadyhand_core::{
    action::ActionRecord,
    event::{Entry, Event},
    store::CLAIM_LIFE,
    time::Timestamp,
};

use super::Problems;
use crate::{
    body::{Body, ClaimRef, PayloadRef},
    keys::Keys,
    place::{Place, seq, sql},
    projection::ActionRow,
    query,
    seal::{self, Bond},
};

/// A check that is fed the records in order.
pub(super) struct Check<'a> {
    keys: &'a Keys,
    now: Timestamp,
    /// The last record that retention dropped.
    origin: u64,
    /// Rows that the records account for.
    payloads: i64,
    claims: i64,
    documents: i64,
    actions: i64,
    /// Documents without a row, which a later record must have removed.
    gone: HashSet<(String, String)>,
}

impl<'a> Check<'a> {
    pub(super) fn new(keys: &'a Keys, now: Timestamp, origin: u64) -> Self {
        Self { keys, now, origin, payloads: 0, claims: 0, documents: 0, actions: 0, gone: HashSet::new() }
    }

    /// Checks what one record says of the projections.
    pub(super) fn record(
        &mut self,
        conn: &Connection,
        at: u64,
        action: Option<&str>,
        body: &Body,
        problems: &mut Problems,
    ) -> rusqlite::Result<()> {
        if let (Some(action), Some(Entry { event: Event::Planned(_), .. })) = (action, body.entries.first()) {
            let there = "SELECT 1 FROM actions WHERE action_id = ?1 AND ordinal = ?2";
            if conn.prepare_cached(there)?.exists(params![action, sql(at)])? {
                self.actions += 1;
            } else if !self.began_earlier(conn, action, at)? {
                problems.add(format!("action {action} of record {at} has no row"));
            }
        }
        for (index, payload) in body.payloads.iter().enumerate() {
            self.payload(conn, Place::new(at, index), payload, problems)?;
        }
        if let Some(claim) = &body.claim {
            self.claim(conn, at, claim, problems)?;
        }
        for (index, entry) in body.entries.iter().enumerate() {
            if let Event::Document { kind, id, body } = &entry.event {
                let key = (kind.clone(), id.clone());
                if body.is_null() {
                    self.gone.remove(&key);
                } else {
                    self.document(conn, Place::new(at, index), key, &body.to_string(), problems)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the action has records before this one, so that this isn't where its row begins.
    fn began_earlier(&self, conn: &Connection, action: &str, at: u64) -> rusqlite::Result<bool> {
        let earlier = "SELECT 1 FROM records WHERE action_id = ?1 AND seq < ?2";
        conn.prepare_cached(earlier)?.exists(params![action, sql(at)])
    }

    fn payload(
        &mut self,
        conn: &Connection,
        place: Place,
        said: &PayloadRef,
        problems: &mut Problems,
    ) -> rusqlite::Result<()> {
        const ROW: &str = "SELECT place, shared, digest, nonce, ciphertext FROM payloads \
             WHERE owner = ?1 AND kind = ?2";
        type Row = (i64, bool, Option<String>, Option<Vec<u8>>, Option<Vec<u8>>);
        let PayloadRef { owner, kind, digest } = said;
        let row: Option<Row> = conn
            .prepare_cached(ROW)?
            .query_row([owner, kind], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })
            .optional()?;
        let Some((stored, shared, kept, nonce, ciphertext)) = row else {
            problems.add(format!("the {kind} payload of {owner} is missing"));
            return Ok(());
        };
        if stored > place.0 {
            return Ok(());
        }
        self.payloads += 1;
        let holds = if stored < place.0 || kept.as_ref() != Some(digest) {
            false
        } else if shared {
            let sealed: Option<(Vec<u8>, Vec<u8>)> = conn
                .prepare_cached("SELECT nonce, ciphertext FROM outputs WHERE digest = ?1")?
                .query_row([digest], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            // One that isn't there was dropped for the quota.
            sealed.is_none_or(|(nonce, text)| self.opens(Bond::Shared { digest }, digest, &nonce, &text))
        } else {
            let bond = Bond::Owned { owner, kind, digest };
            nonce.zip(ciphertext).is_some_and(|(nonce, text)| self.opens(bond, digest, &nonce, &text))
        };
        if !holds {
            problems.add(format!("the {kind} payload of {owner} isn't what was stored"));
        }
        Ok(())
    }

    fn opens(&self, bond: Bond<'_>, digest: &str, nonce: &[u8], ciphertext: &[u8]) -> bool {
        seal::open(bond, nonce, ciphertext, self.keys).is_some_and(|bytes| self.keys.digest(&bytes) == digest)
    }

    fn claim(
        &mut self,
        conn: &Connection,
        at: u64,
        said: &ClaimRef,
        problems: &mut Problems,
    ) -> rusqlite::Result<()> {
        const ROW: &str =
            "SELECT seq, action_id, request_digest, at FROM claims WHERE caller = ?1 AND key = ?2";
        type Row = (i64, String, String, i64);
        let row: Option<Row> = conn
            .prepare_cached(ROW)?
            .query_row([&said.caller, &said.key], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let holds = match row {
            None => said.at <= self.now.minus(CLAIM_LIFE),
            Some((stored, ..)) if seq(stored) > at => true,
            Some((stored, action, digest, claimed)) => {
                self.claims += 1;
                seq(stored) == at
                    && action == said.action_id.as_str()
                    && digest == said.request_digest.as_str()
                    && claimed == said.at.0
            }
        };
        if !holds {
            problems.add(format!("the idempotency key claimed in record {at} isn't what was stored"));
        }
        Ok(())
    }

    fn document(
        &mut self,
        conn: &Connection,
        place: Place,
        key: (String, String),
        said: &str,
        problems: &mut Problems,
    ) -> rusqlite::Result<()> {
        let row: Option<(i64, String)> = conn
            .prepare_cached("SELECT place, body FROM documents WHERE kind = ?1 AND id = ?2")?
            .query_row([&key.0, &key.1], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match row {
            None => {
                self.gone.insert(key);
            }
            Some((stored, _)) if stored > place.0 => {}
            Some((stored, body)) => {
                self.documents += 1;
                if stored != place.0 || body != said {
                    problems.add(format!("document {}/{} isn't what was stored", key.0, key.1));
                }
            }
        }
        Ok(())
    }

    /// Checks what only all records together can tell.
    pub(super) fn end(&self, conn: &Connection, problems: &mut Problems) -> rusqlite::Result<()> {
        for (kind, id) in &self.gone {
            problems.add(format!("document {kind}/{id} is missing"));
        }
        let (after, begin) = (sql(self.origin), Place::new(self.origin + 1, 0).0);
        let counts = [
            ("payloads", "SELECT count(*) FROM payloads WHERE place >= ?1", begin, self.payloads),
            ("documents", "SELECT count(*) FROM documents WHERE place >= ?1", begin, self.documents),
            ("idempotency keys", "SELECT count(*) FROM claims WHERE seq > ?1", after, self.claims),
            ("actions", "SELECT count(*) FROM actions WHERE ordinal > ?1", after, self.actions),
        ];
        for (what, count, from, accounted) in counts {
            let found: i64 = conn.query_row(count, [from], |row| row.get(0))?;
            if found != accounted {
                problems.add(format!("{found} {what} are stored, {accounted} of them are in the records"));
            }
        }
        self.actions(conn, problems)
    }

    /// Replays each action's history and compares.
    fn actions(&self, conn: &Connection, problems: &mut Problems) -> rusqlite::Result<()> {
        const ROWS: &str = "SELECT action_id, state, session_id, intent, failure_class, created_at, \
             updated_at, unfinished, record FROM actions ORDER BY ordinal";
        let mut rows = conn.prepare(ROWS)?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let stored = ActionRow {
                action_id: row.get(0)?,
                state: row.get(1)?,
                session_id: row.get(2)?,
                intent: row.get(3)?,
                failure_class: row.get(4)?,
                created_at: row.get(5)?,
                updated_at: row.get(6)?,
                unfinished: row.get(7)?,
                record: row.get(8)?,
            };
            let history = query::history(conn, &stored.action_id).unwrap_or_default();
            let replayed = ActionRecord::replay(&history).and_then(|record| ActionRow::of(&record).ok());
            if replayed.as_ref() != Some(&stored) {
                problems.add(format!("action {} isn't what its history adds up to", stored.action_id));
            }
        }
        Ok(())
    }
}
