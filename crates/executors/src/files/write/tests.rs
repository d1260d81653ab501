//! What a write does when the world changes between its look and its act.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use steadyhand_testkit::chance::Seeded;
use tempfile::TempDir;

use super::*;

struct Bench {
    _folder: TempDir,
    root: PathBuf,
    roots: Roots,
    entropy: Seeded,
    sweeper: Sweeper,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(folder.path()).unwrap();
        let root = top.join("root");
        fs::create_dir(&root).unwrap();
        fs::write(top.join("outside"), "secret").unwrap();
        fs::write(root.join("a"), "old").unwrap();
        let roots = Roots::open(std::slice::from_ref(&root), &[]).unwrap();
        Self { _folder: folder, root, roots, entropy: Seeded::new(1), sweeper: Sweeper::default() }
    }

    fn tools(&self) -> Tools<'_> {
        Tools { roots: &self.roots, entropy: &self.entropy, sweeper: &self.sweeper }
    }

    fn wanted(&self, path: &str) -> Wanted {
        Wanted::parse(path, self.roots.names()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(&self.root).unwrap().map(name).collect();
        names.sort();
        names
    }
}

/// Looks up `path`, lets `change` happen, then replaces.
fn raced(path: &str, sealed: bool, change: impl FnOnce(&Path)) -> (Bench, Result<(), Refusal>) {
    let bench = Bench::new();
    let wanted = bench.wanted(path);
    let place = bench.roots.locate(&wanted).unwrap();
    let stop = Stop::default();
    let seal = sealed.then(|| content::seal(&place, content::Keep::DigestOnly, &stop).unwrap().operand);
    let order = Order { wanted: &wanted, content: b"new", sealed: seal.as_ref() };
    let target = match place {
        Place::There(found) => existing(&bench.roots, found, order).unwrap(),
        Place::Vacant(vacant) => {
            let Vacant { folder, name, path, .. } = vacant;
            Target { folder, name, path, old: None }
        }
    };
    change(&bench.root);
    let result = replace(bench.tools(), &target, order, &stop);
    (bench, result)
}

#[test]
fn a_change_between_look_and_act_stops_the_write() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("a", |root| fs::remove_file(root.join("a")).unwrap()),
        ("a", |root| {
            fs::write(root.join("b"), "old").unwrap();
            fs::rename(root.join("b"), root.join("a")).unwrap();
        }),
        ("a", |root| {
            fs::remove_file(root.join("a")).unwrap();
            symlink("../outside", root.join("a")).unwrap();
        }),
        ("a", |root| {
            fs::remove_file(root.join("a")).unwrap();
            fs::create_dir(root.join("a")).unwrap();
        }),
        ("new", |root| fs::write(root.join("new"), "came").unwrap()),
        ("new", |root| symlink("../outside", root.join("new")).unwrap()),
    ];
    for (row, (path, change)) in changes.into_iter().enumerate() {
        for sealed in [false, true] {
            let (bench, result) = raced(path, sealed, change);
            match result {
                Err(Refusal::Stale { .. }) => assert!(sealed, "row {row}"),
                Err(Refusal::Unsteady { .. }) => assert!(!sealed, "row {row}"),
                other => panic!("row {row}: {other:?}"),
            }
            assert!(bench.names().iter().all(|name| !name.starts_with(".steadyhand")), "row {row}");
            assert_eq!(fs::read_to_string(bench.root.join("../outside")).unwrap(), "secret");
        }
    }
}

#[test]
fn other_content_in_the_same_file_stops_a_sealed_write_only() {
    let change = |root: &Path| fs::write(root.join("a"), "odd").unwrap();
    let (bench, result) = raced("a", true, change);
    assert!(matches!(result, Err(Refusal::Stale { .. })));
    assert_eq!(fs::read_to_string(bench.root.join("a")).unwrap(), "odd");
    let (bench, result) = raced("a", false, change);
    result.unwrap();
    assert_eq!(fs::read_to_string(bench.root.join("a")).unwrap(), "new");
}

#[test]
fn a_stopped_write_leaves_neither_file_nor_folders() {
    let bench = Bench::new();
    let wanted = bench.wanted("x/y/z");
    let order = Order { wanted: &wanted, content: b"new", sealed: None };
    let stop = Stop::default();
    stop.stop();
    assert!(matches!(write(bench.tools(), order, &stop), Err(Refusal::Stopped)));
    assert_eq!(bench.names(), ["a"]);
}

#[test]
fn folders_that_others_use_by_now_stay() {
    let bench = Bench::new();
    let Place::Vacant(vacant) = bench.roots.locate(&bench.wanted("x/y/z")).unwrap() else {
        panic!("nothing is there")
    };
    let mut made = Made::default();
    made.make(&bench.roots, &vacant, &bench.wanted("x/y/z")).unwrap();
    fs::write(bench.root.join("x/theirs"), "").unwrap();
    drop(made);
    assert_eq!(bench.names(), ["a", "x"]);
    assert!(!bench.root.join("x/y").exists());
}

#[test]
fn a_file_made_read_only_is_not_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    fs::set_permissions(bench.root.join("a"), fs::Permissions::from_mode(0o444)).unwrap();
    // The administrator may write anything.
    let may = fs::File::options().append(true).open(bench.root.join("a")).is_ok();
    let wanted = bench.wanted("a");
    let order = Order { wanted: &wanted, content: b"new", sealed: None };
    let result = write(bench.tools(), order, &Stop::default());
    assert_eq!(result.is_ok(), may, "{result:?}");
}

#[test]
fn taken_temporary_names_are_passed_over() {
    let bench = Bench::new();
    let wanted = bench.wanted("a");
    let order = Order { wanted: &wanted, content: b"new", sealed: None };
    let first = {
        let folder = Dir::open_ambient_dir(&bench.root, cap_std::ambient_authority()).unwrap();
        let temp = Temp::create(&folder, &Seeded::new(1), PRIVATE_MODE).unwrap();
        temp.name().to_owned()
    };
    fs::write(bench.root.join(&first), "theirs").unwrap();
    write(bench.tools(), order, &Stop::default()).unwrap();
    assert_eq!(fs::read_to_string(bench.root.join("a")).unwrap(), "new");
    assert_eq!(fs::read_to_string(bench.root.join(&first)).unwrap(), "theirs");
}

fn component() -> impl Strategy<Value = String> {
    let known = ["..", ".", "", "a", "in", "out", "up", "abs", "deep", "gone", "root", "outside"];
    prop_oneof![8 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "[a-z.]{1,3}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_path_of_names_and_links_is_found_outside(
        parts in proptest::collection::vec(component(), 1..9),
        absolute in any::<bool>(),
    ) {
        let bench = Bench::new();
        let root = &bench.root;
        fs::create_dir(root.join("deep")).unwrap();
        symlink("deep", root.join("in")).unwrap();
        symlink("../outside", root.join("out")).unwrap();
        symlink("../..", root.join("deep/up")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink(root.join("deep"), root.join("abs")).unwrap();
        symlink("nothing", root.join("gone")).unwrap();
        let relative = parts.join("/");
        let path = if absolute { format!("{}/{relative}", root.display()) } else { relative };
        if let Ok(wanted) = Wanted::parse(&path, bench.roots.names())
            && let Ok(place) = bench.roots.locate(&wanted)
        {
            prop_assert!(place.path().starts_with(root), "{path:?} is {:?}", place.path());
            // What the system makes of the same path is the same file.
            if let Place::There(found) = &place {
                let real = fs::canonicalize(root.join(&path)).unwrap();
                prop_assert_eq!(&real, &found.path);
            }
        }
        let order = Wanted::parse(&path, bench.roots.names());
        if let Ok(wanted) = order {
            let order = Order { wanted: &wanted, content: b"new", sealed: None };
            if let Ok(written) = write(bench.tools(), order, &Stop::default()) {
                prop_assert!(written.path.starts_with(root), "{path:?} went to {:?}", written.path);
                prop_assert_eq!(fs::read_to_string(&written.path).unwrap(), "new");
            }
        }
        prop_assert_eq!(fs::read_to_string(root.join("../outside")).unwrap(), "secret");
        let above: Vec<_> = fs::read_dir(root.join("..")).unwrap().collect();
        prop_assert_eq!(above.len(), 2);
    }
}
