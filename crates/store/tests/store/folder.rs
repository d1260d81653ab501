//! Who may open a store, and what is said to those who may not.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use steadyhand_core::{store::Store as _, time::Clock as _};
use steadyhand_store::{Auditor, OpenError};
use steadyhand_testkit::histories::Draft;

use crate::home::Folder;

fn mode(folder: &Folder, name: &str) -> u32 {
    fs::metadata(folder.file(name)).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn everything_is_for_this_user_alone() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    store.commit(Draft::plan(1, folder.clock.now()).commit()).await.unwrap();
    for (name, expected) in [
        ("", 0o700),
        ("keys", 0o700),
        ("keys/payload.key", 0o600),
        ("keys/audit.key", 0o600),
        ("keys/salt", 0o600),
        ("journal.db", 0o600),
        ("journal.db-wal", 0o600),
        ("audit-heads.jsonl", 0o600),
        ("lock", 0o600),
    ] {
        assert_eq!(mode(&folder, name), expected, "{name}");
    }
}

#[tokio::test]
async fn a_second_instance_is_refused_and_told_who_holds_it() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    match folder.open() {
        Err(OpenError::InUse { pid, .. }) => assert_eq!(pid, std::process::id()),
        other => panic!("{other:?}"),
    }
    store.close().await.unwrap();
    // Closed is free, though the first one is still there.
    folder.open().unwrap();
}

#[tokio::test]
async fn a_running_journal_can_be_verified_by_another() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let now = folder.clock.now();
    for n in 0..3 {
        store.commit(Draft::plan(n, now).commit()).await.unwrap();
    }
    let report = Auditor::open(&folder.path()).unwrap().verify(now).unwrap();
    assert_eq!((report.ok, report.records), (true, 3));
    store.commit(Draft::plan(9, now).commit()).await.unwrap();
}

#[test]
fn a_key_that_others_can_read_is_refused_with_what_to_do() {
    let folder = Folder::new();
    drop(folder.open().unwrap());
    for name in ["keys/payload.key", "keys/audit.key", "keys/salt"] {
        for exposed in [0o640, 0o604, 0o660] {
            fs::set_permissions(folder.file(name), Permissions::from_mode(exposed)).unwrap();
            let refused = folder.open().unwrap_err().to_string();
            assert!(refused.contains("chmod 600") && refused.contains(name), "{refused}");
        }
        fs::set_permissions(folder.file(name), Permissions::from_mode(0o600)).unwrap();
    }
    folder.open().unwrap();
}

#[test]
fn a_missing_key_is_never_made_anew_beside_a_journal() {
    for name in ["keys/payload.key", "keys/audit.key", "keys/salt"] {
        let folder = Folder::new();
        drop(folder.open().unwrap());
        fs::remove_file(folder.file(name)).unwrap();
        assert!(matches!(folder.open(), Err(OpenError::KeyMissing { .. })), "{name}");
        assert!(!folder.file(name).exists(), "{name}");
    }
}

#[test]
fn a_key_of_the_wrong_size_is_refused() {
    for bytes in [0, 31, 33] {
        let folder = Folder::new();
        drop(folder.open().unwrap());
        fs::write(folder.file("keys/payload.key"), vec![7; bytes]).unwrap();
        match folder.open() {
            Err(OpenError::KeyMalformed { bytes: found, .. }) => assert_eq!(found, bytes),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = Folder::new();
    drop(folder.open().unwrap());
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
                 SELECT 999, 'later', applied_on, '1' FROM refinery_schema_history LIMIT 1";
    assert_eq!(folder.raw().execute(newer, []).unwrap(), 1);
    match folder.open() {
        Err(OpenError::Newer { found, known, .. }) => assert_eq!((found, known), (999, 1)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = Folder::new();
    drop(folder.open().unwrap());
    fs::write(folder.file("journal.db"), "not a database, but long enough to look like one".repeat(100))
        .unwrap();
    assert!(matches!(folder.open(), Err(OpenError::Corrupt { .. })));
}

#[test]
fn a_folder_that_can_not_be_made_is_told() {
    let folder = Folder::new();
    fs::write(folder.path(), "a file").unwrap();
    let refused = folder.open().unwrap_err();
    assert!(matches!(refused, OpenError::Io { .. }), "{refused:?}");
    assert!(refused.to_string().contains("journal"), "{refused}");
}

#[test]
fn the_end_of_the_chain_is_checked_at_a_start() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = folder.open().unwrap();
        store.commit(Draft::plan(1, folder.clock.now()).commit()).await.unwrap();
        store.close().await.unwrap();
    });
    folder.raw().execute("UPDATE records SET at = at + 1", []).unwrap();
    assert!(matches!(folder.open(), Err(OpenError::BrokenChain { .. })));
}
