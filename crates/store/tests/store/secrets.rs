//! What is secret never reaches the disk in plain text.

use std::{fs, path::Path};

use steadyhand_core::{
    store::{Commit, Found, Keep, Payload, PayloadKind, Store as _},
    time::Clock as _,
};
use steadyhand_testkit::histories::Draft;

use crate::home::Folder;

const SECRET: &[u8] = b"correct horse battery staple";

fn files_with(folder: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if fs::read(&path).unwrap().windows(needle.len()).any(|w| w == needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn exact_bytes_are_in_no_file_of_the_folder() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let now = folder.clock.now();
    let mut draft = Draft::plan(1, now);
    let owner = draft.id().as_str().to_owned();
    let kinds = [
        (PayloadKind::Params, Keep::WithAction),
        (PayloadKind::PreImage, Keep::WithAction),
        (PayloadKind::Output, Keep::UnderQuota),
    ];
    let payloads =
        kinds.map(|(kind, keep)| Payload { owner: owner.clone(), kind, keep, bytes: SECRET.to_vec() });
    store.commit(Commit { payloads: payloads.to_vec(), ..draft.commit() }).await.unwrap();
    let shown = draft.record.intent.as_bytes();
    for moment in ["running", "closed"] {
        assert_eq!(files_with(&folder.path(), SECRET), [""; 0], "{moment}");
        // The search does find what is there.
        assert!(!files_with(&folder.path(), shown).is_empty(), "{moment}");
        if moment == "running" {
            store.close().await.unwrap();
        }
    }
    drop(store);
    let store = folder.open().unwrap();
    for (kind, _) in kinds {
        assert!(store.payload(&owner, kind).await.unwrap() == Found::Bytes(SECRET.to_vec()));
    }
}

#[test]
fn secrets_do_not_show_when_printed() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let salt: String = store.salt().iter().map(|b| format!("{b:02x}")).collect();
    let shown = format!("{store:?}");
    assert!(!shown.contains(&salt) && !shown.contains("cipher"), "{shown}");
}
