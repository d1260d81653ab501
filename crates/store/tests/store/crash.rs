//! What a crash can leave behind is repaired at the next start.

use std::{fs, path::Path};

use steadyhand_core::{
    store::{Query, Store as _},
    time::Clock as _,
};
use steadyhand_testkit::histories::Draft;

use crate::home::{Folder, open_at, problems};

/// Copies a folder as a crash at this moment would leave it; the lock's holder is gone then.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        // The shared-memory file doesn't outlive a machine.
        } else if !entry.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_log_torn_at_any_place_leaves_a_whole_prefix() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let now = folder.clock.now();
    let wal = |at: &Path| at.join("journal.db-wal");
    let mut acknowledged = Vec::new();
    for n in 0..6 {
        let mut draft = Draft::plan(n, now);
        store.commit(draft.succeed(now).commit()).await.unwrap();
        acknowledged.push(fs::metadata(wal(&folder.path())).unwrap().len());
    }
    let scratch = tempfile::tempdir().unwrap();
    let crashed = scratch.path().join("crashed");
    copy(&folder.path(), &crashed);
    let end = *acknowledged.last().unwrap();
    // The log's file may be longer than what was written to it; the last frames are what counts.
    let cuts =
        (acknowledged[3]..=end).step_by(97).chain([acknowledged[4] - 1, acknowledged[4], end - 1, end]);
    let full = fs::read(wal(&crashed)).unwrap();
    let (mut least, mut most) = (u64::MAX, 0);
    for cut in cuts {
        let torn = scratch.path().join(format!("torn-{cut}"));
        copy(&crashed, &torn);
        fs::write(wal(&torn), &full[..cut as usize]).unwrap();
        let store = open_at(&torn, folder.options, &folder.clock).unwrap();
        let kept = store.actions(&Query { limit: 10, ..Query::default() }).await.unwrap().total;
        let lasting = acknowledged.iter().filter(|end| **end <= cut).count() as u64;
        assert!((lasting..=6).contains(&kept), "{kept} kept of {lasting} whole ones, cut at {cut}");
        let mut next = Draft::plan(100, now);
        assert_eq!(store.commit(next.commit()).await, Ok(kept + 1));
        store.close().await.unwrap();
        drop(store);
        assert_eq!(problems(&torn, &folder.clock), [""; 0], "cut at {cut}");
        (least, most) = (least.min(kept), most.max(kept));
        fs::remove_dir_all(torn).unwrap();
    }
    assert!(least < 6 && most == 6, "the cuts reach from {least} to {most} commits");
}

#[tokio::test]
async fn a_log_with_a_turned_byte_leaves_a_whole_prefix() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let now = folder.clock.now();
    for n in 0..4 {
        store.commit(Draft::plan(n, now).succeed(now).commit()).await.unwrap();
    }
    let scratch = tempfile::tempdir().unwrap();
    let crashed = scratch.path().join("crashed");
    copy(&folder.path(), &crashed);
    let wal = fs::read(crashed.join("journal.db-wal")).unwrap();
    // The schema is at the log's beginning, and without it there is no journal to open.
    for at in (wal.len() * 3 / 4..wal.len()).step_by(4_001) {
        let torn = scratch.path().join("torn");
        copy(&crashed, &torn);
        let mut bytes = wal.clone();
        bytes[at] ^= 0x40;
        fs::write(torn.join("journal.db-wal"), bytes).unwrap();
        let store = open_at(&torn, folder.options, &folder.clock).unwrap();
        assert!(store.audit().await.unwrap().ok, "{at}");
        drop(store);
        fs::remove_dir_all(torn).unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_store_that_was_never_closed() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let now = folder.clock.now();
    let mut draft = Draft::plan(1, now);
    store.commit(draft.commit()).await.unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let crashed = scratch.path().join("crashed");
    copy(&folder.path(), &crashed);
    drop(store);
    let store = open_at(&crashed, folder.options, &folder.clock).unwrap();
    assert_eq!(store.unfinished().await.unwrap(), [draft.record.clone()]);
}

#[tokio::test]
async fn a_torn_head_is_taken_off_and_told() {
    let folder = Folder::new();
    let heads = folder.file("audit-heads.jsonl");
    let now = folder.clock.now();
    for n in 0..2 {
        let store = folder.open().unwrap();
        assert_eq!(store.notices(), [""; 0]);
        store.commit(Draft::plan(n, now).commit()).await.unwrap();
        store.close().await.unwrap();
    }
    let whole = fs::read(&heads).unwrap();
    let first = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
    for end in [first + 1, first + 100, whole.len() - 1] {
        fs::write(&heads, &whole[..end]).unwrap();
        assert_eq!(folder.problems(), [""; 0], "a torn head says nothing");
        let store = folder.open().unwrap();
        assert!(store.notices()[0].contains("torn by a crash"), "{:?}", store.notices());
        store.close().await.unwrap();
        // The records that the torn head had signed are signed anew.
        let lines = fs::read_to_string(&heads).unwrap().lines().count();
        assert_eq!(lines, 2, "cut at {end}");
        assert_eq!(folder.problems(), [""; 0]);
    }
}

#[tokio::test]
async fn a_first_start_that_died_halfway_goes_on() {
    let folder = Folder::new();
    drop(folder.open().unwrap());
    for name in ["keys/salt", "journal.db"] {
        fs::remove_file(folder.file(name)).unwrap();
    }
    fs::remove_file(folder.file("audit-heads.jsonl")).unwrap();
    fs::write(folder.file("keys/salt.new"), b"half").unwrap();
    let store = folder.open().unwrap();
    assert_eq!(store.salt().len(), 32);
    assert!(!folder.file("keys/salt.new").exists());
}

#[tokio::test]
async fn heads_are_signed_by_count_and_by_age() {
    let mut folder = Folder::new();
    folder.options.head_records = 3;
    let store = folder.open().unwrap();
    let lines = || fs::read_to_string(folder.file("audit-heads.jsonl")).unwrap().lines().count();
    let mut n = 0;
    let mut commit = async |count: u64| {
        for _ in 0..count {
            n += 1;
            store.commit(Draft::plan(n, folder.clock.now()).commit()).await.unwrap();
        }
        // Whatever follows a commit of the writer's is done before the next one is answered.
        store.rebuild().await.unwrap();
        lines()
    };
    assert_eq!(commit(1).await, 1, "the first commit has one at once");
    assert_eq!(commit(2).await, 1);
    assert_eq!(commit(1).await, 2);
    assert_eq!(commit(1).await, 2);
    folder.clock.advance(folder.options.head_every);
    assert_eq!(commit(1).await, 3);
    assert!(store.audit().await.unwrap().ok);
}
