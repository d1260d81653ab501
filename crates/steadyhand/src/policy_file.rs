//! The policy in force: read at start, and again whenever its file changes.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::SystemTime,
};

use steadyhand_core::capability::Registry;
use steadyhand_pipeline::PolicySource;
use steadyhand_policy::Policy;

use crate::{config::Config, exit::Exit, fault::Fault};

/// What tells one version of a file from another without reading it.
type Stamp = Option<(SystemTime, u64)>;

/// The policy file with what it said last.
pub(crate) struct PolicyFile {
    config: Config,
    registry: Arc<Registry>,
    state: Mutex<State>,
}

struct State {
    stamps: [Stamp; 2],
    policy: Arc<Policy>,
}

impl PolicyFile {
    /// Reads the policy.
    ///
    /// # Errors
    /// What is wrong with it, with file, line and column.
    pub(crate) fn open(config: Config, registry: Arc<Registry>) -> Result<Self, Fault> {
        let stamps = stamps(&config);
        let policy = Arc::new(read(&config, &registry)?);
        Ok(Self { config, registry, state: Mutex::new(State { stamps, policy }) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code under this lock can panic")
    }
}

impl PolicySource for PolicyFile {
    /// A changed file takes force at once. One that can't be understood doesn't: what was in force
    /// stays, and the log says why.
    fn current(&self) -> Arc<Policy> {
        let stamps = stamps(&self.config);
        let mut state = self.lock();
        if state.stamps != stamps {
            state.stamps = stamps;
            match read(&self.config, &self.registry) {
                Ok(policy) => {
                    tracing::info!(version = policy.version(), "the policy changed");
                    state.policy = Arc::new(policy);
                }
                Err(fault) => tracing::error!(%fault, "the changed policy is not in force"),
            }
        }
        Arc::clone(&state.policy)
    }
}

fn read(config: &Config, registry: &Registry) -> Result<Policy, Fault> {
    let policy = config.policy()?;
    let misfits = policy.misfits(registry);
    if misfits.is_empty() {
        return Ok(policy);
    }
    let all: Vec<String> = misfits.iter().map(ToString::to_string).collect();
    Err(Fault::new(Exit::Configuration, all.join("\n  "))
        .advise("correct it, then look again with `steadyhand policy check`"))
}

fn stamps(config: &Config) -> [Stamp; 2] {
    let stamp = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    [stamp(&config.places.policy_file), stamp(&config.places.config_file)]
}

/// What file actions and commands may never touch, also under a root.
pub(crate) fn protected(config: &Config) -> Vec<PathBuf> {
    let places = &config.places;
    let mut all = vec![places.data_dir.clone(), places.config_file.clone(), places.policy_file.clone()];
    // A folder of our own is protected whole; a file in somebody else's folder, alone.
    all.extend(
        places.config_file.parent().filter(|folder| folder.ends_with("steadyhand")).map(PathBuf::from),
    );
    all
}
