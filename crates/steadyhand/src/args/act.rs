//! `act`: one action from the command line.

use clap::Args;

/// `act`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Parameters:
  path=notes.txt        a text, or what the capability's schema says: number, true/false
  args=-l args=/tmp     repeated: an array
  count:=3              JSON as it stands
  content=@draft.txt    the text of a file
  content=-             the text of standard input

Examples:
  steadyhand act file.read path=notes.txt
  steadyhand act file.write path=notes.txt content=@draft.txt
  steadyhand act shell.run command='ls -l' --yes
  steadyhand act window.list --json
  steadyhand act file.write --json-params '{\"path\":\"a\",\"content\":\"b\"}' --dry-run

An action that needs approval is shown exactly as it will run, and you are asked on the terminal.
Ctrl-C cancels the action.")]
pub(crate) struct ActArgs {
    /// The capability, such as file.read; see `steadyhand capabilities`
    pub(crate) intent: String,
    /// Its parameters
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) params: Vec<String>,
    /// Parameters as a JSON object, or - to read it from standard input
    #[arg(long, value_name = "JSON")]
    pub(crate) json_params: Option<String>,
    /// Plan and validate only
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Idempotency key: the same key does the same thing once, within 24 hours
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Approve without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Bounds one attempt, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=120_000))]
    pub(crate) timeout_ms: u32,
    /// Bounds all attempts and waits, in milliseconds
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(100..=600_000))]
    pub(crate) deadline_ms: Option<u32>,
    /// Retries at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=5))]
    pub(crate) max_retries: Option<u8>,
    /// The session it belongs to
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
}
