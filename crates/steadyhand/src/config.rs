//! The configuration: one tree, read and checked before anything is started.
//!
//! Default < file < environment < flag. Unknown keys are refused. What each setting means, its unit and
//! its range are in [`keys`], once.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use steadyhand_core::store::Retention;
use steadyhand_policy::{Policy, Source as PolicySource};

pub(crate) mod keys;
pub(crate) mod layers;
#[cfg(test)]
mod tests;
pub(crate) mod value;

use crate::{exit::Exit, fault::Fault, surroundings::Surroundings};
use layers::{FileText, Flag, Settings};
use value::Value;

/// Largest configuration or policy file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Whether requests need a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    /// They do.
    On,
    /// They don't: every caller is the operator.
    Off,
}

/// The X display that desktop actions work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Display {
    /// The one of the session, or else a private one.
    Auto,
    /// None.
    None,
    /// This one, such as `:1`.
    Named(String),
}

/// What the services take at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of a request body.
    pub(crate) body_bytes_max: usize,
    /// Bytes of a request head.
    pub(crate) header_bytes_max: usize,
    /// Requests per second of one caller.
    pub(crate) requests_per_second: u32,
    /// Connections of a service.
    pub(crate) connections_max: usize,
    /// Actions that run at once.
    pub(crate) actions_running_max: usize,
}

/// Approvals (contract 7, `action_safety`). Its rules are in the [`Policy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ActionSafety {
    /// How long an approval may be given.
    pub(crate) confirmation_ttl: Duration,
    /// Approvals of a session that may wait at once.
    pub(crate) pending_confirmations_max: usize,
}

/// The files and folders that belong to an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// The data folder.
    pub(crate) data_dir: PathBuf,
    /// The configuration file; it need not exist.
    pub(crate) config_file: PathBuf,
    /// The policy file; it need not exist.
    pub(crate) policy_file: PathBuf,
}

impl Places {
    /// The folder of tokens.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.data_dir.join("tokens")
    }

    /// What describes the running stack.
    pub(crate) fn stack_file(&self) -> PathBuf {
        self.data_dir.join("run").join("stack.json")
    }
}

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Files and folders.
    pub(crate) places: Places,
    /// The folders that file actions may work in. At least one, absolute.
    pub(crate) roots: Vec<PathBuf>,
    /// Whether requests need a token.
    pub(crate) auth: Auth,
    /// The gateway's port; the other services lie at +10, … +50.
    pub(crate) port_base: u16,
    /// The address that the services listen on.
    pub(crate) bind: IpAddr,
    /// The display that desktop actions work on.
    pub(crate) display: Display,
    /// What the services take at most.
    pub(crate) limits: Limits,
    /// How long things are kept.
    pub(crate) retention: Retention,
    /// How long running actions may finish after the first signal.
    pub(crate) drain: Duration,
    /// Approvals.
    pub(crate) action_safety: ActionSafety,
    /// Where the executor is, for a gateway that runs alone.
    pub(crate) executor_url: Option<String>,
    /// How much is logged: `error`, `warn`, `info`, `debug` or `trace`.
    pub(crate) log_level: String,
}

/// A configuration with where each value came from.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// The configuration.
    pub(crate) config: Config,
    /// Every setting with its source.
    pub(crate) settings: Settings,
    /// Whether the configuration file exists.
    pub(crate) file_exists: bool,
}

/// What the command line says of files and settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    /// `--data-dir`.
    pub(crate) data_dir: Option<PathBuf>,
    /// `--config`.
    pub(crate) config_file: Option<PathBuf>,
    /// Settings set by flags.
    pub(crate) flags: Vec<Flag>,
}

/// Finds the files and folders, without looking whether they exist.
///
/// # Errors
/// Without a home folder, where nothing else names them.
pub(crate) fn places(given: &Given, around: &Surroundings) -> Result<Places, Fault> {
    let nowhere = |what: &str, flag: &str| {
        let message = format!("HOME is not set, so there is no place for the {what}");
        Fault::new(Exit::Configuration, message).advise(format!("name one with {flag}"))
    };
    let named =
        given.data_dir.clone().or_else(|| around.get(crate::surroundings::DATA_DIR).map(PathBuf::from));
    let data_dir = named.or_else(|| around.data_dir()).ok_or_else(|| nowhere("data", "--data-dir"))?;
    let config_file = match &given.config_file {
        Some(file) => absolute(file)?,
        None => around.config_dir().ok_or_else(|| nowhere("configuration", "--config"))?.join("config.toml"),
    };
    let policy_file = config_file.with_file_name("policy.toml");
    Ok(Places { data_dir: absolute(&data_dir)?, config_file, policy_file })
}

/// Reads and checks the configuration.
///
/// # Errors
/// Everything that is wrong with it, and exit code 8.
pub(crate) fn load(given: &Given, around: &Surroundings) -> Result<Loaded, Fault> {
    let places = places(given, around)?;
    let text = read_optional(&places.config_file)?;
    if text.is_none() && given.config_file.is_some() {
        let message = format!("there is no configuration file {}", places.config_file.display());
        return Err(Fault::new(Exit::Configuration, message).advise("make it, or leave --config out"));
    }
    let name = places.config_file.display().to_string();
    let file = text.as_deref().map(|text| FileText { text, name: &name });
    let settings = layers::resolve(file, around, &given.flags).map_err(|problems| refused(&problems))?;
    let config = build(&settings, places);
    check(&config)?;
    Ok(Loaded { config, settings, file_exists: text.is_some() })
}

impl Config {
    /// Reads the policy in force: the policy file, and `action_safety` of the configuration file.
    ///
    /// # Errors
    /// What is wrong with either, with its place, and exit code 8.
    pub(crate) fn policy(&self) -> Result<Policy, Fault> {
        let policy = read_optional(&self.places.policy_file)?.unwrap_or_default();
        self.policy_with(&policy, &self.places.policy_file)
    }

    /// As [`Self::policy`], with `text` in place of the policy file.
    ///
    /// # Errors
    /// As [`Self::policy`].
    pub(crate) fn policy_with(&self, text: &str, file: &Path) -> Result<Policy, Fault> {
        let config = read_optional(&self.places.config_file)?.unwrap_or_default();
        let (policy_name, config_name) =
            (file.display().to_string(), self.places.config_file.display().to_string());
        let policy = PolicySource { text, file_name: &policy_name };
        let config = PolicySource { text: &config, file_name: &config_name };
        Policy::parse_with_config(policy, config).map_err(|error| {
            Fault::new(Exit::Configuration, error.to_string())
                .advise("correct it, then look again with `steadyhand policy check`")
        })
    }
}

/// Reads a file that need not exist.
///
/// # Errors
/// When it exists and can't be read, isn't UTF-8, or is too large.
pub(crate) fn read_optional(path: &Path) -> Result<Option<String>, Fault> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::io(path, "read", &error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| Fault::io(path, "read", &e))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display());
        return Err(Fault::new(Exit::Configuration, message));
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| Fault::new(Exit::Configuration, format!("{} isn't UTF-8 text", path.display())))
}

fn absolute(path: &Path) -> Result<PathBuf, Fault> {
    std::path::absolute(path).map_err(|error| Fault::io(path, "find", &error))
}

fn refused(problems: &[String]) -> Fault {
    Fault::new(Exit::Configuration, problems.join("\n  "))
        .advise("`steadyhand config show` lists every setting with its range")
}

fn build(settings: &Settings, places: Places) -> Config {
    let text = |name: &str| match &settings[name].0 {
        Value::Text(text) => text.clone(),
        other => unreachable!("`{name}` is a text, not {other:?}"),
    };
    let number = |name: &str| match settings[name].0 {
        Value::Integer(number) => number,
        ref other => unreachable!("`{name}` is a number, not {other:?}"),
    };
    let size = |name: &str| usize::try_from(number(name)).expect("the range fits");
    let seconds = |name: &str| Duration::from_secs(number(name));
    let Value::Folders(roots) = settings["roots"].0.clone() else { unreachable!("`roots` are folders") };
    let display = match text("display").as_str() {
        "auto" => Display::Auto,
        "none" => Display::None,
        name => Display::Named(name.to_owned()),
    };
    Config {
        places,
        roots,
        auth: if text("auth") == "on" { Auth::On } else { Auth::Off },
        port_base: u16::try_from(number("port_base")).expect("the range fits"),
        bind: text("bind").parse().expect("checked when read"),
        display,
        limits: Limits {
            body_bytes_max: size("limits.body_bytes_max"),
            header_bytes_max: size("limits.header_bytes_max"),
            requests_per_second: u32::try_from(number("limits.requests_per_second")).expect("the range fits"),
            connections_max: size("limits.connections_max"),
            actions_running_max: size("limits.actions_running_max"),
        },
        retention: Retention {
            age: Duration::from_secs(number("retention.age_days") * 24 * 60 * 60),
            journal_bytes_max: number("retention.journal_gib") << 30,
            output_bytes_max: number("retention.output_gib") << 30,
        },
        drain: seconds("shutdown.drain_seconds"),
        action_safety: ActionSafety {
            confirmation_ttl: seconds("action_safety.confirmation_ttl_seconds"),
            pending_confirmations_max: size("action_safety.max_pending_confirmations"),
        },
        executor_url: Some(text("executor.url")).filter(|url| !url.is_empty()),
        log_level: text("log.level"),
    }
}

/// What one setting alone can't tell.
fn check(config: &Config) -> Result<(), Fault> {
    let fault = |message: String| Fault::new(Exit::Configuration, message);
    if config.auth == Auth::Off && !config.bind.is_loopback() {
        let message = format!("auth is off, so the services listen on loopback only, not on {}", config.bind);
        return Err(fault(message).advise("turn auth on, or leave `bind` at 127.0.0.1"));
    }
    if config.roots.is_empty() {
        return Err(fault("HOME is not set, so there is no root".to_owned()).advise("name one with --root"));
    }
    for root in &config.roots {
        if real(root).starts_with(real(&config.places.data_dir)) {
            let message = format!("the root {} lies inside the data folder", root.display());
            return Err(fault(message).advise("choose a root elsewhere"));
        }
    }
    Ok(())
}

/// A path with its links followed as far as it exists.
fn real(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            return real.join(path.strip_prefix(ancestor).expect("an ancestor"));
        }
    }
    path.to_owned()
}
