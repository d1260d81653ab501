//! Someone else changes the tree while it is looked at.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::fixture::{SECRET, World};

/// How many rounds a test goes at least.
const ROUNDS: usize = 1_000;

/// How many it goes at most until it has met both ways.
const ROUNDS_MAX: usize = 200_000;

/// Does `step` again and again in another thread until this is dropped.
struct Swapping {
    done: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Swapping {
    fn start(mut step: impl FnMut(usize) + Send + 'static) -> Self {
        let (done, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = {
            let (done, rounds) = (Arc::clone(&done), Arc::clone(&rounds));
            thread::spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    step(rounds.fetch_add(1, Ordering::SeqCst));
                }
            })
        };
        Self { done, rounds, thread: Some(thread) }
    }

    fn end(mut self) -> usize {
        self.done.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        self.rounds.load(Ordering::SeqCst)
    }
}

/// Puts a link to `target` at `path`, in one step.
fn put_link(path: &Path, target: impl AsRef<Path>) {
    let other = path.with_extension("link");
    symlink(target, &other).unwrap();
    fs::rename(&other, path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_swapped_for_a_link_never_leads_out() {
    let world = World::new();
    let path = world.root.join("swapped");
    let outside = world.top.join("outside/secret");
    let swapping = Swapping::start({
        let (path, root) = (path.clone(), world.root.clone());
        move |round| match round % 3 {
            0 => put_link(&path, &outside),
            1 => put_link(&path, "../outside/secret"),
            _ => {
                fs::write(root.join("plain"), "plain").unwrap();
                fs::rename(root.join("plain"), &path).unwrap();
            }
        }
    });
    let mut ended = [0; 2];
    for round in 0..ROUNDS_MAX {
        if round >= ROUNDS && !ended.contains(&0) {
            break;
        }
        match world.read("swapped").await {
            Ok(executed) => {
                ended[0] += 1;
                assert!(matches!(executed.result["content"].as_str(), Some("plain" | "written" | "")));
            }
            Err(_) => ended[1] += 1,
        }
        let _ = world.write("swapped", "written").await;
        assert_eq!(fs::read_to_string(world.top.join("outside/secret")).unwrap(), SECRET);
    }
    assert!(swapping.end() > 10 && !ended.contains(&0), "both ways were met: {ended:?}");
    assert_eq!(world.snapshot("outside").len(), 2);
    assert_eq!(world.temps(), [] as [&Path; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_swapped_for_a_link_never_leads_out() {
    let world = World::new();
    let (folder, inside) = (world.root.join("folder"), world.root.join("inside"));
    fs::create_dir(&inside).unwrap();
    let outside = world.top.join("outside");
    let around = world.snapshot("outside");
    put_link(&folder, "inside");
    let swapping = Swapping::start(move |round| match round % 3 {
        0 => put_link(&folder, "../outside"),
        1 => put_link(&folder, &outside),
        _ => put_link(&folder, "inside"),
    });
    let mut ended = [0; 2];
    for round in 0..ROUNDS_MAX {
        if round >= ROUNDS && !ended.contains(&0) {
            break;
        }
        match world.write("folder/new", "written").await {
            Ok(executed) => {
                ended[0] += 1;
                assert_eq!(executed.result["path"], inside.join("new").to_str().unwrap());
            }
            Err(_) => ended[1] += 1,
        }
        let _ = world.write(&format!("folder/deep{}/new", round % 7), "written").await;
        if let Ok(executed) = world.read("folder/secret").await {
            panic!("read {}", executed.result);
        }
        if round % 50 == 0 {
            assert!(world.snapshot("outside") == around);
        }
    }
    assert!(swapping.end() > 10 && !ended.contains(&0), "both ways were met: {ended:?}");
    assert!(world.snapshot("outside") == around);
    assert_eq!(world.temps(), [] as [&Path; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_moved_out_while_it_is_written_to_takes_nothing_with_it() {
    let world = World::new();
    let (inside, away) = (world.root.join("moving"), world.top.join("outside/moving"));
    fs::create_dir(&inside).unwrap();
    let swapping = Swapping::start({
        let (inside, away) = (inside.clone(), away.clone());
        move |_| {
            // A write that finds the folder gone makes it anew; then the next rename fails.
            let _ = fs::rename(&inside, &away);
            let _ = fs::remove_dir_all(&inside);
            let _ = fs::rename(&away, &inside);
        }
    });
    for _ in 0..500 {
        // Whether it ends well or not: the folder is the root's own, wherever it is at that moment.
        let _ = world.write("moving/new", "written").await;
        let _ = world.read("moving/new").await;
        assert_eq!(fs::read_to_string(world.top.join("outside/secret")).unwrap(), SECRET);
    }
    assert!(swapping.end() > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_growing_file_is_read_up_to_the_bound() {
    let world = World::new();
    let path = world.root.join("growing");
    fs::write(&path, "").unwrap();
    let swapping = Swapping::start({
        let path = path.clone();
        move |round| {
            let file = fs::File::options().write(true).open(&path).unwrap();
            // Sparse: it grows past the bound and shrinks again.
            file.set_len((round as u64 % 24) << 19).unwrap();
        }
    });
    for _ in 0..60 {
        match world.read("growing").await {
            Ok(executed) => assert!(executed.result["size_bytes"].as_u64().unwrap() <= 10_485_760),
            Err(failure) => assert!(failure.message.starts_with("File too large: "), "{}", failure.message),
        }
    }
    assert!(swapping.end() > 24);
}
