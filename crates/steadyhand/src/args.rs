//! The command line: one definition for parser, help and completions.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod act;
mod settings;

pub(crate) use act::ActArgs;
pub(crate) use settings::{ServeArgs, Service, SettingArgs, UpArgs};

const LONG_ABOUT: &str = "\
Steadyhand is the action runtime for AI agents: an agent asks for an action, it is planned, \
validated, approved where policy says so, executed once, verified, and journaled.";

const EXAMPLES: &str = "\
Examples:
  steadyhand up                                   start, with the folder ~/Steadyhand
  steadyhand act file.read path=notes.txt         do one thing
  steadyhand actions --state pending_approval     see what waits
  steadyhand approve act_0123456789abcdef         say yes
  steadyhand doctor                               find out what is missing
";

/// `steadyhand`.
#[derive(Debug, Parser)]
#[command(
    name = "steadyhand",
    version,
    about = "Steadyhand: the action runtime for AI agents",
    long_about = LONG_ABOUT,
    after_help = format!("{EXAMPLES}\n{}", crate::exit::table()),
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) common: Common,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Common {
    /// Data folder [env: STEADYHAND_DATA_DIR] [default: ~/.local/share/steadyhand]
    #[arg(long, global = true, value_name = "FOLDER", help_heading = "Everywhere")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Configuration file; policy.toml lies beside it [default: ~/.config/steadyhand/config.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// The gateway [env: STEADYHAND_URL] [default: the one that runs on this data folder]
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    pub(crate) url: Option<String>,
    /// Speak with the token of this name [default: operator]
    #[arg(long = "as", global = true, value_name = "NAME", help_heading = "Everywhere")]
    pub(crate) speak_as: Option<String>,
    /// Speak with this token [env: STEADYHAND_TOKEN, which other users can't see]
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        help_heading = "Everywhere",
        conflicts_with = "speak_as"
    )]
    pub(crate) token: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start all services in one process
    Up(UpArgs),
    /// Stop the services that run on the data folder: what runs may end, then the journal is closed
    Down,
    /// Start one service alone
    Serve(ServeArgs),
    /// Ask for one action, and wait for its outcome
    Act(ActArgs),
    /// List actions, or show one with its timeline
    Actions(ActionsArgs),
    /// Approve actions that wait
    Approve(ApproveArgs),
    /// Deny actions that wait
    Deny(DenyArgs),
    /// Cancel an action that waits or runs
    Cancel(IdArgs),
    /// Undo an action that succeeded
    Undo(UndoArgs),
    /// Look into the journal
    #[command(subcommand)]
    Audit(AuditCommand),
    /// List what can be done, or show one capability with its parameters
    Capabilities(CapabilitiesArgs),
    /// Show how the services are
    Health,
    /// Check everything that a start can trip over, and say what to do
    Doctor(SettingArgs),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at the policy
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Manage tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  mkdir -p ~/.local/share/bash-completion/completions\n  steadyhand completions bash > ~/.local/share/bash-completion/completions/steadyhand"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `actions`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  steadyhand actions                              the newest 20
  steadyhand actions --state failed --since 2h    what failed in the last two hours
  steadyhand actions act_0123456789abcdef         one, with its timeline")]
pub(crate) struct ActionsArgs {
    /// Show this action
    pub(crate) id: Option<String>,
    /// Show its parameters exactly, secrets included (needs a token that may approve)
    #[arg(long, requires = "id")]
    pub(crate) exact: bool,
    /// Only in this state
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// Only of this capability
    #[arg(long)]
    pub(crate) intent: Option<String>,
    /// Only of this session
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Only of this failure class
    #[arg(long, value_name = "CLASS")]
    pub(crate) failure_class: Option<String>,
    /// Only since this time: RFC 3339, or how long ago, such as 30m, 2h, 7d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) limit: u16,
}

/// `approve`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Shows the exact request and asks, then runs it and waits for the outcome.

Example:
  steadyhand approve act_0123456789abcdef --yes")]
pub(crate) struct ApproveArgs {
    /// The actions
    #[arg(required = true, value_name = "ID", num_args = 1..=50)]
    pub(crate) ids: Vec<String>,
    /// Approve without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `deny`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DenyArgs {
    /// The actions
    #[arg(required = true, value_name = "ID", num_args = 1..=50)]
    pub(crate) ids: Vec<String>,
    /// Why; kept in the journal
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// A command about one action.
#[derive(Debug, Clone, Args)]
pub(crate) struct IdArgs {
    /// The action
    pub(crate) id: String,
}

/// `undo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Example:
  steadyhand undo act_0123456789abcdef --dry-run   see what would be put back")]
pub(crate) struct UndoArgs {
    /// The action
    pub(crate) id: String,
    /// Only say what would be put back
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show an action's timeline
    Show(IdArgs),
    /// Check the whole journal against its signed heads, without a running gateway
    #[command(after_help = "\
Detects edits, reordering and insertions always, removal against the newest head it has,
and says which head it trusts. Exit code 10: something doesn't hold.")]
    Verify,
}

/// `capabilities`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CapabilitiesArgs {
    /// Show this one
    pub(crate) intent: Option<String>,
}

/// `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting in force and where it came from
    #[command(after_help = "\
A setting comes from, in this order: its default, the configuration file, the environment
(limits.body_bytes_max is STEADYHAND_LIMITS_BODY_BYTES_MAX), a flag.")]
    Show(ShowArgs),
    /// Check the configuration and the policy without starting anything
    Check(SettingArgs),
}

/// `config show`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArgs {
    /// Also print each setting's meaning, unit, range and variable
    #[arg(long)]
    pub(crate) explain: bool,
    /// Settings to show as if they were given to `up`.
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

/// `policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check a policy file
    Check {
        /// The file [default: the one in force]
        file: Option<PathBuf>,
    },
    /// Say which rule decides for a request, and why
    #[command(after_help = "\
Example:
  steadyhand policy explain file.write path=notes.txt content=hello --caller agent")]
    Explain(ExplainArgs),
}

/// `policy explain`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExplainArgs {
    /// The capability
    pub(crate) intent: String,
    /// Its parameters, as for `act`
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) params: Vec<String>,
    /// Who asks
    #[arg(long, default_value = "agent")]
    pub(crate) caller: String,
}

/// `token`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Print a token, to give to an agent
    #[command(after_help = "Example:\n  export STEADYHAND_TOKEN=$(steadyhand token show agent)")]
    Show {
        /// Its name
        name: String,
    },
    /// List tokens and what they allow
    List,
    /// Make a new token
    #[command(after_help = "Example:\n  steadyhand token new laptop --scopes read,act")]
    New {
        /// Its name: 1 to 40 of a-z, 0-9 and -
        name: String,
        /// What it allows
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<ScopeWord>,
    },
    /// Give a token a new secret; the old one stops within a second
    Rotate {
        /// Its name
        name: String,
    },
    /// Remove a token; it stops within a second
    Remove {
        /// Its name
        name: String,
    },
}

/// A scope as the command line writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScopeWord {
    /// Every look, and dry runs
    Read,
    /// Ask for actions
    Act,
    /// Approve, deny, undo
    Approve,
    /// Policy, tokens, backups
    Admin,
}

impl Common {
    /// Where files and settings are, without flags of a command's own.
    pub(crate) fn given(&self, settings: Option<&SettingArgs>) -> crate::config::Given {
        crate::config::Given {
            data_dir: self.data_dir.clone(),
            config_file: self.config.clone(),
            flags: settings.map(SettingArgs::flags).unwrap_or_default(),
        }
    }
}
