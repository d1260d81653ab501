//! Puts the parts together: the one place that knows every crate.

use std::{num::NonZeroU32, sync::Arc};

use steadyhand_core::{
    capability::Registry,
    chance::Entropy,
    executor::Executor,
    step::{Observer, Silent},
    store::Store,
    time::Clock,
};
use steadyhand_executors::{Config as HandsConfig, Hands};
use steadyhand_gateway::{
    auth::tokens::TokenStore,
    http::{
        guard::{Auth, Bounds, Guard},
        problem::Service,
        route::Route,
    },
};
use steadyhand_pipeline::{Limits, Parts, Pipeline, PolicySource};
use steadyhand_reliability::retry::Taxonomy;
use steadyhand_store::SqliteStore;

use crate::{
    config::{self, Config},
    exit::Exit,
    fault::Fault,
    policy_file::{self, PolicyFile},
    system::{SystemClock, SystemEntropy},
};

/// What every service needs.
pub(crate) struct Base {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) policy: Arc<dyn PolicySource>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tokens: Arc<TokenStore>,
}

impl Base {
    /// Reads the policy, makes the tokens, opens the journal in `folder` of the data folder.
    ///
    /// # Errors
    /// What is in the way, with what to do about it.
    pub(crate) fn open(config: Config, folder: Option<&str>) -> Result<Self, Fault> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let registry = Arc::new(steadyhand_executors::capabilities::registry());
        let policy = Arc::new(PolicyFile::open(config.clone(), Arc::clone(&registry))?);
        let data = &config.places.data_dir;
        let folder = folder.map_or_else(|| data.clone(), |name| data.join(name));
        crate::folders::make_private(data)?;
        let store = SqliteStore::open(
            &folder,
            steadyhand_store::Options::default(),
            Arc::clone(&clock),
            Arc::clone(&entropy),
        )
        .map_err(|error| crate::folders::journal_fault(&folder, &error))?;
        for notice in store.notices() {
            tracing::warn!(%notice, "the journal was repaired");
        }
        let tokens = TokenStore::open(config.places.tokens(), Arc::clone(&entropy))
            .and_then(|tokens| tokens.ensure_defaults().map(|_| tokens))
            .map_err(|error| Fault::new(Exit::Configuration, error.to_string()))?;
        let (store, tokens) = (Arc::new(store), Arc::new(tokens));
        Ok(Self { config, clock, entropy, registry, policy, store, tokens })
    }

    /// The hands of this process.
    pub(crate) fn hands(&self) -> Result<Hands, Fault> {
        for root in &self.config.roots {
            crate::folders::make_root(root)?;
        }
        let config = HandsConfig {
            roots: self.config.roots.clone(),
            protected: policy_file::protected(&self.config),
            // Where the program is now, also when its file has been replaced by an update.
            stage: "/proc/self/exe".into(),
            entropy: Arc::clone(&self.entropy),
        };
        Hands::new(config).map_err(|error| Fault::new(Exit::Configuration, crate::folders::chain(&error)))
    }

    /// The action pipeline over `executor`.
    pub(crate) fn pipeline(&self, executor: Arc<dyn Executor>) -> Pipeline {
        let limits = Limits {
            running_max: self.config.limits.actions_running_max,
            approval_life: self.config.action_safety.confirmation_ttl,
            pending_per_session_max: self.config.action_safety.pending_confirmations_max,
            ..Limits::default()
        };
        Pipeline::new(Parts {
            registry: Arc::clone(&self.registry),
            executor,
            store: Arc::clone(&self.store),
            policy: Arc::clone(&self.policy),
            retry: Arc::new(Taxonomy),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            observer: observer(),
            limits,
        })
    }

    /// The guard of a service.
    pub(crate) fn guard(&self, service: Service, routes: &'static [Route]) -> Arc<Guard> {
        let limits = &self.config.limits;
        let bounds = Bounds {
            body_bytes_max: limits.body_bytes_max,
            header_bytes_max: limits.header_bytes_max,
            requests_per_second: NonZeroU32::new(limits.requests_per_second),
            connections_max: limits.connections_max,
        };
        let auth = match self.config.auth {
            config::Auth::On => Auth::On(Arc::clone(&self.tokens)),
            config::Auth::Off => Auth::Off,
        };
        let (clock, entropy) = (Arc::clone(&self.clock), Arc::clone(&self.entropy));
        let mut guard = Guard::new(service, routes, auth, bounds, clock, entropy);
        if !self.config.bind.is_loopback() {
            guard.hosts.push(self.config.bind.to_string());
        }
        Arc::new(guard)
    }
}

#[cfg(not(feature = "crash-points"))]
fn observer() -> Arc<dyn Observer> {
    Arc::new(Silent)
}

#[cfg(feature = "crash-points")]
fn observer() -> Arc<dyn Observer> {
    crate::crash::observer().unwrap_or_else(|| Arc::new(Silent))
}
