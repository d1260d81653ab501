//! Starting services, and ending them in order: stop accepting, drain, flush, sign the head.

use std::{io::IsTerminal, sync::Arc, time::Duration};

use axum::Router;
use serde_json::json;
use steadyhand_core::executor::Executor;
use steadyhand_gateway::{
    http::{
        problem::Service as Wire,
        serve::{self, BindError},
    },
    logs::{calls::CallLog, sink::Sink, tail},
    remote::RemoteExecutor,
    services::{
        executor::{self, AttemptMemory, ExecutorService, LoggedExecutor, Running},
        gateway::{self, Gateway, health::HealthWatch},
        supervisor::{
            self, Supervisor,
            tokens::{TokenLimits, Tokens},
        },
    },
};
use steadyhand_pipeline::Pipeline;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    args::{ServeArgs, Service, UpArgs},
    config::Config,
    exit::Exit,
    fault::Fault,
    folders::chain,
    running::Described,
    signals::Signals,
    stack,
    wiring::Base,
};

/// Threads for work on files at once; more would wait for the same disk and cost memory.
const BLOCKING_THREADS_MAX: usize = 64;
/// How often retention looks for what it may drop.
const SWEEP_EVERY: Duration = Duration::from_secs(10 * 60);
/// How long open connections get after the pipeline has drained.
const CONNECTION_DRAIN: Duration = Duration::from_secs(2);

/// Starts all services in one process; returns when they have stopped.
///
/// # Errors
/// What kept them from starting, or stopped them.
pub(crate) fn run(_args: &UpArgs, config: Config) -> anyhow::Result<Exit> {
    start(config, &[Wire::Gateway, Wire::Executor, Wire::Supervisor], None)
}

/// Starts one service alone; returns when it has stopped.
///
/// # Errors
/// What kept it from starting, or stopped it.
pub(crate) fn serve(args: &ServeArgs, config: Config) -> anyhow::Result<Exit> {
    match args.service {
        Service::Gateway => start(config, &[Wire::Gateway], None),
        Service::Executor => start(config, &[Wire::Executor], Some("executor")),
        Service::Supervisor => start(config, &[Wire::Supervisor], Some("supervisor")),
    }
}

fn start(config: Config, services: &[Wire], folder: Option<&str>) -> anyhow::Result<Exit> {
    init_log(&config.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("steadyhand")
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()?;
    let result = runtime.block_on(run_services(config, services, folder));
    // Whatever blocks still has had its time.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(result?)
}

fn init_log(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(level).unwrap_or_default();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A second start in one process keeps the first log.
    let _ = log.try_init();
}

async fn run_services(config: Config, services: &[Wire], folder: Option<&str>) -> Result<Exit, Fault> {
    let mut signals = Signals::listen().map_err(|e| Fault::new(Exit::Failed, e.to_string()))?;
    let listeners = bind_all(&config, services).await?;
    let base = Base::open(config, folder)?;
    let parts = Assembly::new(&base, services).await?;
    let mut ready = Vec::new();
    for (service, listener) in listeners {
        let router = parts.router(&base, service).await?;
        ready.push((listener, router));
    }
    // Before recovery, whose decisions belong into the log files, too.
    let logs = parts.log_files(&base);
    if let Some(pipeline) = &parts.pipeline {
        let found = pipeline.recover().await.map_err(|e| Fault::new(Exit::Integrity, chain(&e)))?;
        parts.calls.event(
            "recovered",
            &json!({
                "rerun": found.rerun, "confirmed": found.confirmed, "outcome_unknown": found.outcome_unknown,
                "waiting": found.waiting, "ended": found.ended, "undos": found.undos,
            }),
        );
    }
    let stop = CancellationToken::new();
    let mut serving = tokio::task::JoinSet::new();
    for (listener, router) in ready {
        let (max, stop) = (base.config.limits.connections_max, stop.clone());
        // An answer must still find its way after its action has had the whole drain.
        let drain = base.config.drain + CONNECTION_DRAIN;
        serving.spawn(serve::serve(listener, router, max, stop, drain));
    }
    let described = Described::write(&base.config, services.contains(&Wire::Gateway))?;
    parts.calls.event("startup", &json!({"port_base": base.config.port_base, "services": names(services)}));
    greet(&base.config, services);
    let background = parts.background(&base, logs);
    let exit = tokio::select! {
        () = signals.next() => Exit::Done,
        why = base.store.failed() => {
            tracing::error!(%why, "the journal failed; what is in doubt is settled at the next start");
            Exit::Integrity
        }
    };
    let end = async {
        stop.cancel();
        if let Some(pipeline) = &parts.pipeline {
            let left = pipeline.shut_down(base.config.drain).await;
            if left > 0 {
                tracing::warn!(left, "actions were still running; they are settled at the next start");
            }
        }
        while serving.join_next().await.is_some() {}
        background.abort_all();
        if let Err(error) = base.store.close().await {
            tracing::error!(error = %chain(&error), "the journal did not close in order");
        }
        parts.calls.event("shutdown", &json!({"exit": exit.code()}));
        parts.calls.flush();
        drop(described);
    };
    tokio::select! {
        () = end => Ok(exit),
        () = signals.next() => Ok(Exit::Interrupted),
    }
}

fn names(services: &[Wire]) -> Vec<&'static str> {
    services.iter().map(|s| s.as_str()).collect()
}

async fn bind_all(config: &Config, services: &[Wire]) -> Result<Vec<(Wire, TcpListener)>, Fault> {
    let mut bound = Vec::new();
    for service in services {
        let port = config.port_base + service.port_offset();
        let listener = serve::bind(config.bind, port).await.map_err(|error| match error {
            BindError::Taken { .. } => Fault::new(Exit::InUse, error.to_string()),
            BindError::Refused { .. } => Fault::new(Exit::Configuration, chain(&error)),
        })?;
        bound.push((*service, listener));
    }
    Ok(bound)
}

fn greet(config: &Config, services: &[Wire]) {
    let url = stack::url(config.bind, config.port_base);
    let roots: Vec<String> = config.roots.iter().map(|r| r.display().to_string()).collect();
    tracing::info!(services = ?names(services), %url, roots = ?roots, data = %config.places.data_dir.display(), "up");
}

/// The parts that services share.
struct Assembly {
    pipeline: Option<Pipeline>,
    hands: Option<Arc<LoggedExecutor>>,
    attempts: Option<Arc<AttemptMemory>>,
    health: Arc<HealthWatch>,
    calls: CallLog,
}

impl Assembly {
    async fn new(base: &Base, services: &[Wire]) -> Result<Self, Fault> {
        let with_hands = services.contains(&Wire::Executor);
        let with_gateway = services.contains(&Wire::Gateway);
        let hands = if with_hands {
            let hands: Arc<dyn Executor> = Arc::new(base.hands()?);
            Some(Arc::new(LoggedExecutor::new(hands, Arc::clone(&base.clock))))
        } else {
            None
        };
        let attempts = with_hands
            .then(|| Arc::new(AttemptMemory::new(Arc::clone(&base.store), Arc::clone(&base.clock))));
        let pipeline = match (&hands, with_gateway) {
            (_, false) => None,
            (Some(hands), true) => Some(base.pipeline(Arc::clone(hands) as Arc<dyn Executor>)),
            (None, true) => Some(base.pipeline(Arc::new(remote(base).await?))),
        };
        let name = services.first().map_or("steadyhand", |s| s.as_str());
        let calls = CallLog::new(name, Sink::stdout(), Arc::clone(&base.clock));
        let watched = [Wire::Executor, Wire::Supervisor];
        let health = HealthWatch::new(&watched, base.config.port_base, Arc::clone(&base.clock));
        Ok(Self { pipeline, hands, attempts, health: Arc::new(health), calls })
    }

    async fn router(&self, base: &Base, service: Wire) -> Result<Router, Fault> {
        match service {
            Wire::Gateway => {
                let pipeline = self.pipeline.clone().expect("made for this service");
                let guard = base.guard(service, gateway::ROUTES);
                let (health, calls) = (Arc::clone(&self.health), self.calls.clone());
                Ok(gateway::router(Arc::new(Gateway { guard, pipeline, health, calls })))
            }
            Wire::Executor => Ok(executor::router(Arc::new(ExecutorService {
                guard: base.guard(service, executor::ROUTES),
                registry: Arc::clone(&base.registry),
                executor: self.hands.clone().expect("made for this service"),
                attempts: self.attempts.clone().expect("made for this service"),
                policy: Arc::clone(&base.policy),
                running: Running::default(),
            }))),
            Wire::Supervisor => {
                let safety = &base.config.action_safety;
                let limits = TokenLimits {
                    life: safety.confirmation_ttl,
                    pending_max: safety.pending_confirmations_max,
                };
                let (store, clock) = (Arc::clone(&base.store), Arc::clone(&base.clock));
                let tokens = Tokens::open(store, clock, Arc::clone(&base.entropy), limits);
                let tokens = tokens.await.map_err(|e| Fault::new(Exit::Integrity, e.to_string()))?;
                let port = |service: Wire| (service, base.config.port_base + service.port_offset());
                Ok(supervisor::router(Arc::new(Supervisor {
                    guard: base.guard(service, supervisor::ROUTES),
                    policy: Arc::clone(&base.policy),
                    tokens,
                    services: vec![port(Wire::Gateway), port(Wire::Executor)],
                    started_at: base.clock.now(),
                    decisions: 0.into(),
                    evaluations: 0.into(),
                })))
            }
        }
    }

    /// Follows the pipeline into its log files from now on.
    fn log_files(&self, base: &Base) -> Option<tokio::task::JoinHandle<()>> {
        let pipeline = self.pipeline.clone()?;
        let logs = base.config.places.data_dir.join("logs").join("gateway");
        match (Sink::file(&logs.join("actions.jsonl")), Sink::file(&logs.join("audit.jsonl"))) {
            (Ok(actions), Ok(audit)) => Some(tokio::spawn(tail::follow(pipeline, actions, audit))),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "no log files in {}", logs.display());
                None
            }
        }
    }

    /// Health and retention, beside the services and their logs.
    fn background(&self, base: &Base, logs: Option<tokio::task::JoinHandle<()>>) -> Background {
        let mut tasks = Vec::from_iter(logs);
        if self.pipeline.is_some() {
            let health = Arc::clone(&self.health);
            tasks.push(tokio::spawn(async move { health.run().await }));
        }
        let (store, clock, retention) =
            (Arc::clone(&base.store), Arc::clone(&base.clock), base.config.retention);
        let attempts = self.attempts.clone();
        tasks.push(tokio::spawn(async move {
            let mut every = tokio::time::interval(SWEEP_EVERY);
            loop {
                every.tick().await;
                let swept = store.sweep(retention, clock.now()).await;
                tracing::debug!(?swept, "retention");
                if let Some(attempts) = &attempts
                    && let Err(error) = attempts.sweep().await
                {
                    tracing::warn!(%error, "attempts could not be swept");
                }
            }
        }));
        Background(tasks)
    }
}

struct Background(Vec<tokio::task::JoinHandle<()>>);

impl Background {
    fn abort_all(&self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

async fn remote(base: &Base) -> Result<RemoteExecutor, Fault> {
    let advice = "start one with `steadyhand serve executor`, or run all services with `steadyhand up`";
    let Some(url) = &base.config.executor_url else {
        let message = "a gateway alone needs an executor: `executor.url` is not set";
        return Err(Fault::new(Exit::Configuration, message).advise(advice));
    };
    let token = base.tokens.show("service").map_err(|e| Fault::new(Exit::Configuration, e.to_string()))?;
    RemoteExecutor::connect(url.trim_end_matches('/'), token.secret.expose())
        .await
        .map_err(|e| Fault::new(Exit::NotReachable, format!("the executor at {url}: {e}")).advise(advice))
}
