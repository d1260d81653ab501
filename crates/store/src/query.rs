//! What is asked of the projections.

use rusqlite::{Connection, OptionalExtension as _, params, types::Value as Sql};
use serde_json::Value;
use steadyhand_core::{
    action::ActionRecord,
    digest::Digest,
    event::{Entry, Event},
    id::ActionId,
    store::{Claim, Found, History, Page, Query, StoreError},
    time::Timestamp,
};

use crate::{
    body::Body,
    keys::Keys,
    place::{seq, sql},
    schema,
    seal::{self, Bond},
    trouble::of_read,
};

/// Rows of a page at most.
pub(crate) const PAGE_MAX: usize = 500;

type Answer<T> = Result<T, StoreError>;

/// The claim of a key made after `after`.
pub(crate) fn claim(conn: &Connection, caller: &str, key: &str, after: Timestamp) -> Answer<Option<Claim>> {
    const CLAIM: &str = "SELECT action_id, request_digest, at FROM claims \
         WHERE caller = ?1 AND key = ?2 AND at > ?3";
    let row: Option<(String, String, i64)> = conn
        .prepare_cached(CLAIM)
        .and_then(|mut claim| {
            let found = claim
                .query_row(params![caller, key, after.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            found.optional()
        })
        .map_err(of_read)?;
    let Some((action_id, digest, at)) = row else { return Ok(None) };
    let request_digest: Digest = serde_json::from_value(Value::String(digest)).map_err(of_read)?;
    let (caller, key) = (caller.to_owned(), key.to_owned());
    Ok(Some(Claim { caller, key, action_id: ActionId(action_id), request_digest, at: Timestamp(at) }))
}

/// One action's record.
pub(crate) fn action(conn: &Connection, id: &str) -> Answer<Option<ActionRecord>> {
    let text: Option<String> = conn
        .prepare_cached("SELECT record FROM actions WHERE action_id = ?1")
        .and_then(|mut action| action.query_row([id], |row| row.get(0)).optional())
        .map_err(of_read)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(of_read)
}

/// A page of actions.
pub(crate) fn actions(conn: &Connection, query: &Query) -> Answer<Page> {
    let (filter, mut values) = filter(query);
    let total = format!("SELECT count(*) FROM actions{filter}");
    let total: i64 = conn
        .prepare_cached(&total)
        .and_then(|mut total| total.query_row(rusqlite::params_from_iter(&values), |row| row.get(0)))
        .map_err(of_read)?;
    let mut page = format!("SELECT ordinal, record FROM actions{filter}");
    if let Some(cursor) = query.cursor {
        page.push_str(if filter.is_empty() { " WHERE " } else { " AND " });
        page.push_str("ordinal < ?");
        values.push(Sql::Integer(sql(cursor)));
    }
    page.push_str(" ORDER BY ordinal DESC LIMIT ? OFFSET ?");
    let limit = query.limit.clamp(1, PAGE_MAX);
    values.push(Sql::Integer(sql(limit as u64 + 1)));
    values.push(Sql::Integer(sql(query.offset as u64)));
    let mut rows: Vec<(i64, String)> = conn
        .prepare_cached(&page)
        .and_then(|mut page| {
            let pair = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            page.query_map(rusqlite::params_from_iter(&values), pair)?.collect()
        })
        .map_err(of_read)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|(ordinal, _)| seq(*ordinal));
    let records: serde_json::Result<_> = rows.iter().map(|(_, text)| serde_json::from_str(text)).collect();
    Ok(Page { records: records.map_err(of_read)?, total: seq(total), next_cursor })
}

/// The query's filters as a `WHERE` clause, and its values. Only fixed texts become SQL.
fn filter(query: &Query) -> (String, Vec<Sql>) {
    let texts = [
        ("state = ?", &query.state),
        ("session_id = ?", &query.session_id),
        ("intent = ?", &query.intent),
        ("failure_class = ?", &query.failure_class),
    ];
    let times = [("created_at >= ?", query.since), ("created_at < ?", query.until)];
    let texts = texts.into_iter().filter_map(|(c, v)| Some((c, Sql::Text(v.clone()?))));
    let times = times.into_iter().filter_map(|(c, v)| Some((c, Sql::Integer(v?.0))));
    let (conditions, values): (Vec<_>, Vec<_>) = texts.chain(times).unzip();
    let clause = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    (clause, values)
}

/// The actions that haven't ended, or whose undo hasn't, oldest first.
pub(crate) fn unfinished(conn: &Connection) -> Answer<Vec<ActionRecord>> {
    let texts: Vec<String> = conn
        .prepare_cached("SELECT record FROM actions WHERE unfinished = 1 ORDER BY ordinal")
        .and_then(|mut rows| rows.query_map([], |row| row.get(0))?.collect())
        .map_err(of_read)?;
    texts.iter().map(|text| serde_json::from_str(text).map_err(of_read)).collect()
}

/// One action's history; empty if the action is unknown or retention dropped its beginning.
pub(crate) fn history(conn: &Connection, id: &str) -> Answer<Vec<Entry>> {
    const BODIES: &str = "SELECT body FROM records WHERE seq IN ( \
             SELECT ordinal FROM actions WHERE action_id = ?1 UNION ALL \
             SELECT continuations.seq FROM actions JOIN continuations USING (ordinal) WHERE action_id = ?1 \
         ) ORDER BY seq";
    let mut entries = Vec::new();
    let mut rows = conn.prepare_cached(BODIES).map_err(of_read)?;
    let mut rows = rows.query([id]).map_err(of_read)?;
    while let Some(row) = rows.next().map_err(of_read)? {
        let bytes = row.get_ref(0).map_err(of_read)?.as_bytes().map_err(of_read)?;
        entries.extend(serde_json::from_slice::<Body>(bytes).map_err(of_read)?.entries);
    }
    let headless = !matches!(entries.first(), Some(Entry { event: Event::Planned(_), .. }));
    if headless && schema::meta(conn, "cut").map_err(of_read)?.is_some() {
        entries.clear();
    }
    Ok(entries)
}

/// Histories of actions, newest action first, and how many actions there are.
pub(crate) fn histories(conn: &Connection, limit: usize, offset: usize) -> Answer<(Vec<History>, u64)> {
    let total: i64 = conn
        .prepare_cached("SELECT count(*) FROM actions")
        .and_then(|mut total| total.query_row([], |row| row.get(0)))
        .map_err(of_read)?;
    let window = params![sql(limit.min(PAGE_MAX) as u64), sql(offset as u64)];
    let ids: Vec<String> = conn
        .prepare_cached("SELECT action_id FROM actions ORDER BY ordinal DESC LIMIT ?1 OFFSET ?2")
        .and_then(|mut ids| ids.query_map(window, |row| row.get(0))?.collect())
        .map_err(of_read)?;
    let found: Answer<_> = ids
        .into_iter()
        .map(|id| {
            let entries = history(conn, &id)?;
            Ok((ActionId(id), entries))
        })
        .collect();
    Ok((found?, seq(total)))
}

/// Exact bytes kept earlier.
pub(crate) fn payload(conn: &Connection, owner: &str, kind: &str, keys: &Keys) -> Answer<Found> {
    const OWN: &str = "SELECT shared, digest, nonce, ciphertext FROM payloads WHERE owner = ?1 AND kind = ?2";
    const SHARED: &str = "SELECT nonce, ciphertext FROM outputs WHERE digest = ?1";
    type Row = (bool, Option<String>, Option<Vec<u8>>, Option<Vec<u8>>);
    let row: Option<Row> = conn
        .prepare_cached(OWN)
        .and_then(|mut own| {
            let fields = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            own.query_row([owner, kind], fields).optional()
        })
        .map_err(of_read)?;
    let Some((shared, digest, nonce, ciphertext)) = row else { return Ok(Found::Never) };
    let Some(digest) = digest else { return Ok(Found::Expired) };
    let (bond, sealed) = if shared {
        let sealed: Option<(Vec<u8>, Vec<u8>)> = conn
            .prepare_cached(SHARED)
            .and_then(|mut shared| {
                shared.query_row([&digest], |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .map_err(of_read)?;
        let Some(sealed) = sealed else { return Ok(Found::Expired) };
        (Bond::Shared { digest: &digest }, Some(sealed))
    } else {
        (Bond::Owned { owner, kind, digest: &digest }, nonce.zip(ciphertext))
    };
    sealed
        .and_then(|(nonce, ciphertext)| seal::open(bond, &nonce, &ciphertext, keys))
        .map(Found::Bytes)
        .ok_or_else(|| of_read(format_args!("the {kind} payload of {owner} doesn't open")))
}

/// A document.
pub(crate) fn document(conn: &Connection, kind: &str, id: &str) -> Answer<Option<Value>> {
    let text: Option<String> = conn
        .prepare_cached("SELECT body FROM documents WHERE kind = ?1 AND id = ?2")
        .and_then(|mut document| document.query_row([kind, id], |row| row.get(0)).optional())
        .map_err(of_read)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(of_read)
}

/// All documents of a kind, oldest change first.
pub(crate) fn documents(conn: &Connection, kind: &str) -> Answer<Vec<(String, Value)>> {
    let rows: Vec<(String, String)> = conn
        .prepare_cached("SELECT id, body FROM documents WHERE kind = ?1 ORDER BY place")
        .and_then(|mut rows| rows.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .map_err(of_read)?;
    let parsed = rows.into_iter().map(|(id, text)| Ok((id, serde_json::from_str(&text).map_err(of_read)?)));
    parsed.collect()
}
