//! Output that goes to a program: no colour, and a reader that leaves ends us quietly.

use std::process::Stdio;

use crate::fixture::Home;

#[test]
fn a_reader_that_leaves_ends_us_quietly() {
    let home = Home::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = home.command(&["completions", "bash"]);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn output_for_a_program_has_no_colour() {
    let home = Home::new();
    for args in [
        &["doctor"][..],
        &["config", "show"],
        &["policy", "check"],
        &["policy", "explain", "file.read"],
        &["--help"],
    ] {
        let ran = home.run(args);
        assert!(!ran.stdout.contains('\x1b') && !ran.stderr.contains('\x1b'), "{args:?}");
    }
}
