//! Paths that lead astray, each read and each written, in a fresh world.

use std::{fs, os::unix::net::UnixListener, path::Path};

use steadyhand_core::failure::{Effect, Failure, FailureClass, Status};

use crate::fixture::{SECRET, World};

/// How it should end.
#[derive(Debug, Clone, Copy)]
enum Ends {
    /// `Path 'X' is outside sandbox or is protected`.
    Denied,
    /// `File not found: X`.
    NotFound,
    /// `Not a file: X`.
    NotAFile,
    /// `Not a folder: a part of X`.
    NotAFolder,
    /// Refused for its text alone, with these words in the message.
    Text(&'static str),
    /// `path argument required`.
    Required,
    /// It works, on a file under a root.
    Works,
}
use Ends::{Denied, NotAFile, NotAFolder, NotFound, Required, Text, Works};

/// The hostile, the odd and the honest. `{root}` and `{top}` are replaced.
fn table() -> Vec<(String, Ends, Ends)> {
    let rows: &[(&str, Ends, Ends)] = &[
        // Up and out.
        ("..", Denied, Denied),
        ("../", Denied, Denied),
        ("../outside/secret", Denied, Denied),
        ("../outside/new", Denied, Denied),
        ("../root-evil/secret", Denied, Denied),
        ("./../outside/secret", Denied, Denied),
        ("sub/../../outside/secret", Denied, Denied),
        ("sub/../../outside/new", Denied, Denied),
        ("../../../../../../../../etc/passwd", Denied, Denied),
        ("absent/../../outside/secret", NotFound, NotFound),
        ("absent/../a.txt", NotFound, NotFound),
        // Out and in again is in.
        ("../root/a.txt", Works, Works),
        ("../root/new", NotFound, Works),
        ("{root}/../root/a.txt", Works, Works),
        // Absolute.
        ("/", Denied, Denied),
        ("/etc/passwd", Denied, Denied),
        ("//etc/passwd", Denied, Denied),
        ("/dev/null", Denied, Denied),
        ("/dev/stdin", Denied, Denied),
        ("/proc/self/environ", Denied, Denied),
        ("/proc/self/root/etc/passwd", Denied, Denied),
        ("/proc/self/root{root}/a.txt", Denied, Denied),
        ("/proc/self/cwd/Cargo.toml", Denied, Denied),
        ("{root}-evil/secret", Denied, Denied),
        ("{root}/../outside/secret", Denied, Denied),
        ("{root}/../root-evil/secret", Denied, Denied),
        ("{top}/outside/secret", Denied, Denied),
        ("{top}/data/token", Denied, Denied),
        ("{top}", Denied, Denied),
        // Links.
        ("abs-out", Denied, Denied),
        ("rel-out", Denied, Denied),
        ("chain", Denied, Denied),
        ("dir-out/secret", Denied, Denied),
        ("dir-out/new", Denied, Denied),
        ("dir-out/deep/new", Denied, Denied),
        ("abs-dir-out/secret", Denied, Denied),
        ("abs-dir-out/new", Denied, Denied),
        ("evil-sibling/secret", Denied, Denied),
        ("dangling-rel-out", Denied, Denied),
        ("dangling-abs-out", Denied, Denied),
        ("dangling-in", NotFound, NotFound),
        ("dangling-in/new", NotFound, NotFound),
        ("loop", Text("goes round in links"), Text("goes round in links")),
        ("proc-root/etc/passwd", Denied, Denied),
        ("proc-fd/0", Denied, Denied),
        ("up/outside/secret", Denied, Denied),
        ("up/outside/new", Denied, Denied),
        // Protected, by whatever name.
        ("kept", Denied, Denied),
        ("kept/", Denied, Denied),
        ("kept/x", Denied, Denied),
        ("kept/new", Denied, Denied),
        ("kept/deep/new", Denied, Denied),
        ("./kept/x", Denied, Denied),
        ("sub/../kept/x", Denied, Denied),
        ("{root}/kept/x", Denied, Denied),
        ("policy.toml", Denied, Denied),
        ("not-yet/journal", Denied, Denied),
        ("not-yet/journal/wal", Denied, Denied),
        ("alias-kept/x", Denied, Denied),
        ("alias-kept/new", Denied, Denied),
        ("alias-policy", Denied, Denied),
        ("abs-alias-policy", Denied, Denied),
        ("hard-policy", Denied, Denied),
        ("hard-kept", Denied, Denied),
        ("hard-token", Denied, Denied),
        (".steadyhand-0123456789abcdef.tmp", Denied, Denied),
        ("sub/.steadyhand-x.tmp", Denied, Denied),
        ("alias-temp", Denied, Denied),
        // Not files.
        (".", NotAFile, NotAFile),
        ("./", NotAFile, NotAFile),
        ("{root}", NotAFile, NotAFile),
        ("{root}/", NotAFile, NotAFile),
        ("sub", NotAFile, NotAFile),
        ("sub/", NotAFile, NotAFile),
        ("sub/.", NotAFile, NotAFile),
        ("sub/..", NotAFile, NotAFile),
        ("a.txt/", NotAFile, NotAFile),
        ("absent/", NotAFile, NotAFile),
        ("a.txt/x", NotAFolder, NotAFolder),
        ("a.txt/../a.txt", NotAFolder, NotAFolder),
        ("fifo", NotAFile, NotAFile),
        ("socket", NotAFile, NotAFile),
        ("device", NotAFile, NotAFile),
        ("link-fifo", NotAFile, NotAFile),
        // Refused for their text.
        ("", Required, Required),
        ("a\0.txt", Text("U+0000"), Text("U+0000")),
        ("\0", Text("U+0000"), Text("U+0000")),
        ("a\n.txt", Text("U+000A"), Text("U+000A")),
        ("a\r.txt", Text("U+000D"), Text("U+000D")),
        ("a\u{1b}[2J", Text("U+001B"), Text("U+001B")),
        ("a\u{7f}", Text("U+007F"), Text("U+007F")),
        ("gpj\u{202e}.exe", Text("U+202E"), Text("U+202E")),
        ("\u{feff}a.txt", Text("U+FEFF"), Text("U+FEFF")),
        ("..\\outside\\secret", Text("backslash"), Text("backslash")),
        ("C:\\Windows\\win.ini", Text("backslash"), Text("backslash")),
        // Nothing is decoded or expanded: these are names.
        ("..%2foutside%2fsecret", NotFound, Works),
        ("%2e%2e/outside/secret", NotFound, Works),
        ("..;/outside/secret", NotFound, Works),
        (".../outside/secret", NotFound, Works),
        ("\u{ff0e}\u{ff0e}/outside/secret", NotFound, Works),
        ("..\u{2215}outside\u{2215}secret", NotFound, Works),
        ("~/.ssh/id_ed25519", NotFound, Works),
        ("~root/x", NotFound, Works),
        ("$HOME/x", NotFound, Works),
        ("`id`", NotFound, Works),
        ("$(id)", NotFound, Works),
        ("*", NotFound, Works),
        ("-rf", NotFound, Works),
        (" ", NotFound, Works),
        ("file:///etc/passwd", NotFound, Works),
        ("C:/Windows/win.ini", NotFound, Works),
        ("KEPT/x", NotFound, Works),
        ("kept2/x", NotFound, Works),
        ("policy.toml.bak", NotFound, Works),
        ("e\u{301}.txt", NotFound, Works),
        ("\u{1f980}", NotFound, Works),
        // Honest.
        ("a.txt", Works, Works),
        ("./sub/./b.txt", Works, Works),
        ("sub//b.txt", Works, Works),
        ("sub/../a.txt", Works, Works),
        ("{root}/a.txt", Works, Works),
        ("{root}//sub/b.txt", Works, Works),
        ("/{root}/a.txt", Works, Works),
        ("{top}/second/c.txt", Works, Works),
        ("{top}/second/new", NotFound, Works),
        ("config/settings.json", Works, Works),
        ("rel-in", Works, Works),
        ("abs-in", Works, Works),
        ("to-second/c.txt", Works, Works),
        ("abs-dir-in/b.txt", Works, Works),
        ("abs-dir-in/new", NotFound, Works),
        ("up/root/a.txt", Works, Works),
        ("new/deep/er", NotFound, Works),
    ];
    let mut rows: Vec<_> =
        rows.iter().map(|(path, read, write)| ((*path).to_owned(), *read, *write)).collect();
    let (long, too_long) = ("n".repeat(255), "n".repeat(256));
    rows.push((long, NotFound, Works));
    let name = Text("a name longer than 255 bytes");
    rows.push((too_long, name, name));
    rows.push(("\u{e9}".repeat(128), name, name));
    let path = Text("longer than 4095 bytes");
    rows.push(("d/".repeat(2048) + "f", path, path));
    rows.push(("../".repeat(1365), Denied, Denied));
    rows.push(("d/".repeat(33) + "f", NotFound, Text("more than 32 folders")));
    rows.push(("d/".repeat(32) + "f", NotFound, Works));
    rows
}

fn hostile_world() -> World {
    let world = World::new();
    let (top, root) = (world.top.clone(), world.root.clone());
    world.link("abs-out", top.join("outside/secret"));
    world.link("rel-out", "../outside/secret");
    world.link("chain", "sub/chain");
    world.link("sub/chain", "../abs-out");
    world.link("dir-out", "../outside");
    world.link("abs-dir-out", top.join("outside"));
    world.link("evil-sibling", "../root-evil");
    world.link("dangling-rel-out", "../outside/nothing");
    world.link("dangling-abs-out", top.join("nothing"));
    world.link("dangling-in", "nothing");
    world.link("loop", "loop");
    world.link("proc-root", "/proc/self/root");
    world.link("proc-fd", "/proc/self/fd");
    world.link("up", "..");
    world.link("alias-kept", "kept");
    world.link("alias-policy", "policy.toml");
    world.link("abs-alias-policy", root.join("policy.toml"));
    world.link("rel-in", "a.txt");
    world.link("abs-in", root.join("a.txt"));
    world.link("to-second", top.join("second"));
    world.link("abs-dir-in", root.join("sub"));
    world.link("link-fifo", "fifo");
    world.link("alias-temp", ".steadyhand-00.tmp");
    world.put(".steadyhand-00.tmp", SECRET);
    fs::hard_link(root.join("policy.toml"), root.join("hard-policy")).unwrap();
    fs::hard_link(root.join("kept/x"), root.join("hard-kept")).unwrap();
    fs::hard_link(top.join("data/token"), root.join("hard-token")).unwrap();
    node(&root.join("fifo"), rustix::fs::FileType::Fifo).unwrap();
    // Making devices takes rights that not every machine gives; a second pipe is refused alike.
    if node(&root.join("device"), rustix::fs::FileType::CharacterDevice).is_err() {
        node(&root.join("device"), rustix::fs::FileType::Fifo).unwrap();
    }
    drop(UnixListener::bind(root.join("socket")).unwrap());
    world
}

/// Makes a pipe, or the device that `/dev/null` is.
fn node(path: &Path, kind: rustix::fs::FileType) -> rustix::io::Result<()> {
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, rustix::fs::makedev(1, 3))
}

/// Checks one failure; whether it was one.
fn refused(given: &str, ends: Ends, failure: &Failure) {
    let message = match ends {
        Denied => format!("Path '{given}' is outside sandbox or is protected"),
        NotFound => format!("File not found: {given}"),
        NotAFile => format!("Not a file: {given}"),
        NotAFolder => format!("Not a folder: a part of {given}"),
        Required => "path argument required".to_owned(),
        Text(words) => {
            assert!(failure.message.contains(words), "{given:?}: {}", failure.message);
            failure.message.clone()
        }
        Works => panic!("{given:?} should work: {}", failure.message),
    };
    let (status, class) = match ends {
        Denied => (Status::PolicyDenied, FailureClass::PolicyDenied),
        Text(_) => (Status::Error, FailureClass::ValidationFailed),
        _ => (Status::Error, FailureClass::ExecutionError),
    };
    assert_eq!((&failure.message, failure.status, failure.class), (&message, status, class), "{given:?}");
    assert_eq!(failure.effect, Effect::None, "{given:?}");
}

/// Everything that no path may change.
fn surroundings(world: &World) -> Vec<std::collections::BTreeMap<std::path::PathBuf, String>> {
    ["outside", "root-evil", "data", "root/kept"].map(|folder| world.snapshot(folder)).to_vec()
}

#[tokio::test]
async fn no_path_reads_astray() {
    let world = hostile_world();
    let before = (world.snapshot("root"), surroundings(&world));
    for (path, ends, _) in table() {
        let path = path
            .replace("{root}", world.root.to_str().unwrap())
            .replace("{top}", world.top.to_str().unwrap());
        match world.read(&path).await {
            Err(failure) => refused(&path, ends, &failure),
            Ok(executed) => {
                assert!(matches!(ends, Works), "{path:?} was read");
                assert_ne!(executed.result["content"], SECRET, "{path:?}");
                assert_eq!(executed.side_effects, [], "{path:?}");
            }
        }
    }
    assert!((world.snapshot("root"), surroundings(&world)) == before, "reading changed something");
}

#[tokio::test]
async fn no_path_writes_astray() {
    for (path, _, ends) in table() {
        let world = hostile_world();
        let (root, around) = (world.snapshot("root"), surroundings(&world));
        let path = path
            .replace("{root}", world.root.to_str().unwrap())
            .replace("{top}", world.top.to_str().unwrap());
        match world.write(&path, "new").await {
            Err(failure) => {
                refused(&path, ends, &failure);
                assert!(world.snapshot("root") == root, "{path:?} was refused and changed something");
            }
            Ok(executed) => {
                assert!(matches!(ends, Works), "{path:?} was written");
                let written = Path::new(executed.result["path"].as_str().unwrap());
                let inside =
                    written.starts_with(&world.root) || written.starts_with(world.top.join("second"));
                assert!(inside, "{path:?} went to {written:?}");
                assert_eq!(fs::read_to_string(written).unwrap(), "new", "{path:?}");
            }
        }
        assert!(surroundings(&world) == around, "{path:?} changed what lies outside");
        assert_eq!(fs::read_to_string(world.root.join("policy.toml")).unwrap(), SECRET, "{path:?}");
        assert_eq!(world.temps(), [world.root.join(".steadyhand-00.tmp")], "{path:?}");
    }
}

#[tokio::test]
async fn what_was_not_there_at_start_is_protected_once_it_is() {
    let world = World::new();
    fs::create_dir_all(world.root.join("not-yet")).unwrap();
    world.put("not-yet/journal", SECRET);
    fs::hard_link(world.root.join("not-yet/journal"), world.root.join("alias")).unwrap();
    for path in ["not-yet/journal", "alias"] {
        refused(path, Denied, &world.read(path).await.unwrap_err());
        refused(path, Denied, &world.write(path, "new").await.unwrap_err());
    }
}

#[tokio::test]
async fn a_protected_folder_mounted_elsewhere_is_known_by_its_identity() {
    let world = World::new();
    let mount = world.root.join("mounted");
    fs::create_dir(&mount).unwrap();
    let bind = rustix::mount::mount_bind(world.top.join("data"), &mount);
    // Mounting takes the administrator's rights; without them there is nothing to hold.
    if bind.is_err() {
        return;
    }
    let (read, write) = (world.read("mounted/token").await, world.write("mounted/new", "new").await);
    rustix::mount::unmount(&mount, rustix::mount::UnmountFlags::DETACH).unwrap();
    refused("mounted/token", Denied, &read.unwrap_err());
    refused("mounted/new", Denied, &write.unwrap_err());
}

#[tokio::test]
async fn a_waiting_writer_of_a_pipe_is_not_woken() {
    let world = hostile_world();
    refused("fifo", NotAFile, &world.read("fifo").await.unwrap_err());
    // Opening for writing without waiting succeeds only while someone has it open for reading.
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
    let open = rustix::fs::open(world.root.join("fifo"), flags, rustix::fs::Mode::empty());
    assert_eq!(open.unwrap_err(), rustix::io::Errno::NXIO);
}
