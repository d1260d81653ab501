//! What retention leaves is still a chain.

use std::{fs, time::Duration};

use steadyhand_core::{
    store::{Commit, Found, Keep, Payload, PayloadKind, Retention, Store as _},
    time::Clock as _,
};
use steadyhand_store::SqliteStore;
use steadyhand_testkit::histories::Draft;

use crate::home::Folder;

const AGE: Duration = Duration::from_secs(3_600);
const RETENTION: Retention = Retention { age: AGE, journal_bytes_max: u64::MAX, output_bytes_max: u64::MAX };

async fn ended(store: &SqliteStore, folder: &Folder, numbers: std::ops::Range<u64>) {
    let now = folder.clock.now();
    for n in numbers {
        store.commit(Draft::plan(n, now).succeed(now).commit()).await.unwrap();
    }
}

/// A journal of records 4 to 6, whose first three were dropped.
async fn swept() -> Folder {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    ended(&store, &folder, 0..3).await;
    folder.clock.advance(AGE + Duration::from_secs(1));
    ended(&store, &folder, 3..6).await;
    assert_eq!(store.sweep(RETENTION, folder.clock.now()).await.unwrap().records, 3);
    store.close().await.unwrap();
    assert_eq!(folder.problems(), [""; 0]);
    folder
}

#[tokio::test]
async fn the_chain_goes_on_after_a_cut_and_a_restart() {
    let folder = swept().await;
    let store = folder.open().unwrap();
    ended(&store, &folder, 6..8).await;
    let report = store.audit().await.unwrap();
    assert_eq!((report.ok, report.span), (true, Some((4, 8))), "{:?}", report.problems);
    store.rebuild().await.unwrap();
    assert!(store.audit().await.unwrap().ok);
}

#[tokio::test]
async fn a_journal_that_was_dropped_whole_goes_on() {
    let folder = swept().await;
    let store = folder.open().unwrap();
    folder.clock.advance(AGE + Duration::from_secs(1));
    assert_eq!(store.sweep(RETENTION, folder.clock.now()).await.unwrap().records, 3);
    store.close().await.unwrap();
    drop(store);
    assert_eq!(folder.problems(), [""; 0]);
    let store = folder.open().unwrap();
    assert_eq!(store.commit(Draft::plan(9, folder.clock.now()).commit()).await, Ok(7));
    assert!(store.audit().await.unwrap().ok);
}

#[tokio::test]
async fn more_than_a_step_is_swept_in_steps() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    ended(&store, &folder, 0..1_201).await;
    folder.clock.advance(AGE + Duration::from_secs(1));
    let swept = store.sweep(RETENTION, folder.clock.now()).await.unwrap();
    assert_eq!((swept.actions, swept.records), (1_201, 1_201));
    assert!(store.audit().await.unwrap().ok);
}

#[tokio::test]
async fn a_prefix_removed_without_the_store_is_found() {
    let folder = swept().await;
    folder
        .raw()
        .execute_batch("DELETE FROM records WHERE seq = 4; DELETE FROM actions WHERE ordinal = 4")
        .unwrap();
    assert!(
        folder.problems().iter().any(|p| p.contains("where record 4 belongs")),
        "{:?}",
        folder.problems()
    );
}

#[tokio::test]
async fn a_forged_cut_is_found() {
    for edit in [
        "UPDATE meta SET value = replace(value, '\"seq\":3', '\"seq\":4') WHERE name = 'cut'",
        "DELETE FROM meta WHERE name = 'cut'",
        "UPDATE meta SET value = '' WHERE name = 'cut'",
    ] {
        let folder = swept().await;
        assert_eq!(folder.raw().execute(edit, []).unwrap(), 1);
        assert!(!folder.problems().is_empty(), "{edit}");
        assert!(folder.open().is_err(), "{edit}");
    }
}

#[tokio::test]
async fn heads_of_dropped_records_go_and_the_cut_is_noted() {
    let mut folder = Folder::new();
    folder.options.head_records = 1;
    let store = folder.open().unwrap();
    ended(&store, &folder, 0..5).await;
    folder.clock.advance(AGE + Duration::from_secs(1));
    ended(&store, &folder, 5..7).await;
    store.sweep(RETENTION, folder.clock.now()).await.unwrap();
    let heads = fs::read_to_string(folder.file("audit-heads.jsonl")).unwrap();
    assert!(heads.starts_with("{\"kind\":\"cut\"") && heads.contains("\"seq\":5,"), "{heads}");
    assert!(!heads.contains("\"seq\":4,"), "{heads}");
    // Heads still go to the file that replaced the old one.
    ended(&store, &folder, 7..8).await;
    store.close().await.unwrap();
    assert!(fs::read_to_string(folder.file("audit-heads.jsonl")).unwrap().contains("\"seq\":8,"));
    assert_eq!(folder.problems(), [""; 0]);
}

#[tokio::test]
async fn a_tombstone_is_forgotten_after_another_age() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let now = folder.clock.now();
    let mut draft = Draft::plan(1, now);
    let owner = draft.id().as_str().to_owned();
    let (kind, keep) = (PayloadKind::Params, Keep::WithAction);
    let payload = Payload { owner: owner.clone(), kind, keep, bytes: b"exact".to_vec() };
    store.commit(Commit { payloads: vec![payload], ..draft.succeed(now).commit() }).await.unwrap();
    for expected in [Found::Expired, Found::Never] {
        folder.clock.advance(AGE + Duration::from_secs(1));
        store.sweep(RETENTION, folder.clock.now()).await.unwrap();
        assert!(store.payload(&owner, kind).await.unwrap() == expected);
    }
}
