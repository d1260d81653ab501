//! The only writer to standard output, standard error and the terminal.
//!
//! A reader that goes away (`| head`) ends the program quietly. Colour only on a terminal, and not where
//! `NO_COLOR` is set. What comes from actions must have passed [`crate::escape`] before it gets here.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use crate::{exit::Exit, fault::Fault};

/// Longest answer to a question on the terminal, in bytes.
const ANSWER_BYTES_MAX: u64 = 1024;

/// Tables are fitted to terminals from this width on, in columns.
const COLUMNS_MIN: u16 = 40;

/// How a word on the terminal is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Needs a look.
    Warn,
    /// Is wrong.
    Bad,
    /// Less important.
    Dim,
    /// More important.
    Strong,
}

/// What a command prints, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    /// Whether a program reads: JSON instead of tables.
    pub(crate) json: bool,
    /// Whether standard output is a terminal.
    pub(crate) terminal: bool,
    colour: bool,
}

impl Out {
    /// Looks at where standard output goes.
    pub(crate) fn new(json: bool, no_colour: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self { json, terminal, colour: terminal && !json && !no_colour }
    }

    /// Prints one line, or several.
    pub(crate) fn line(self, text: impl AsRef<str>) {
        self.bytes(text.as_ref().as_bytes());
        self.bytes(b"\n");
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        survive(stdout.write_all(bytes).and_then(|()| stdout.flush()));
    }

    /// Prints a JSON value for a program.
    pub(crate) fn value(self, value: &Value) {
        let text = serde_json::to_string_pretty(value).expect("a JSON value has a text");
        self.line(if self.terminal { crate::escape::json(&text) } else { text });
    }

    /// Prints a remark that isn't the result.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        let mut stderr = io::stderr().lock();
        // Nobody reads it: nothing is left to tell.
        let _unread = stderr.write_all(text.as_ref().as_bytes()).and_then(|()| stderr.write_all(b"\n"));
    }

    /// Prints why the command stops.
    pub(crate) fn fault(self, fault: &Fault) {
        if self.json {
            let Fault { exit, message, advice } = fault;
            let error = json!({"message": message, "advice": advice, "exit_code": exit.code()});
            return self.value(&json!({"ok": false, "error": error}));
        }
        if fault.exit == Exit::Interrupted && io::stderr().is_terminal() {
            // The terminal has just shown `^C`.
            self.note("");
        }
        self.note(format!("steadyhand: {}", crate::escape::text(&fault.message)));
        if let Some(advice) = &fault.advice {
            self.note(format!("  {}", crate::escape::text(advice)));
        }
    }

    /// Prints rows under a head. Cells are escaped here.
    pub(crate) fn table(self, head: &[&str], rows: &[Vec<String>]) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        // A terminal that doesn't know its width, or is narrower than words, gets lines as they are.
        if self.terminal && table.width().is_some_and(|width| width >= COLUMNS_MIN) {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        if !head.is_empty() {
            table.set_header(head.iter().map(|h| h.to_uppercase()));
        }
        for row in rows {
            table.add_row(row.iter().map(|cell| crate::escape::line(cell).into_owned()));
        }
        for (name, column) in head.iter().zip(table.column_iter_mut()) {
            column.set_padding((0, 2));
            // What is copied to the next command must not be broken.
            if matches!(*name, "action" | "state" | "time" | "phase" | "status") {
                column.set_constraint(comfy_table::ColumnConstraint::ContentWidth);
            }
        }
        for line in table.to_string().lines() {
            self.line(line.trim_end());
        }
    }

    /// A text in a tone, where there is colour.
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Ends quietly when the reader has gone; any other failure to print is said once.
fn survive(result: io::Result<()>) {
    let Err(error) = result else { return };
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(i32::from(Exit::Done.code()));
    }
    let _unread = writeln!(io::stderr(), "steadyhand: can't print: {error}");
    std::process::exit(i32::from(Exit::Failed.code()));
}

/// The controlling terminal, which is the person even where input and output are redirected.
#[derive(Debug)]
pub(crate) struct Person(std::fs::File);

impl Person {
    /// The person at the terminal, if there is one.
    pub(crate) fn find() -> Option<Self> {
        let tty = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        tty.is_terminal().then_some(Self(tty))
    }

    /// How many characters fit into a line; 80 where the terminal doesn't say.
    pub(crate) fn columns(&self) -> usize {
        const USUAL: usize = 80;
        rustix::termios::tcgetwinsize(&self.0).map_or(USUAL, |size| match size.ws_col {
            0 => USUAL,
            columns => usize::from(columns),
        })
    }

    /// Shows a text. It must have passed [`crate::escape`].
    pub(crate) fn show(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(text.as_bytes())?;
        self.0.flush()
    }

    /// Asks, and answers true only for `y` or `yes`. What was typed before the question doesn't count.
    pub(crate) fn agrees(&mut self, question: &str) -> io::Result<bool> {
        // Keys hit before the question was read are no answer to it.
        rustix::termios::tcflush(&self.0, rustix::termios::QueueSelector::IFlush)?;
        self.show(question)?;
        let mut answer = String::new();
        io::BufReader::new((&self.0).take(ANSWER_BYTES_MAX)).read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}
