//! A real stack on a data folder of its own.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, ChildStdout, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Home, Ran};

/// Offsets of the ports that a stack listens on.
const OFFSETS: [u16; 3] = [0, 40, 50];
/// Starts before giving up: another process may take a port between our look and the start.
const STARTS_MAX: usize = 10;

/// A running `up`, ended with the test.
pub(crate) struct Stack {
    /// Its home: data in `d`, root in `r`.
    pub(crate) home: Home,
    /// The gateway's port.
    pub(crate) port: u16,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Stack {
    /// Starts one in an empty home and returns when it serves.
    pub(crate) fn start() -> Self {
        Self::start_in(Home::new())
    }

    /// Starts one in a home that is furnished already.
    pub(crate) fn start_in(mut home: Home) -> Self {
        for _ in 0..STARTS_MAX {
            match Self::try_start(home, free_base()) {
                Ok(stack) => return stack,
                Err(again) => home = again,
            }
        }
        panic!("no start in {STARTS_MAX}");
    }

    fn try_start(home: Home, port: u16) -> Result<Self, Home> {
        let base = port.to_string();
        let args = ["up", "--data-dir", "d", "--root", "r", "--display", "none", "--port-base", &base];
        let mut command = home.command(&args);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        while stdout.read_line(&mut line).expect("readable") > 0 {
            if line.contains("\"event\":\"startup\"") {
                return Ok(Self { home, port, child, stdout });
            }
            line.clear();
        }
        let code = child.wait().expect("ended").code();
        assert_eq!(code, Some(9), "the start failed for another reason than a taken port");
        Err(home)
    }

    /// Runs a command against it.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.home.run(&[args, &["--data-dir", "d"]].concat())
    }

    /// A file below the root.
    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.home.path().join("r").join(name)).ok()
    }

    /// Asks it to stop and answers its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        interrupt(&self.child);
        // It ends when it closes its output; a full pipe must not keep it from that.
        std::io::copy(&mut self.stdout, &mut std::io::sink()).expect("readable");
        self.child.wait().expect("ended").code()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // It is gone already where the test stopped it.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// What Ctrl-C does.
pub(crate) fn interrupt(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("not 0");
    kill_process(pid, Signal::INT).expect("ours");
}

/// A base whose ports are free at the moment.
fn free_base() -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = first.local_addr().expect("bound").port();
        drop(first);
        let free = |offset: &u16| {
            base.checked_add(*offset).is_some_and(|p| TcpListener::bind(("127.0.0.1", p)).is_ok())
        };
        if base <= 65_485 && OFFSETS.iter().all(free) {
            return base;
        }
    }
    panic!("no three free ports");
}
