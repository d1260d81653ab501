//! What an independent look says after a write, and after an answer was lost.

use std::fs;

use serde_json::json;
use steadyhand_core::executor::{Attempt, Executor, Probe, Verdict};

use crate::fixture::{OLD, World, attempt};

/// The world between the look and the verdict.
type Happens = fn(&World);

fn nothing(_: &World) {}

fn written(world: &World) {
    let path = if world.root.join("new").exists() { "new" } else { "a.txt" };
    world.put(path, "new");
}

fn third(world: &World) {
    world.put("a.txt", "third");
}

fn gone(world: &World) {
    fs::remove_file(world.root.join("a.txt")).unwrap();
}

#[tokio::test]
async fn verdicts_and_probes_tell_what_happened() {
    let table: [(&str, &str, Happens, Verdict, Probe); 11] = [
        ("a.txt", "new", written, Verdict::Confirmed, Probe::Done),
        ("a.txt", "new", nothing, Verdict::NoOp, Probe::NotDone),
        ("a.txt", OLD, nothing, Verdict::Confirmed, Probe::Done),
        ("a.txt", "new", third, Verdict::Partial, Probe::Undecidable),
        ("a.txt", "new", gone, Verdict::Partial, Probe::Undecidable),
        ("new", "new", |w| w.put("new", "new"), Verdict::Confirmed, Probe::Done),
        ("new", "new", nothing, Verdict::NoOp, Probe::NotDone),
        ("x/y/new", "new", nothing, Verdict::NoOp, Probe::NotDone),
        ("new", "new", |w| w.put("new", "third"), Verdict::Partial, Probe::Undecidable),
        ("new", "", nothing, Verdict::NoOp, Probe::NotDone),
        ("new", "", |w| w.put("new", ""), Verdict::Confirmed, Probe::Done),
    ];
    for (row, (path, content, happens, verdict, probe)) in table.into_iter().enumerate() {
        let world = World::new();
        let (attempt, _) = world.sealed(path, content).await;
        happens(&world);
        let verification = world.verify(&attempt).await;
        assert_eq!((verification.verdict, verification.evidence.as_str()), (verdict, "digest"), "row {row}");
        assert!(verification.detail.contains(path), "row {row}: {}", verification.detail);
        assert_eq!(world.probe(&attempt).await, probe, "row {row}");
    }
}

#[tokio::test]
async fn a_real_write_is_confirmed() {
    let world = World::new();
    for path in ["a.txt", "new", "x/new"] {
        let (attempt, _) = world.sealed(path, "new").await;
        let executed = world.execute(&attempt).await.unwrap();
        let verification = world.hands.verify(&attempt, &executed).await;
        let path = world.root.join(path);
        let detail = format!("`{}` holds the 3 bytes that were asked for", path.display());
        assert_eq!((verification.verdict, verification.detail), (Verdict::Confirmed, detail));
    }
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_by_now_is_not_confirmed() {
    let world = World::new();
    world.link("link", "a.txt");
    let (attempt, _) = world.sealed("link", "new").await;
    world.execute(&attempt).await.unwrap();
    world.put("equal", "new");
    fs::remove_file(world.root.join("link")).unwrap();
    world.link("link", "equal");
    assert_eq!(world.verify(&attempt).await.verdict, Verdict::Partial);
    assert_eq!(world.probe(&attempt).await, Probe::Undecidable);
    fs::remove_file(world.root.join("link")).unwrap();
    world.link("link", "../outside/secret");
    assert_eq!(world.verify(&attempt).await.verdict, Verdict::Unverifiable);
    assert_eq!(world.probe(&attempt).await, Probe::Undecidable);
}

#[tokio::test]
async fn without_a_seal_only_the_new_content_tells() {
    let world = World::new();
    let attempt = Attempt { operands: Vec::new(), ..world.sealed("a.txt", "new").await.0 };
    assert_eq!(world.probe(&attempt).await, Probe::Undecidable);
    assert_eq!(world.verify(&attempt).await.verdict, Verdict::Partial);
    world.put("a.txt", "new");
    assert_eq!(world.probe(&attempt).await, Probe::Done);
    assert_eq!(world.verify(&attempt).await.verdict, Verdict::Confirmed);
}

#[tokio::test]
async fn a_large_file_in_place_tells_that_it_was_not_written() {
    let world = World::new();
    fs::File::create(world.root.join("large")).unwrap().set_len(11 << 20).unwrap();
    let (attempt, _) = world.sealed("large", "new").await;
    assert_eq!(world.probe(&attempt).await, Probe::NotDone);
    assert_eq!(world.verify(&attempt).await.verdict, Verdict::NoOp);
    fs::File::create(world.root.join("other")).unwrap().set_len(11 << 20).unwrap();
    fs::rename(world.root.join("other"), world.root.join("large")).unwrap();
    assert_eq!(world.probe(&attempt).await, Probe::Undecidable);
    assert_eq!(world.verify(&attempt).await.verdict, Verdict::Partial);
}

#[tokio::test]
async fn a_read_is_confirmed_by_reading_again() {
    let world = World::new();
    let attempt = attempt("file.read", json!({"path": "a.txt"}));
    let executed = world.execute(&attempt).await.unwrap();
    assert_eq!(world.hands.verify(&attempt, &executed).await.verdict, Verdict::Confirmed);
    world.put("a.txt", "third");
    assert_eq!(world.hands.verify(&attempt, &executed).await.verdict, Verdict::Partial);
    assert_eq!(world.probe(&attempt).await, Probe::NotDone);
}
