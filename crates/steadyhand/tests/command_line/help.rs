//! What `--help` says. To accept a change: `UPDATE_SNAPSHOTS=1 cargo test -p steadyhand --test command_line`.

use std::path::Path;

use crate::fixture::Home;

#[track_caller]
fn snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.txt"));
    let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &text).expect("snapshots can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} differs; it is now:\n{text}", path.display());
}

#[test]
fn help_of_each_command_is_as_kept() {
    let home = Home::new();
    for command in [
        "",
        "up",
        "serve",
        "act",
        "actions",
        "approve",
        "deny",
        "cancel",
        "undo",
        "audit",
        "audit verify",
        "capabilities",
        "health",
        "doctor",
        "config",
        "config show",
        "policy",
        "policy explain",
        "token",
        "token new",
        "completions",
    ] {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let ran = home.run(&args).ends(0, "Usage: steadyhand");
        let name = if command.is_empty() {
            "help".to_owned()
        } else {
            format!("help-{}", command.replace(' ', "-"))
        };
        snapshot(&name, &ran.stdout);
    }
}

#[test]
fn the_settings_are_as_kept() {
    let home = Home::new();
    let ran = home.run(&["config", "show", "--explain"]).ends(0, "port_base");
    snapshot("config-show-explain", &ran.stdout.replace(&home.path().display().to_string(), "HOME"));
}

#[test]
fn a_command_without_arguments_shows_the_help() {
    Home::new().run(&[]).ends(2, "Usage: steadyhand");
}

#[test]
fn completions_exist_for_each_shell() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = home.run(&["completions", shell]).ends(0, "policy");
        assert!(ran.stdout.len() > 5_000, "{shell}");
    }
    home.run(&["completions", "csh"]).ends(2, "csh");
}
