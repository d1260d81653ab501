//! A person at a terminal: sees the exact request, is asked, and is obeyed.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command},
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::stack::Stack;

/// What the program asks with.
const QUESTION: &str = "Run it? [y/N] ";

/// The binary on a pseudo-terminal that it is the foreground of.
struct Terminal {
    master: File,
    child: Child,
    seen: String,
}

impl Terminal {
    /// Starts it; `typed` is there before it looks.
    #[expect(clippy::disallowed_methods, reason = "`setsid` gives the binary its terminal")]
    fn start(stack: &Stack, args: &[&str], typed: &[u8]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave: OwnedFd = rustix::fs::open(&*name, flags, Mode::empty()).unwrap();
        tcsetwinsize(&slave, Winsize { ws_row: 50, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let own = stack.home.command(&[args, &["--data-dir", "d"]].concat());
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(own.get_program()).args(own.get_args());
        command.env_clear().env("HOME", stack.home.path()).env("PATH", "/usr/bin:/bin");
        command.current_dir(stack.home.path());
        command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        let mut master = File::from(master);
        master.write_all(typed).unwrap();
        let child = command.spawn().expect("setsid is part of util-linux");
        // The command keeps the other side open; with it gone, the end of the program is the end of text.
        drop(command);
        Self { master, child, seen: String::new() }
    }

    /// Reads until the question has come.
    fn until_asked(&mut self) {
        while !self.seen.contains(QUESTION) {
            assert!(self.read(), "ended without asking: {}", self.seen);
        }
    }

    /// Reads what there is; false at the end.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        // A terminal whose other side is closed answers with an error.
        let read = self.master.read(&mut bytes).unwrap_or(0);
        self.seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        read > 0
    }

    /// Types, waits for the end, and answers the exit code and all that was seen.
    fn types(mut self, keys: &[u8]) -> (i32, String) {
        self.until_asked();
        self.master.write_all(keys).unwrap();
        while self.read() {}
        let code = self.child.wait().unwrap().code().expect("no signal ended it");
        (code, self.seen)
    }
}

const WRITE: [&str; 4] = ["act", "file.write", "path=a.txt", "content=@draft.txt"];

fn stack() -> Stack {
    let stack = Stack::start();
    stack.home.write("r/a.txt", "same\nold\n");
    stack.home.write("draft.txt", "same\nnew \x1b[8mhidden\n");
    stack
}

#[test]
fn the_exact_request_is_shown_and_yes_runs_it() {
    let stack = stack();
    let (code, seen) = Terminal::start(&stack, &WRITE, b"").types(b"y\n");
    assert_eq!(code, 0, "{seen}");
    assert_eq!(stack.read("a.txt").as_deref(), Some("same\nnew \x1b[8mhidden\n"));
    let shown = seen.replace('\r', "");
    for line in [
        "file.write asks for approval",
        "  asked by  operator",
        "  | new \\x1b[8mhidden",
        "  path     \"a.txt\"",
        "  -old",
        "  +new \\x1b[8mhidden",
        "confirmed by digest",
    ] {
        assert!(shown.contains(line), "no `{line}` in\n{shown}");
    }
    assert!(!seen.contains("\x1b[8m"), "what is asked for doesn't steer the terminal");
}

#[test]
fn anything_but_yes_denies() {
    let stack = stack();
    for keys in [&b"n\n"[..], b"\n", b"yep\n", b"\x04"] {
        let (code, seen) = Terminal::start(&stack, &WRITE, b"").types(keys);
        assert_eq!(code, 4, "{keys:?}: {seen}");
        assert_eq!(stack.read("a.txt").as_deref(), Some("same\nold\n"), "{keys:?}");
    }
    assert_eq!(stack.run(&["actions", "--state", "denied", "--json"]).json()["total"], 4);
}

#[test]
fn a_yes_typed_before_the_question_is_none() {
    let stack = stack();
    let (code, seen) = Terminal::start(&stack, &WRITE, b"y\ny\n").types(b"n\n");
    assert_eq!(code, 4, "{seen}");
    assert_eq!(stack.read("a.txt").as_deref(), Some("same\nold\n"));
}

#[test]
fn ctrl_c_at_the_question_cancels() {
    let stack = stack();
    let (code, seen) = Terminal::start(&stack, &WRITE, b"").types(b"\x03");
    assert_eq!(code, 130, "{seen}");
    assert!(seen.contains("is cancelled"), "{seen}");
    assert_eq!(stack.run(&["actions", "--state", "cancelled", "--json"]).json()["total"], 1);
}

#[test]
fn an_approval_that_is_declined_still_waits() {
    let stack = stack();
    let waiting = stack.run(&[&WRITE[..], &["--json"]].concat()).ends(3, "").json();
    let action = waiting["action_id"].as_str().unwrap();
    let (code, seen) = Terminal::start(&stack, &["approve", action], b"").types(b"n\n");
    assert_eq!(code, 3, "{seen}");
    let (code, seen) = Terminal::start(&stack, &["approve", action], b"").types(b"yes\n");
    assert_eq!(code, 0, "{seen}");
    assert_eq!(stack.read("a.txt").as_deref(), Some("same\nnew \x1b[8mhidden\n"));
}

#[test]
fn a_file_on_a_terminal_is_shown_and_not_obeyed() {
    let stack = stack();
    stack.home.write("r/evil.txt", "\x1b]0;owned\x07\x1b[2Jclean\u{9b}31m\n");
    for flags in [&[][..], &["--json"]] {
        let mut terminal =
            Terminal::start(&stack, &[&["act", "file.read", "path=evil.txt"], flags].concat(), b"");
        while terminal.read() {}
        assert!(terminal.seen.contains("clean"), "{:?}", terminal.seen);
        for steering in ["\x1b]0", "\x1b[2J", "\u{9b}", "\x07"] {
            assert!(!terminal.seen.contains(steering), "{:?}", terminal.seen);
        }
        assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
    }
}
