//! Whoever changes the journal behind its back is found out.

use std::fs;

use rusqlite::{Connection, types::Value as Sql};
use serde_json::json;
use steadyhand_core::{
    digest::Digest,
    event::{Entry, Event},
    store::{Claim, Commit, Keep, Payload, PayloadKind, Store as _},
    time::{Clock as _, Timestamp},
};
use steadyhand_store::Auditor;
use steadyhand_testkit::{
    chance::Seeded,
    histories::{Draft, any_event},
};

use crate::home::Folder;

fn service(n: u64, at: Timestamp) -> Commit {
    let event = Event::Service { what: "e".to_owned(), detail: json!(n) };
    Commit { events: vec![Entry { at, event }], ..Commit::default() }
}

/// A closed journal: records 1 to 4 of the service, 5 and 6 of an action with payloads, a claim and a
/// document. The only head signs record 6.
async fn journal() -> Folder {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let now = folder.clock.now();
    for n in 1..=4 {
        store.commit(service(n, now)).await.unwrap();
    }
    let mut draft = Draft::plan(1, now);
    let owner = draft.id().as_str().to_owned();
    let payload =
        |kind, keep, bytes: &[u8]| Payload { owner: owner.clone(), kind, keep, bytes: bytes.to_vec() };
    let claim = Claim {
        caller: "agent".to_owned(),
        key: "k".to_owned(),
        action_id: draft.id().clone(),
        request_digest: Digest::of(b"r"),
        at: now,
    };
    let payloads = vec![payload(PayloadKind::Params, Keep::WithAction, b"exact")];
    store.commit(Commit { claim: Some(claim), payloads, ..draft.commit() }).await.unwrap();
    draft.push(now, any_event(15, 1, now)).succeed(now);
    let payloads = vec![payload(PayloadKind::Output, Keep::UnderQuota, b"output")];
    store.commit(Commit { payloads, ..draft.commit() }).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(folder.problems(), [""; 0]);
    folder
}

fn quick(folder: &Folder) -> Connection {
    let raw = folder.raw();
    raw.pragma_update(None, "synchronous", "off").unwrap();
    raw
}

const COLUMNS: [&str; 7] = ["seq", "stream_id", "at", "action_id", "body", "prev_hash", "hash"];

fn read(raw: &Connection, seq: i64, column: &str) -> Sql {
    let select = format!("SELECT {column} FROM records WHERE seq = ?1");
    raw.query_row(&select, [seq], |row| {
        // A text that is no UTF-8 any more can't be read as text.
        Ok(match row.get_ref(0)? {
            rusqlite::types::ValueRef::Text(bytes) => Sql::Blob(bytes.to_vec()),
            other => other.try_into().unwrap(),
        })
    })
    .unwrap()
}

fn write(raw: &Connection, seq: i64, column: &str, value: &Sql) -> rusqlite::Result<usize> {
    let text = matches!(column, "stream_id" | "action_id");
    let value_of = if text { "CAST(?2 AS TEXT)" } else { "?2" };
    raw.execute(&format!("UPDATE records SET {column} = {value_of} WHERE seq = ?1"), (seq, value))
}

/// The value with one bit turned.
fn turned(value: &Sql, bit: usize) -> Sql {
    match value {
        Sql::Integer(number) => Sql::Integer(number ^ (1_i64 << bit)),
        Sql::Blob(bytes) => {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            Sql::Blob(bytes)
        }
        other => panic!("{other:?}"),
    }
}

fn bits(value: &Sql) -> usize {
    match value {
        Sql::Integer(_) => 64,
        Sql::Blob(bytes) => bytes.len() * 8,
        _ => 0,
    }
}

/// Turns bits of a record one at a time, as `choose` says, and expects an audit to find each.
fn every_turn_is_found(folder: &Folder, seq: i64, choose: impl Fn(&str, usize) -> bool) -> usize {
    let raw = quick(folder);
    let auditor = Auditor::open(&folder.path()).unwrap();
    let mut turns = 0;
    for column in COLUMNS {
        let value = read(&raw, seq, column);
        for bit in (0..bits(&value)).filter(|bit| choose(column, *bit)) {
            let changed = turned(&value, bit);
            if write(&raw, seq, column, &changed).is_err() {
                assert_eq!(column, "seq", "only a place that is taken is refused");
                continue;
            }
            let found =
                auditor.verify(folder.clock.now()).map_or_else(|e| vec![e.to_string()], |r| r.problems);
            assert!(!found.is_empty(), "bit {bit} of {column} of record {seq}");
            let place = if let ("seq", Sql::Integer(moved)) = (column, &changed) { *moved } else { seq };
            write(&raw, place, column, &value).unwrap();
            turns += 1;
        }
    }
    assert_eq!(auditor.verify(folder.clock.now()).unwrap().problems, [""; 0], "all is put back");
    turns
}

#[tokio::test]
async fn every_bit_of_a_small_record_is_covered() {
    let folder = journal().await;
    let turns = every_turn_is_found(&folder, 2, |_, _| true);
    assert!(turns > 1_000, "{turns}");
}

#[tokio::test]
async fn one_random_bit_of_every_byte_of_every_record_is_covered() {
    let folder = journal().await;
    let chance = Seeded::new(7);
    let choices: Vec<usize> = (0..65_536).map(|_| chance.next() as usize % 8).collect();
    for seq in 1..=6 {
        every_turn_is_found(&folder, seq, |_, bit| {
            bit % 8 == choices[(seq as usize * 9_973 + bit / 8) % 65_536]
        });
    }
}

#[tokio::test]
async fn a_changed_order_is_found() {
    let folder = journal().await;
    let raw = quick(&folder);
    raw.execute_batch(
        "UPDATE records SET seq = 99 WHERE seq = 2; UPDATE records SET seq = 2 WHERE seq = 3;
         UPDATE records SET seq = 3 WHERE seq = 99;",
    )
    .unwrap();
    assert!(folder.problems().iter().any(|p| p.contains("doesn't follow")), "{:?}", folder.problems());
}

#[tokio::test]
async fn a_removed_record_is_found() {
    for seq in [1, 3] {
        let folder = journal().await;
        quick(&folder).execute("DELETE FROM records WHERE seq = ?1", [seq]).unwrap();
        let found = folder.problems();
        assert!(found.iter().any(|p| p.contains(&format!("where record {seq} belongs"))), "{found:?}");
    }
}

#[tokio::test]
async fn an_inserted_record_is_found() {
    let folder = journal().await;
    quick(&folder)
        .execute_batch(
            "UPDATE records SET seq = -seq; UPDATE records SET seq = -seq + (seq < -2);
             INSERT INTO records SELECT 3, stream_id, at, NULL, body, prev_hash, hash FROM records WHERE seq = 2;",
        )
        .unwrap();
    assert!(
        folder.problems().iter().any(|p| p.contains("record 3 doesn't follow")),
        "{:?}",
        folder.problems()
    );
}

#[tokio::test]
async fn a_record_appended_without_the_store_is_found() {
    let folder = journal().await;
    let raw = quick(&folder);
    raw.execute_batch(
        "INSERT INTO records SELECT 7, stream_id, at, NULL, body, hash, prev_hash FROM records WHERE seq = 4",
    )
    .unwrap();
    assert!(!folder.problems().is_empty());
}

#[tokio::test]
async fn a_removed_tail_is_found_by_the_head_that_signs_it() {
    let folder = journal().await;
    let raw = quick(&folder);
    raw.execute_batch(
        "DELETE FROM records WHERE seq > 4; DELETE FROM actions; DELETE FROM claims; DELETE FROM payloads;
         DELETE FROM documents;",
    )
    .unwrap();
    let report = Auditor::open(&folder.path()).unwrap().verify(folder.clock.now()).unwrap();
    assert_eq!(report.problems, ["records after 4 are missing: a head signs record 6"]);
    assert_eq!((report.span, report.trusted_head.unwrap().0), (Some((1, 4)), 1));
    let refused = folder.open().unwrap_err().to_string();
    assert!(refused.contains("ends at record 4, but a head signs record 6"), "{refused}");
}

#[tokio::test]
async fn the_trusted_head_is_the_newest_that_holds() {
    let folder = journal().await;
    let report = Auditor::open(&folder.path()).unwrap().verify(folder.clock.now()).unwrap();
    assert_eq!((report.ok, report.records, report.span, report.heads), (true, 6, Some((1, 6)), 2));
    let (seq, key) = report.trusted_head.unwrap();
    assert_eq!((seq, key.len()), (6, 64));
}

#[tokio::test]
async fn a_journal_whose_heads_are_gone_is_not_vouched_for() {
    let folder = journal().await;
    fs::write(folder.file("audit-heads.jsonl"), "").unwrap();
    assert!(folder.problems().iter().any(|p| p.contains("no signed head is there to vouch")));
    let store = folder.open().unwrap();
    assert!(store.notices().iter().any(|n| n.contains("no signed head was found")), "{:?}", store.notices());
}

#[tokio::test]
async fn a_forged_head_is_found() {
    let folder = journal().await;
    let heads = folder.file("audit-heads.jsonl");
    let good = fs::read_to_string(&heads).unwrap();
    for (from, to) in [
        ("\"seq\":6", "\"seq\":5"),
        ("\"seq\":1", "\"seq\":2"),
        ("\"kind\":\"head\"", "\"kind\":\"cut\""),
        ("{", "["),
    ] {
        fs::write(&heads, good.replacen(from, to, 1)).unwrap();
        assert!(folder.problems().iter().any(|p| p.contains(" of the heads file")), "{to}");
    }
    // Signed by another store's key.
    let other = journal().await;
    fs::copy(other.file("audit-heads.jsonl"), &heads).unwrap();
    assert!(folder.problems().iter().any(|p| p.contains("isn't signed")), "another store's head");
}

#[tokio::test]
async fn what_the_projections_say_is_held_against_the_records() {
    let edits = [
        "UPDATE actions SET state = 'failed'",
        "UPDATE actions SET unfinished = 1",
        "UPDATE actions SET session_id = 's'",
        "UPDATE actions SET record = replace(record, 'notes/1.txt', 'notes/2.txt')",
        "UPDATE actions SET ordinal = 4",
        "DELETE FROM actions",
        "DELETE FROM continuations",
        "INSERT INTO actions SELECT 6, 'act_x', state, NULL, intent, NULL, 0, 0, 0, NULL, record FROM actions",
        "UPDATE claims SET action_id = 'act_x'",
        "UPDATE claims SET request_digest = 'x'",
        "UPDATE claims SET at = at + 1",
        "DELETE FROM claims",
        "INSERT INTO claims SELECT caller, 'k2', action_id, request_digest, at, seq FROM claims",
        "UPDATE documents SET body = '{\"n\":1}'",
        "DELETE FROM documents",
        "INSERT INTO documents SELECT kind, 'x', body, place FROM documents",
        "UPDATE payloads SET ciphertext = zeroblob(length(ciphertext)) WHERE kind = 'params'",
        "UPDATE payloads SET digest = NULL WHERE kind = 'params'",
        "UPDATE payloads SET owner = 'act_x'",
        "DELETE FROM payloads WHERE kind = 'params'",
        "UPDATE outputs SET ciphertext = zeroblob(length(ciphertext))",
    ];
    for edit in edits {
        let folder = journal().await;
        // A list of columns that no longer fits would pass as damage.
        quick(&folder).execute_batch(edit).unwrap();
        assert!(!folder.problems().is_empty(), "{edit}");
        if edit.contains("actions") || edit.contains("documents") || edit.contains("claims") {
            let store = folder.open().unwrap();
            store.rebuild().await.unwrap();
            store.close().await.unwrap();
            assert_eq!(folder.problems(), [""; 0], "rebuilt after {edit}");
        }
    }
}

#[tokio::test]
async fn a_payload_under_another_name_does_not_open() {
    let folder = journal().await;
    quick(&folder).execute("UPDATE payloads SET owner = 'act_x' WHERE kind = 'params'", []).unwrap();
    let store = folder.open().unwrap();
    let refused = store.payload("act_x", PayloadKind::Params).await;
    assert!(matches!(refused, Err(steadyhand_core::store::StoreError::Corrupt(_))));
}

#[tokio::test]
async fn a_row_that_can_not_be_read_fails_who_needs_it_and_nobody_else() {
    let folder = journal().await;
    quick(&folder).execute("UPDATE actions SET record = 'x'", []).unwrap();
    let store = folder.open().unwrap();
    let now = folder.clock.now();
    let mut draft = Draft::plan(1, now);
    let without_record = Commit { record: None, ..draft.commit() };
    let corrupt = |result| matches!(result, Err(steadyhand_core::store::StoreError::Corrupt(_)));
    assert!(corrupt(store.commit(without_record).await));
    assert!(corrupt(store.action(draft.id()).await.map(|_| 0)));
    assert_eq!(store.commit(service(9, now)).await, Ok(7));
}
