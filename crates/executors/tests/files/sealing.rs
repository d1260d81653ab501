//! What was shown is what is written, or nothing is.

use std::{fs, path::Path};

use steadyhand_core::{
    approval::Operand,
    digest::Digest,
    executor::{Attempt, Executor, Prepared},
    failure::{Effect, Status},
};

use crate::fixture::{OLD, World, attempt, writing};

fn identity(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::metadata(path).unwrap();
    format!("{}:{}", found.dev(), found.ino())
}

#[tokio::test]
async fn a_look_seals_what_is_there_and_keeps_it_for_an_undo() {
    let world = World::new();
    let (_, prepared) = world.sealed("sub/../a.txt", "new").await;
    let file = world.root.join("a.txt");
    let operand = Operand {
        param: "path".to_owned(),
        path: file.to_str().unwrap().to_owned(),
        identity: identity(&file),
        digest: Some(Digest::of(OLD.as_bytes())),
        size: OLD.len() as u64,
    };
    assert_eq!(prepared, Prepared { operands: vec![operand], pre_image: Some(OLD.into()) });
}

#[tokio::test]
async fn what_is_not_there_is_sealed_as_absent_and_nothing_is_made() {
    let world = World::new();
    let before = world.snapshot("root");
    for (path, folder) in [("new", "."), ("sub/new", "sub"), ("sub/x/y/new", "sub")] {
        let (_, prepared) = world.sealed(path, "new").await;
        let operand = Operand {
            param: "path".to_owned(),
            path: world.root.join(path).to_str().unwrap().to_owned(),
            identity: identity(&world.root.join(folder)),
            digest: None,
            size: 0,
        };
        assert_eq!(prepared, Prepared { operands: vec![operand], pre_image: None }, "{path}");
    }
    assert!(world.snapshot("root") == before);
}

#[tokio::test]
async fn a_look_says_what_an_execution_would_say() {
    let world = World::new();
    for (path, content, message) in [
        ("../x", "", "Path '../x' is outside sandbox or is protected"),
        ("kept/x", "", "Path 'kept/x' is outside sandbox or is protected"),
        ("sub", "", "Not a file: sub"),
        ("", "", "path argument required"),
    ] {
        let looked = world.hands.prepare(&writing(path, content)).await.unwrap_err();
        let executed = world.write(path, content).await.unwrap_err();
        assert_eq!((looked.message.as_str(), executed.message.as_str()), (message, message), "{path}");
    }
    let failure = world.hands.prepare(&writing("a.txt", &"x".repeat(10_485_761))).await.unwrap_err();
    assert_eq!(failure.message, "Content too large: 10485761 bytes (max 10485760)");
}

#[tokio::test]
async fn a_file_too_large_to_keep_is_sealed_by_identity_and_size() {
    let world = World::new();
    let file = fs::File::create(world.root.join("large")).unwrap();
    file.set_len(10_485_761).unwrap();
    let (attempt, prepared) = world.sealed("large", "new").await;
    assert_eq!((&prepared.operands[0].digest, prepared.operands[0].size), (&None, 10_485_761));
    assert_eq!(prepared.pre_image, None);
    file.set_len(10_485_762).unwrap();
    stale(&world, &attempt).await;
    file.set_len(10_485_761).unwrap();
    world.execute(&attempt).await.unwrap();
    assert_eq!(world.get("large").as_deref(), Some("new"));
}

/// Checks that the attempt is refused as stale and that nothing changes.
async fn stale(world: &World, attempt: &Attempt) {
    let before = world.snapshot("root");
    let failure = world.execute(attempt).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("APPROVAL_STALE"));
    assert_eq!((failure.status, failure.effect), (Status::PolicyDenied, Effect::None));
    let path = &attempt.operands[0].path;
    assert_eq!(failure.message, format!("`{path}` changed after this was shown"));
    assert!(world.snapshot("root") == before, "a refused write changed something");
}

#[tokio::test]
async fn a_file_that_changed_since_is_not_written() {
    type Change = fn(&World);
    let changes: [(&str, &str, Change); 9] = [
        ("its content", "a.txt", |w| w.put("a.txt", "odd\n")),
        ("its length", "a.txt", |w| w.put("a.txt", "old\nold\n")),
        ("it was replaced by an equal one", "a.txt", |w| {
            w.put("equal", OLD);
            fs::rename(w.root.join("equal"), w.root.join("a.txt")).unwrap();
        }),
        ("it went", "a.txt", |w| fs::remove_file(w.root.join("a.txt")).unwrap()),
        ("it came", "new", |w| w.put("new", "came")),
        ("it came in a folder", "x/new", |w| {
            fs::create_dir(w.root.join("x")).unwrap();
            w.put("x/new", "came");
        }),
        ("its folder came", "x/new", |w| fs::create_dir(w.root.join("x")).unwrap()),
        ("its folder was swapped", "sub/new", |w| {
            fs::rename(w.root.join("sub"), w.root.join("sub2")).unwrap();
            fs::create_dir(w.root.join("sub")).unwrap();
        }),
        ("it became a link to another", "a.txt", |w| {
            fs::remove_file(w.root.join("a.txt")).unwrap();
            w.link("a.txt", "sub/b.txt");
        }),
    ];
    for (what, path, change) in changes {
        let world = World::new();
        let (attempt, _) = world.sealed(path, "new").await;
        change(&world);
        println!("{what}");
        stale(&world, &attempt).await;
    }
}

#[tokio::test]
async fn a_retargeted_link_is_not_written_through() {
    let world = World::new();
    world.link("link", "a.txt");
    let (attempt, _) = world.sealed("link", "new").await;
    fs::remove_file(world.root.join("link")).unwrap();
    world.link("link", "sub/b.txt");
    stale(&world, &attempt).await;
}

#[tokio::test]
async fn what_is_as_it_was_shown_is_written() {
    for path in ["a.txt", "new", "x/y/new"] {
        let world = World::new();
        let (attempt, _) = world.sealed(path, "new").await;
        world.execute(&attempt).await.unwrap();
        assert_eq!(world.get(path).as_deref(), Some("new"));
        // Done once, it isn't what was shown any more.
        stale(&world, &attempt).await;
    }
}

#[tokio::test]
async fn a_sealed_read_reads_what_was_sealed() {
    let world = World::new();
    let attempt = attempt("file.read", serde_json::json!({"path": "a.txt"}));
    let prepared = world.hands.prepare(&attempt).await.unwrap();
    assert_eq!(prepared.pre_image, None);
    let attempt = Attempt { operands: prepared.operands, ..attempt };
    assert_eq!(world.execute(&attempt).await.unwrap().result["content"], OLD);
    world.put("a.txt", "odd\n");
    stale(&world, &attempt).await;
}
