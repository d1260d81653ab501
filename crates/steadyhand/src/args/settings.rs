//! Flags that set what the configuration file can set too, and the commands that start services.

use clap::{Args, ValueEnum};

use crate::config::layers::Flag;

/// Flags over the configuration.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SettingArgs {
    /// A folder that file actions may work in; repeatable [default: ~/Steadyhand]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) root: Vec<String>,
    /// Whether requests need a token: on | off [default: on]
    #[arg(long, value_name = "on|off")]
    pub(crate) auth: Option<String>,
    /// The X display that desktop actions work on: auto | none | :N [default: auto]
    #[arg(long, value_name = "DISPLAY")]
    pub(crate) display: Option<String>,
    /// The gateway's port; the other services lie at +10, +20, … +50 [default: 7000]
    #[arg(long, value_name = "PORT")]
    pub(crate) port_base: Option<String>,
    /// The address that the services listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) bind: Option<String>,
}

impl SettingArgs {
    /// The settings that were given.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let roots = self.root.iter().map(|root| {
            // A folder named on the command line is relative to where the person is.
            let absolute = if root.starts_with('~') { None } else { std::path::absolute(root).ok() };
            absolute.map_or_else(|| root.clone(), |path| path.display().to_string())
        });
        let several = [("roots", "--root", roots.collect())];
        let single = [
            ("auth", "--auth", &self.auth),
            ("display", "--display", &self.display),
            ("port_base", "--port-base", &self.port_base),
            ("bind", "--bind", &self.bind),
        ];
        let single =
            single.into_iter().map(|(key, flag, value)| (key, flag, value.iter().cloned().collect()));
        several
            .into_iter()
            .chain(single)
            .filter(|(_, _, values): &(_, _, Vec<String>)| !values.is_empty())
            .map(|(key, flag, values)| Flag { key, flag, values })
            .collect()
    }
}

/// `up`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Examples:
  steadyhand up                                   loopback, token needed, root ~/Steadyhand
  steadyhand up --root ~/work --root /srv/shared  other folders
  steadyhand up --port-base 7100 --data-dir /tmp/second

The first signal (Ctrl-C) stops accepting, lets running actions finish, and flushes the journal;
the second leaves at once.")]
pub(crate) struct UpArgs {
    /// Flags over the configuration.
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

/// A service that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    /// The front door, at the base port; needs `executor.url`
    Gateway,
    /// The hands, at +40
    Executor,
    /// The policy gate, at +50
    Supervisor,
}

/// `serve`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Example:
  steadyhand serve executor --root ~/work")]
pub(crate) struct ServeArgs {
    /// The service
    pub(crate) service: Service,
    /// Flags over the configuration.
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}
