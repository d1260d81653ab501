//! The rules that hold where no one says otherwise: contract 6.2 with its names and verdicts, then the
//! default of each capability (contract 1.10, column Confirm), then a question for all the rest.
//!
//! Three things differ from 6.2's Windows forms. `%` in a path is an ordinary character here, so it
//! escapes nothing. A path that ends in `..` escapes as one with `../` does. And `allow_readonly_shell`
//! is missing: one engine decides, and for it every command asks (contract 9).

use crate::{
    arg::ArgPattern,
    name::{Case, NamePattern, expression},
    rule::{Decision, Origin, Rule},
};

/// A built-in rule as it is written here. The capability is a glob, or an expression if it begins with a
/// slash, over the whole name; the condition is an argument and an expression that is searched in it.
struct Builtin {
    name: &'static str,
    capability: &'static str,
    arg: Option<(&'static str, &'static str)>,
    decision: Decision,
    description: &'static str,
}

/// Commands that destroy: words in any case. `rm`, `del` and `format` count as words of their own before
/// white space, also behind a folder (`/bin/rm x`), but not as options (`stat --format x`).
const DESTRUCTIVE: &str = concat!(
    r"(?i)\b(?:Remove-Item|Delete|Clear-Content|Stop-Process|Stop-Service|Set-ExecutionPolicy",
    r"|Invoke-Expression|IEX)\b|(?:^|[^\w.-])(?:rm|del|format)\s",
);

/// Windows drives and shares, and steps up.
const ESCAPE: &str = r"(?i)[CD]:\\|\\\\|\.\.[/\\]|(?:^|[/\\])\.\.$";

const RULES: [Builtin; 18] = [
    deny("deny_destructive_shell", "shell.run", "Destructive shell commands are not allowed")
        .when("command", DESTRUCTIVE),
    deny("deny_path_escape", "file.*", "Paths that leave the sandbox are not allowed").when("path", ESCAPE),
    deny(
        "deny_unknown_destructive",
        r"/(?s:.*)\.(?:delete|destroy|drop)",
        "Destructive actions are not allowed",
    ),
    allow("allow_file_read", "file.read", "File reads are allowed"),
    allow("allow_health_check", "/health\\.check|healthz", "Health checks are allowed"),
    ask("confirm_file_write", "file.write", "File writes require user confirmation"),
    ask("confirm_shell_write", "shell.run", "Shell commands require user confirmation"),
    ask("confirm_browser_open", "browser.open", "Opening the browser requires user confirmation"),
    ask(
        "confirm_process_control",
        r"/process\.(?:start|stop|kill)",
        "Process control requires user confirmation",
    ),
    allow("allow_window_list", "window.list", "Listing windows is allowed"),
    allow("allow_window_focus", "window.focus", "Focusing a window is allowed"),
    allow("allow_clipboard_read", "clipboard.read", "Reading the clipboard is allowed"),
    allow("allow_clipboard_write", "clipboard.write", "Writing the clipboard is allowed"),
    ask("confirm_app_launch", "app.launch", "Launching an application requires user confirmation"),
    ask("confirm_app_close", "app.close", "Closing an application requires user confirmation"),
    ask("confirm_keyboard_type", "keyboard.type", "Typing requires user confirmation"),
    ask("confirm_keyboard_hotkey", "keyboard.hotkey", "Pressing a hotkey requires user confirmation"),
    ask("confirm_mouse_click", "mouse.click", "Clicking requires user confirmation"),
];

const LAST: Builtin = ask("confirm_unknown", "*", "Unknown actions require user confirmation");

const fn allow(name: &'static str, capability: &'static str, description: &'static str) -> Builtin {
    Builtin { name, capability, arg: None, decision: Decision::Allow, description }
}

const fn ask(name: &'static str, capability: &'static str, description: &'static str) -> Builtin {
    Builtin { name, capability, arg: None, decision: Decision::Ask, description }
}

const fn deny(name: &'static str, capability: &'static str, description: &'static str) -> Builtin {
    Builtin { name, capability, arg: None, decision: Decision::Deny, description }
}

impl Builtin {
    const fn when(mut self, arg: &'static str, regex: &'static str) -> Self {
        self.arg = Some((arg, regex));
        self
    }

    fn compile(&self) -> Rule {
        let capability = match self.capability.strip_prefix('/') {
            Some(regex) => NamePattern::whole(regex),
            None => NamePattern::glob(self.capability, Case::Any),
        };
        let arg = self.arg.map(|(name, source)| {
            let regex = expression(source, Case::Exact).expect("a built-in expression compiles");
            (name.to_owned(), ArgPattern::Text { word: "regex", source: source.to_owned(), regex })
        });
        Rule {
            name: self.name.to_owned(),
            description: self.description.to_owned(),
            decision: self.decision,
            origin: Origin::Builtin,
            place: None,
            capability: capability.expect("a built-in pattern compiles"),
            caller: None,
            args: arg.into_iter().collect(),
        }
    }
}

/// All but the last, in order.
pub(crate) fn rules() -> impl Iterator<Item = Rule> {
    RULES.iter().map(Builtin::compile)
}

/// The rule that matches everything; `decision` replaces its own.
pub(crate) fn last(decision: Option<Decision>) -> Rule {
    let mut rule = LAST.compile();
    rule.decision = decision.unwrap_or(rule.decision);
    rule
}

/// Whether a built-in rule has this name.
pub(crate) fn is_name(name: &str) -> bool {
    RULES.iter().chain(std::iter::once(&LAST)).any(|rule| rule.name == name)
}
