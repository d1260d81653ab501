//! The projections: rows that say what the journal adds up to, written in the same transaction.

use rusqlite::{Connection, OptionalExtension as _, params};
use steadyhand_core::{
    action::ActionRecord,
    event::{Entry, Event},
    store::search_words,
};

use crate::{
    body::ClaimRef,
    place::{Place, sql},
};

/// An action's row but for its place in the journal: its record, and the words it is searched by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActionRow {
    pub(crate) action_id: String,
    pub(crate) state: String,
    pub(crate) session_id: Option<String>,
    pub(crate) intent: String,
    pub(crate) failure_class: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) unfinished: bool,
    pub(crate) record: String,
}

impl ActionRow {
    /// The row of a record.
    pub(crate) fn of(record: &ActionRecord) -> serde_json::Result<Self> {
        let (state, failure_class) = search_words(record);
        Ok(Self {
            action_id: record.action_id.0.clone(),
            state: state.to_owned(),
            session_id: record.session_id.clone(),
            intent: record.intent.clone(),
            failure_class: failure_class.map(str::to_owned),
            created_at: record.created_at.0,
            updated_at: record.updated_at.0,
            unfinished: !record.ended() || record.undoing,
            record: serde_json::to_string(record)?,
        })
    }

    /// Writes the row. A new action gets `seq` as its ordinal, one that is there keeps its own.
    pub(crate) fn put(&self, conn: &Connection, seq: u64) -> rusqlite::Result<()> {
        const PUT: &str = "INSERT INTO actions (ordinal, action_id, state, session_id, intent, failure_class, \
             created_at, updated_at, unfinished, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
             ON CONFLICT (action_id) DO UPDATE SET state = excluded.state, session_id = excluded.session_id, \
             intent = excluded.intent, failure_class = excluded.failure_class, \
             created_at = excluded.created_at, updated_at = excluded.updated_at, \
             unfinished = excluded.unfinished, record = excluded.record";
        conn.prepare_cached(PUT)?.execute(params![
            sql(seq),
            self.action_id,
            self.state,
            self.session_id,
            self.intent,
            self.failure_class,
            self.created_at,
            self.updated_at,
            self.unfinished,
            self.record,
        ])?;
        Ok(())
    }
}

/// Folds a record's events into the action's row. For a commit that brings no record of its own, and
/// for a rebuild. Events of an action that doesn't begin with `planned` have no row to fold into.
pub(crate) fn fold(conn: &Connection, action: &str, entries: &[Entry], seq: u64) -> rusqlite::Result<()> {
    let known: Option<String> = conn
        .prepare_cached("SELECT record FROM actions WHERE action_id = ?1")?
        .query_row([action], |row| row.get(0))
        .optional()?;
    let (mut record, rest) = match (known, entries.split_first()) {
        (Some(text), _) => (parse(&text)?, entries),
        (None, Some((Entry { at, event: Event::Planned(planned) }, rest))) => {
            (ActionRecord::begin(planned, *at), rest)
        }
        (None, _) => return Ok(()),
    };
    rest.iter().for_each(|entry| record.apply(entry));
    ActionRow::of(&record).map_err(unreadable)?.put(conn, seq)
}

/// Notes that a record goes on with an action, unless it is the action's first.
pub(crate) fn put_continuation(
    conn: &Connection,
    action: &str,
    entries: &[Entry],
    seq: u64,
) -> rusqlite::Result<()> {
    const PUT: &str = "INSERT INTO continuations (ordinal, seq) \
         SELECT ordinal, ?2 FROM actions WHERE action_id = ?1 AND ordinal <> ?2";
    if !matches!(entries.first(), Some(Entry { event: Event::Planned(_), .. })) {
        conn.prepare_cached(PUT)?.execute(params![action, sql(seq)])?;
    }
    Ok(())
}

/// A record as its row keeps it.
pub(crate) fn parse(text: &str) -> rusqlite::Result<ActionRecord> {
    serde_json::from_str(text).map_err(unreadable)
}

/// Something stored that isn't what was written there.
pub(crate) fn unreadable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
}

/// Sets the documents that a record's events set.
pub(crate) fn put_documents(conn: &Connection, entries: &[Entry], seq: u64) -> rusqlite::Result<()> {
    const PUT: &str = "INSERT INTO documents (kind, id, body, place) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, place = excluded.place";
    const REMOVE: &str = "DELETE FROM documents WHERE kind = ?1 AND id = ?2";
    for (index, entry) in entries.iter().enumerate() {
        let Event::Document { kind, id, body } = &entry.event else { continue };
        if body.is_null() {
            conn.prepare_cached(REMOVE)?.execute([kind, id])?;
        } else {
            let place = Place::new(seq, index);
            conn.prepare_cached(PUT)?.execute(params![kind, id, body.to_string(), place])?;
        }
    }
    Ok(())
}

/// Sets a claim, and the mark on its action that keeps the action as long as the claim stands.
pub(crate) fn put_claim(conn: &Connection, claim: &ClaimRef, seq: u64) -> rusqlite::Result<()> {
    const PUT: &str = "INSERT INTO claims (caller, key, action_id, request_digest, at, seq) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (caller, key) DO UPDATE SET \
         action_id = excluded.action_id, request_digest = excluded.request_digest, at = excluded.at, \
         seq = excluded.seq";
    let (action, at) = (claim.action_id.as_str(), claim.at.0);
    let digest = claim.request_digest.as_str();
    let row = params![claim.caller, claim.key, action, digest, at, sql(seq)];
    conn.prepare_cached(PUT)?.execute(row)?;
    let mark = "UPDATE actions SET claim_at = max(coalesce(claim_at, ?2), ?2) WHERE action_id = ?1";
    conn.prepare_cached(mark)?.execute(params![action, at])?;
    Ok(())
}
