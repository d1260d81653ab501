//! What was written is put back, unless the world moved on.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use steadyhand_core::executor::{Attempt, Executor, Prepared, UndoError, UndoMode};

use crate::fixture::{OLD, World, attempt};

/// Writes, and gives what an undo needs.
async fn done(world: &World, path: &str, content: &str) -> (Attempt, Prepared) {
    let (attempt, prepared) = world.sealed(path, content).await;
    world.execute(&attempt).await.unwrap();
    (attempt, prepared)
}

#[tokio::test]
async fn the_old_content_is_put_back_with_its_permissions() {
    let world = World::new();
    fs::set_permissions(world.root.join("a.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    let (attempt, prepared) = done(&world, "a.txt", "new\n").await;
    let file = world.root.join("a.txt");

    let told = world.undo(&attempt, &prepared, UndoMode::DryRun).await.unwrap();
    assert_eq!(told.summary, format!("the 4 bytes that `{}` held would be put back", file.display()));
    assert_eq!(told.diff.as_deref(), Some("--- now\n+++ put back\n@@ -1 +1 @@\n-new\n+old\n"));
    assert_eq!(world.get("a.txt").as_deref(), Some("new\n"));

    let undone = world.undo(&attempt, &prepared, UndoMode::Real).await.unwrap();
    assert_eq!(undone.summary, format!("the 4 bytes that `{}` held were put back", file.display()));
    assert_eq!(undone.diff, told.diff);
    assert_eq!(world.get("a.txt").as_deref(), Some(OLD));
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
    assert_eq!(world.temps(), [] as [&Path; 0]);

    let again = world.undo(&attempt, &prepared, UndoMode::Real).await.unwrap();
    assert_eq!(again.summary, format!("`{}` is already as it was before", file.display()));
}

#[tokio::test]
async fn a_file_that_was_not_there_is_removed() {
    let world = World::new();
    let (attempt, prepared) = done(&world, "x/new", "new").await;
    let file = world.root.join("x/new");
    let told = world.undo(&attempt, &prepared, UndoMode::DryRun).await.unwrap();
    assert_eq!(told.summary, format!("`{}`, which wasn't there before, would be removed", file.display()));
    assert!(file.exists());
    let undone = world.undo(&attempt, &prepared, UndoMode::Real).await.unwrap();
    assert_eq!(undone.summary, format!("`{}`, which wasn't there before, was removed", file.display()));
    assert!(!file.exists());
    let again = world.undo(&attempt, &prepared, UndoMode::Real).await.unwrap();
    assert_eq!(again.summary, format!("`{}` is already as it was before", file.display()));
}

#[tokio::test]
async fn an_empty_file_is_not_an_absent_one() {
    let world = World::new();
    world.put("empty", "");
    let (attempt, prepared) = done(&world, "empty", "new").await;
    world.undo(&attempt, &prepared, UndoMode::Real).await.unwrap();
    assert_eq!(world.get("empty").as_deref(), Some(""));
}

#[tokio::test]
async fn content_that_is_no_text_is_put_back_byte_for_byte() {
    let world = World::new();
    world.put("binary", [0xff, 0, 0xfe]);
    let (attempt, prepared) = done(&world, "binary", "new").await;
    let undone = world.undo(&attempt, &prepared, UndoMode::Real).await.unwrap();
    assert_eq!(undone.diff, None);
    assert_eq!(fs::read(world.root.join("binary")).unwrap(), [0xff, 0, 0xfe]);
}

#[tokio::test]
async fn an_undo_that_would_destroy_later_work_is_a_conflict() {
    type Change = fn(&World);
    let changes: [(&str, Change, &str, Option<&str>); 4] = [
        (
            "a.txt",
            |w| w.put("a.txt", "later\n"),
            "was changed since the action wrote it",
            Some("--- written\n+++ now\n@@ -1 +1 @@\n-new\n+later\n"),
        ),
        (
            "a.txt",
            |w| fs::remove_file(w.root.join("a.txt")).unwrap(),
            "was removed since the action wrote it",
            Some("--- written\n+++ now\n@@ -1 +0,0 @@\n-new\n"),
        ),
        ("a.txt", |w| w.put("a.txt", [0xff]), "was changed since the action wrote it", None),
        (
            "new.txt",
            |w| w.put("new.txt", "new\nlater\n"),
            "was changed since the action wrote it",
            Some("--- written\n+++ now\n@@ -1 +1,2 @@\n new\n+later\n"),
        ),
    ];
    for (path, change, says, expected) in changes {
        for mode in [UndoMode::DryRun, UndoMode::Real] {
            let world = World::new();
            let (attempt, prepared) = done(&world, path, "new\n").await;
            change(&world);
            let before = world.snapshot("root");
            let Err(UndoError::Conflict { message, diff }) = world.undo(&attempt, &prepared, mode).await
            else {
                panic!("{path} {says} and was undone")
            };
            assert_eq!(message, format!("`{}` {says}", world.root.join(path).display()));
            assert_eq!(diff.as_deref(), expected);
            assert!(world.snapshot("root") == before, "a conflict changed something");
        }
    }
}

#[tokio::test]
async fn a_file_too_large_for_the_bound_is_a_conflict_without_a_diff() {
    let world = World::new();
    let (attempt, prepared) = done(&world, "a.txt", "new").await;
    fs::File::options().write(true).open(world.root.join("a.txt")).unwrap().set_len(11 << 20).unwrap();
    let undone = world.undo(&attempt, &prepared, UndoMode::Real).await;
    assert!(matches!(undone, Err(UndoError::Conflict { diff: None, .. })), "{undone:?}");
}

#[tokio::test]
async fn a_folder_in_the_files_place_is_a_conflict() {
    let world = World::new();
    let (attempt, prepared) = done(&world, "a.txt", "new").await;
    fs::remove_file(world.root.join("a.txt")).unwrap();
    fs::create_dir(world.root.join("a.txt")).unwrap();
    let Err(UndoError::Conflict { message, .. }) = world.undo(&attempt, &prepared, UndoMode::Real).await
    else {
        panic!("a folder was taken for the file")
    };
    assert!(message.ends_with("was changed since the action wrote it: Not a file: a.txt"), "{message}");
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_a_conflict() {
    let world = World::new();
    world.link("link", "a.txt");
    let (attempt, prepared) = done(&world, "link", "new").await;
    world.put("equal", "new");
    fs::remove_file(world.root.join("link")).unwrap();
    world.link("link", "equal");
    let Err(UndoError::Conflict { message, .. }) = world.undo(&attempt, &prepared, UndoMode::Real).await
    else {
        panic!("it was undone elsewhere")
    };
    assert_eq!(message, format!("`link` is `{}` by now", world.root.join("equal").display()));
    assert_eq!((world.get("equal").as_deref(), world.get("a.txt").as_deref()), (Some("new"), Some("new")));
}

#[tokio::test]
async fn what_was_not_kept_cannot_be_put_back() {
    let world = World::new();
    fs::File::create(world.root.join("large")).unwrap().set_len(11 << 20).unwrap();
    let (large, prepared) = done(&world, "large", "new").await;
    let (small, _) = done(&world, "a.txt", "new").await;
    let lost = Prepared { operands: Vec::new(), pre_image: None };
    let wrong = Prepared { operands: Vec::new(), pre_image: Some(b"wrong".to_vec()) };
    let unsealed = Attempt { operands: Vec::new(), ..small.clone() };
    for (attempt, prepared, says) in [
        (&large, &prepared, "what the file held wasn't kept, so it can't be put back"),
        (&small, &lost, "what the file held wasn't kept, so it can't be put back"),
        (&small, &wrong, "what was kept of the file isn't what the file held"),
        (&unsealed, &lost, "nothing is known of the file before the action"),
    ] {
        for mode in [UndoMode::DryRun, UndoMode::Real] {
            let error = world.undo(attempt, prepared, mode).await.unwrap_err();
            assert_eq!(error.to_string(), says);
            assert!(matches!(error, UndoError::Failed(_)));
        }
    }
    assert_eq!((world.get("large").as_deref(), world.get("a.txt").as_deref()), (Some("new"), Some("new")));
}

#[tokio::test]
async fn only_writes_can_be_undone() {
    let world = World::new();
    for intent in ["file.read", "shell.run", "mouse.click", "no.such"] {
        let attempt = attempt(intent, serde_json::json!({"path": "a.txt"}));
        let error = world.hands.undo(&attempt, None, UndoMode::Real).await.unwrap_err();
        assert_eq!(error, UndoError::NotReversible(intent.to_owned()));
    }
}
