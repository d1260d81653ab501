//! What `file.write` does.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use serde_json::{Value, json};
use steadyhand_core::{
    executor::{Executor, SideEffect},
    failure::{Effect, Status},
};
use tokio_util::sync::CancellationToken;

use crate::fixture::{OLD, World, attempt, writing};

fn effect(kind: &str, target: &Path) -> SideEffect {
    SideEffect { kind: kind.to_owned(), target: target.to_str().unwrap().to_owned() }
}

#[tokio::test]
async fn the_result_and_the_effects_are_the_contracts() {
    let world = World::new();
    for (path, was_existing, folders) in
        [("new.txt", false, &[] as &[&str]), ("a.txt", true, &[]), ("x/y/z.txt", false, &["x", "x/y"])]
    {
        let executed = world.write(path, "grüß").await.unwrap();
        let Value::Object(mut result) = executed.result else { panic!("a result is an object") };
        assert!(result.remove("elapsed_ms").unwrap().as_f64().unwrap() >= 0.0);
        let file = world.root.join(path);
        let expected =
            json!({"path": file, "bytes_written": 6, "was_existing": was_existing, "success": true});
        assert_eq!(Value::Object(result), expected);
        let mut effects: Vec<_> =
            folders.iter().map(|folder| effect("folder_created", &world.root.join(folder))).collect();
        effects.push(effect("file_written", &file));
        assert_eq!(executed.side_effects, effects);
        assert_eq!(world.get(path).as_deref(), Some("grüß"));
    }
    assert_eq!(world.temps(), [] as [&Path; 0]);
}

#[tokio::test]
async fn without_content_an_empty_file_is_written() {
    let world = World::new();
    for params in [json!({"path": "a.txt"}), json!({"path": "b.txt", "content": null})] {
        let executed = world.execute(&attempt("file.write", params)).await.unwrap();
        assert_eq!(executed.result["bytes_written"], 0);
    }
    assert_eq!((world.get("a.txt").as_deref(), world.get("b.txt").as_deref()), (Some(""), Some("")));
}

#[tokio::test]
async fn content_is_bounded() {
    let world = World::new();
    let most = "x".repeat(10_485_760);
    assert_eq!(world.write("large", &most).await.unwrap().result["bytes_written"], 10_485_760);
    let failure = world.write("a.txt", &(most + "x")).await.unwrap_err();
    assert_eq!(failure.message, "Content too large: 10485761 bytes (max 10485760)");
    assert_eq!(world.get("a.txt").as_deref(), Some(OLD));
    let failure =
        world.execute(&attempt("file.write", json!({"path": "a.txt", "content": 1}))).await.unwrap_err();
    assert_eq!(failure.message, "Parameter 'content' must be a string, got a number");
}

#[tokio::test]
async fn permissions_are_kept_and_special_bits_are_not() {
    let world = World::new();
    for (mode, kept) in [(0o600, 0o600), (0o755, 0o755), (0o640, 0o640), (0o4755, 0o755), (0o2770, 0o770)] {
        let file = world.root.join("a.txt");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        world.write("a.txt", &format!("{mode:o}")).await.unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, kept, "{mode:o}");
    }
    world.write("fresh", "").await.unwrap();
    assert_eq!(fs::metadata(world.root.join("fresh")).unwrap().mode() & 0o133, 0, "nobody else may write it");
}

#[tokio::test]
async fn the_owner_is_kept_where_that_is_allowed() {
    let world = World::new();
    let file = world.root.join("a.txt");
    // Only the administrator can give the file away first.
    if std::os::unix::fs::chown(&file, Some(65_534), Some(65_534)).is_err() {
        return;
    }
    world.write("a.txt", "new").await.unwrap();
    let found = fs::metadata(&file).unwrap();
    assert_eq!((found.uid(), found.gid()), (65_534, 65_534));
}

#[tokio::test]
async fn a_link_is_written_through_and_stays() {
    let world = World::new();
    world.link("link", "sub/b.txt");
    world.link("link2", world.root.join("link"));
    for link in ["link", "link2"] {
        let executed = world.write(link, link).await.unwrap();
        assert_eq!(executed.result["path"], world.root.join("sub/b.txt").to_str().unwrap());
        assert!(fs::symlink_metadata(world.root.join(link)).unwrap().is_symlink());
        assert_eq!(world.get("sub/b.txt").as_deref(), Some(link));
    }
}

#[tokio::test]
async fn other_names_of_the_file_keep_the_old_content() {
    let world = World::new();
    fs::hard_link(world.root.join("a.txt"), world.root.join("other")).unwrap();
    world.write("a.txt", "new").await.unwrap();
    assert_eq!((world.get("a.txt").as_deref(), world.get("other").as_deref()), (Some("new"), Some(OLD)));
}

#[tokio::test]
async fn a_full_disk_leaves_the_old_content_and_nothing_else() {
    let world = World::new();
    let full = world.root.join("full");
    fs::create_dir(&full).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    // Mounting takes the administrator's rights; without them there is no small disk to fill.
    if rustix::mount::mount("tmpfs", &full, "tmpfs", flags, c"size=64k").is_err() {
        return;
    }
    world.put("full/a.txt", OLD);
    let before = world.snapshot("root/full");
    let ended = [
        world.write("full/a.txt", &"x".repeat(1 << 20)).await,
        world.write("full/x/y/new", &"x".repeat(1 << 20)).await,
    ];
    let after = world.snapshot("root/full");
    let fits = world.write("full/a.txt", "fits").await;
    rustix::mount::unmount(&full, rustix::mount::UnmountFlags::DETACH).unwrap();
    for failure in ended.map(Result::unwrap_err) {
        assert!(failure.message.starts_with("writing the temporary file failed: "), "{}", failure.message);
        assert_eq!((failure.status, failure.effect), (Status::Error, Effect::None));
    }
    assert!(after == before, "a failed write left something");
    assert_eq!(fits.unwrap().result["bytes_written"], 4);
}

#[tokio::test]
async fn a_cancelled_write_changes_nothing() {
    let world = World::new();
    let before = world.snapshot("root");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let failure = world.hands.execute(&writing("x/new", "new"), &cancel).await.unwrap_err();
    assert_eq!((failure.status, failure.effect), (Status::Cancelled, Effect::None));
    assert!(world.snapshot("root") == before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_cancelled_at_any_moment_is_whole_or_nothing() {
    let world = World::new();
    let large = "n".repeat(4 << 20);
    for yields in 0..60 {
        world.put("a.txt", OLD);
        let cancel = CancellationToken::new();
        let attempt = writing("a.txt", &large);
        let work = world.hands.execute(&attempt, &cancel);
        let stopping = async {
            for _ in 0..yields * 20 {
                tokio::task::yield_now().await;
            }
            cancel.cancel();
        };
        let (result, ()) = tokio::join!(work, stopping);
        let now = world.get("a.txt").unwrap();
        match result {
            Ok(_) => assert!(now == large),
            Err(failure) => {
                assert_eq!((failure.status, failure.effect), (Status::Cancelled, Effect::None));
                assert_eq!(now, OLD);
            }
        }
        assert_eq!(world.temps(), [] as [&Path; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_sees_a_mix() {
    let world = World::new();
    let contents = ["a".repeat(1 << 20), "b".repeat(1 << 20)];
    world.put("a.txt", &contents[0]);
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (file, done) = (world.root.join("a.txt"), Arc::clone(&done));
        std::thread::spawn(move || {
            let mut seen = 0;
            while !done.load(Ordering::SeqCst) || seen == 0 {
                let content = fs::read(&file).expect("the file is always there");
                assert_eq!(content.len(), 1 << 20);
                assert!(content.iter().all(|byte| *byte == content[0]), "a mix");
                seen += 1;
            }
        })
    };
    for round in 0..40 {
        world.write("a.txt", &contents[(round + 1) % 2]).await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    reader.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_at_once_all_end_and_leave_one_of_them() {
    let world = World::new();
    let writes = (0..32).map(|n| {
        let world = &world;
        async move { world.write("made/here/shared", &format!("{n}").repeat(1000)).await }
    });
    let results = futures_util::future::join_all(writes).await;
    let failures: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    for failure in &failures {
        // Someone else's write came between the look and the act, again and again.
        assert!(failure.message.contains("kept changing"), "{}", failure.message);
        assert_eq!(failure.effect, Effect::None);
    }
    let content = world.get("made/here/shared").unwrap();
    let winner = (0..32).any(|n| content == format!("{n}").repeat(1000));
    assert!(winner && failures.len() < 32);
    assert_eq!(world.temps(), [] as [&Path; 0]);
}

#[tokio::test]
async fn what_a_crash_left_is_swept_and_the_young_is_not() {
    let world = World::new();
    let stale = world.root.join(".steadyhand-00000000000000aa.tmp");
    let young = world.root.join(".steadyhand-00000000000000bb.tmp");
    let other = world.root.join("sub/.steadyhand-00000000000000cc.tmp");
    let theirs = world.root.join(".steadyhand-notes.tmp");
    fs::write(&theirs, "theirs").unwrap();
    fs::File::options().write(true).open(&theirs).unwrap().set_modified(UNIX_EPOCH).unwrap();
    for file in [&stale, &young, &other] {
        fs::write(file, "half").unwrap();
    }
    for file in [&stale, &other] {
        fs::File::options().write(true).open(file).unwrap().set_modified(UNIX_EPOCH).unwrap();
    }
    world.write("a.txt", "new").await.unwrap();
    assert_eq!(world.temps(), [young.clone(), theirs.clone(), other.clone()]);
    // Once it has aged it goes too: the folder wasn't clean.
    let aged = fs::metadata(&young).unwrap().modified().unwrap() - Duration::from_secs(3600);
    fs::File::options().write(true).open(&young).unwrap().set_modified(aged).unwrap();
    world.write("a.txt", "newer").await.unwrap();
    world.write("sub/new", "new").await.unwrap();
    assert_eq!(world.temps(), [theirs]);
}
