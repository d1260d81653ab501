//! The crates depend on each other as ARCHITECTURE.md says, and no other way.
#![expect(clippy::unwrap_used, reason = "what can't be read fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

type Arrows = BTreeMap<String, BTreeSet<String>>;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The arrows that ARCHITECTURE.md states.
fn stated() -> Arrows {
    let text = std::fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let (_, block) = text.split_once("```arrows\n").expect("ARCHITECTURE.md has a block of arrows");
    let (block, _) = block.split_once("```").expect("the block ends");
    block
        .lines()
        .map(|line| {
            let (from, to) = line.split_once("->").expect("each line is `from -> to to`");
            (from.trim().to_owned(), to.split_whitespace().map(str::to_owned).collect())
        })
        .collect()
}

/// The arrows in the manifests: what the product links, dev-dependencies aside.
fn real() -> Arrows {
    let mut arrows = Arrows::new();
    for folder in std::fs::read_dir(workspace().join("crates")).unwrap() {
        let folder = folder.unwrap().path();
        let manifest: toml::Table =
            std::fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let mut to = BTreeSet::new();
        for section in ["dependencies", "build-dependencies"] {
            let Some(toml::Value::Table(dependencies)) = manifest.get(section) else { continue };
            to.extend(dependencies.keys().filter_map(|d| d.strip_prefix("steadyhand-")).map(str::to_owned));
        }
        arrows.insert(name, to);
    }
    arrows
}

#[test]
fn manifests_follow_the_stated_arrows() {
    assert_eq!(real(), stated());
}

#[test]
fn the_stated_arrows_have_no_circle() {
    let mut left = stated();
    while !left.is_empty() {
        let free: Vec<String> = left
            .iter()
            .filter(|(_, to)| to.iter().all(|t| !left.contains_key(t)))
            .map(|(f, _)| f.clone())
            .collect();
        assert!(!free.is_empty(), "a circle among {:?}", left.keys());
        for name in free {
            left.remove(&name);
        }
    }
}
