//! The real binary, started on folders and ports of its own.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{
    http::{Answer, Call, Client, Token},
    ports::free_base,
    wait::until,
};

/// How often a stack is started again because another process took its ports in between.
const PORT_RACES_MAX: u32 = 20;
/// Nothing that is asked to end may take longer.
const END_PATIENCE: Duration = Duration::from_secs(30);
/// The exit code for ports and folders in use.
const IN_USE: i32 = 9;

/// The services, by where they listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// The front door.
    Gateway,
    /// The hands.
    Executor,
    /// The policy gate.
    Supervisor,
}

impl Service {
    /// All three.
    pub(crate) const ALL: [Self; 3] = [Self::Gateway, Self::Executor, Self::Supervisor];

    /// Its port, counted from the base.
    pub(crate) fn offset(self) -> u16 {
        match self {
            Self::Gateway => 0,
            Self::Executor => 40,
            Self::Supervisor => 50,
        }
    }

    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gateway => "api-gateway",
            Self::Executor => "openclaw",
            Self::Supervisor => "eva-os",
        }
    }

    /// Its name on the command line.
    fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Executor => "executor",
            Self::Supervisor => "supervisor",
        }
    }
}

/// How a run of the program ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    /// The exit code; `None`: ended by a signal.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

/// What a stack is started with.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    /// `data`, `root`, `home` and `etc` lie here.
    folder: Arc<TempDir>,
    auth: bool,
    serve: Option<Service>,
    roots: Vec<PathBuf>,
    port_base: Option<u16>,
    envs: Vec<(String, String)>,
}

impl Builder {
    /// Whether requests need a token. Default: they don't.
    pub(crate) fn auth(mut self, on: bool) -> Self {
        self.auth = on;
        self
    }

    /// The policy file's text.
    pub(crate) fn policy(self, text: &str) -> Self {
        std::fs::write(self.etc().join("policy.toml"), text).unwrap();
        self
    }

    /// The configuration file's text.
    pub(crate) fn config(self, text: &str) -> Self {
        std::fs::write(self.etc().join("config.toml"), text).unwrap();
        self
    }

    /// An environment variable of the program.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One service alone instead of all.
    pub(crate) fn serve(mut self, service: Service) -> Self {
        self.serve = Some(service);
        self
    }

    /// These roots instead of `root`.
    pub(crate) fn roots(mut self, roots: &[&Path]) -> Self {
        self.roots = roots.iter().map(|root| root.to_path_buf()).collect();
        self
    }

    /// These ports, which are then not changed when they are taken.
    pub(crate) fn port_base(mut self, base: u16) -> Self {
        self.port_base = Some(base);
        self
    }

    /// The folder that everything lies in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of configuration and policy.
    pub(crate) fn etc(&self) -> PathBuf {
        self.folder().join("etc")
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// The root that file actions work in.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder().join("root")
    }

    /// A stack that is ready to answer.
    pub(crate) async fn start(self) -> Stack {
        for _ in 0..PORT_RACES_MAX {
            let base = self.port_base.unwrap_or_else(free_base);
            let starts = self.starts();
            let mut stack = Stack { builder: self.clone(), base, child: self.spawn(base) };
            match stack.ready(starts).await {
                Ok(()) => return stack,
                Err(ended) if ended.code == Some(IN_USE) && self.port_base.is_none() => {}
                Err(ended) => panic!("the stack doesn't start: {ended:?}"),
            }
        }
        panic!("the stack's ports were taken {PORT_RACES_MAX} times");
    }

    /// How a start ended that must not succeed, with what it wrote to standard error.
    pub(crate) async fn refused(self) -> Ended {
        let base = self.port_base.unwrap_or_else(free_base);
        let before = self.log(".err").len();
        let child = self.spawn(base).wait_with_output();
        let output = tokio::time::timeout(END_PATIENCE, child).await.expect("the start is refused").unwrap();
        let stderr = self.log(".err")[before..].to_owned();
        Ended { code: output.status.code(), stdout: String::new(), stderr }
    }

    /// A command of the program in this stack's surroundings, nothing inherited but `PATH`.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steadyhand"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder().join("home"))
            .envs(self.envs.iter().cloned())
            .arg("--data-dir")
            .arg(self.data())
            .arg("--config")
            .arg(self.etc().join("config.toml"))
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts the program on this base and waits for nothing.
    pub(crate) fn spawn(&self, base: u16) -> Child {
        let mut command = self.command();
        match self.serve {
            Some(service) => command.arg("serve").arg(service.word()),
            None => command.arg("up"),
        };
        let log = |name: &str| {
            let path = self.folder().join(format!("{}{name}", self.serve.map_or("up", Service::word)));
            Stdio::from(OpenOptions::new().append(true).create(true).open(path).unwrap())
        };
        command
            .args(["--display", "none", "--auth", if self.auth { "on" } else { "off" }])
            .args(["--port-base", &base.to_string()])
            .stdout(log(".out"))
            .stderr(log(".err"));
        for root in &self.roots {
            command.arg("--root").arg(root);
        }
        command.spawn().unwrap()
    }

    /// How often it has said that it started.
    fn starts(&self) -> usize {
        self.log(".out").matches("\"event\":\"startup\"").count()
    }

    fn log(&self, name: &str) -> String {
        let path = self.folder().join(format!("{}{name}", self.serve.map_or("up", Service::word)));
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Stack {
    builder: Builder,
    base: u16,
    child: Child,
}

impl Stack {
    /// A stack that isn't started yet, with empty folders.
    pub(crate) fn builder() -> Builder {
        let folder = TempDir::new().unwrap();
        for name in ["root", "etc", "home"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        // A configuration file that is named must be there.
        std::fs::write(folder.path().join("etc/config.toml"), "").unwrap();
        // Links are followed before names are compared, so the tests speak of the real place.
        let roots = vec![folder.path().canonicalize().unwrap().join("root")];
        let folder = Arc::new(folder);
        Builder { folder, auth: false, serve: None, roots, port_base: None, envs: Vec::new() }
    }

    /// A builder with the same folders and ports, for another service beside this one.
    pub(crate) fn beside(&self) -> Builder {
        self.builder.clone().port_base(self.base)
    }

    /// Waits until it answers. `starts` is how often it had started before: an answer alone may come from
    /// another program that has the ports.
    async fn ready(&mut self, starts: usize) -> Result<(), Ended> {
        let services = self.builder.serve.map_or(Service::ALL.to_vec(), |service| vec![service]);
        for service in services {
            let client = self.client(service, Token::None);
            let answers = async || {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return Some(Some(status));
                }
                let started = self.builder.starts() > starts;
                let healthy =
                    async || client.try_send(Call::get("/healthz")).await.is_ok_and(|a| a.status == 200);
                (started && healthy().await).then_some(None)
            };
            if let Some(status) = until("the stack to answer", answers).await {
                let (stdout, stderr) = (self.stdout(), self.stderr());
                return Err(Ended { code: status.code(), stdout, stderr });
            }
        }
        Ok(())
    }

    /// The folder that file actions work in.
    pub(crate) fn root(&self) -> PathBuf {
        self.builder.folder().canonicalize().unwrap().join("root")
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.builder.data()
    }

    /// The folder of configuration and policy.
    pub(crate) fn etc(&self) -> PathBuf {
        self.builder.etc()
    }

    /// The gateway's port.
    pub(crate) fn base(&self) -> u16 {
        self.base
    }

    /// The program's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// What it wrote to standard output so far, over all starts.
    pub(crate) fn stdout(&self) -> String {
        self.builder.log(".out")
    }

    /// What it wrote to standard error so far, over all starts.
    pub(crate) fn stderr(&self) -> String {
        self.builder.log(".err")
    }

    /// Whether requests need a token.
    pub(crate) fn has_auth(&self) -> bool {
        self.builder.auth
    }

    /// A client of a service with a token.
    pub(crate) fn client(&self, service: Service, token: Token) -> Client {
        let bearer = match token {
            Token::None => None,
            Token::Text(text) => Some(text),
            _ if !self.builder.auth => None,
            Token::Operator => Some(self.token("operator")),
            Token::Agent => Some(self.token("agent")),
            Token::Service => Some(self.token("service")),
        };
        Client { port: self.base + service.offset(), bearer }
    }

    /// The text of a token, as it is in its file at this moment.
    pub(crate) fn token(&self, name: &str) -> String {
        let file = self.data().join("tokens").join(format!("{name}.toml"));
        let body: toml::Table = toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        body["token"].as_str().expect("a token is a text").to_owned()
    }

    /// The gateway, spoken to by the operator.
    pub(crate) fn gateway(&self) -> Client {
        self.client(Service::Gateway, Token::Operator)
    }

    /// The gateway, spoken to by an agent.
    pub(crate) fn agent(&self) -> Client {
        self.client(Service::Gateway, Token::Agent)
    }

    /// The executor, spoken to by the gateway.
    pub(crate) fn executor(&self) -> Client {
        self.client(Service::Executor, Token::Service)
    }

    /// The supervisor, spoken to by the operator.
    pub(crate) fn supervisor(&self) -> Client {
        self.client(Service::Supervisor, Token::Operator)
    }

    /// `GET` of the gateway by the operator.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.gateway().get(path).await
    }

    /// `POST` to the gateway by the operator.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.gateway().post(path, body).await
    }

    /// Asks for an action as the operator; the answer's body.
    pub(crate) async fn plan(&self, intent: &str, params: Value) -> Value {
        self.post("/v1/actions/plan", json!({"intent": intent, "params": params})).await.ok()
    }

    /// Decides on an action (`approve`, `deny`, `cancel`, `undo`) as the operator; the answer's body.
    pub(crate) async fn decide(&self, what: &str, action: &Value) -> Value {
        let id = action["action_id"].as_str().expect("an action has an id");
        self.gateway().act(&format!("/v1/actions/{id}/{what}")).await.ok()
    }

    /// One action's record.
    pub(crate) async fn record(&self, action: &Value) -> Value {
        let id = action["action_id"].as_str().expect("an action has an id");
        self.get(&format!("/v1/actions/{id}")).await.ok()["action"].clone()
    }

    /// Ends it like a power cut.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Kills it if it still runs, and starts it again on the same folders and ports.
    pub(crate) async fn restart(&mut self) {
        // One that killed itself is gone already.
        let _ = self.child.kill().await;
        self.start_again().await;
    }

    /// Starts it on the same folders and ports, after it has ended.
    pub(crate) async fn start_again(&mut self) {
        let starts = self.builder.starts();
        self.child = self.builder.spawn(self.base);
        if let Err(ended) = self.ready(starts).await {
            panic!("the stack doesn't start again: {ended:?}");
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).expect("a process id isn't zero");
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended; its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let status = tokio::time::timeout(END_PATIENCE, self.child.wait()).await;
        status.expect("the program ends").unwrap().code()
    }

    /// Asks it to stop, which must end with exit code 0.
    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.ended().await, Some(0), "{}", self.stderr());
    }

    /// Runs the program as a client of this stack, without a terminal.
    pub(crate) async fn cli(&self, args: &[&str]) -> Ended {
        let output = self.builder.command().args(args).output();
        let output = tokio::time::timeout(END_PATIENCE, output).await.expect("the command ends").unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a check on a stack without and on one with authentication.
pub(crate) async fn both_auths(check: impl AsyncFn(&Stack)) {
    for auth in [false, true] {
        let stack = Stack::builder().auth(auth).start().await;
        check(&stack).await;
    }
}
