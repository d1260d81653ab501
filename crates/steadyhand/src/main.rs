//! The binary: arguments, environment, configuration, and what each command does with them.
//!
//! Never here: what an action is, how it is validated, run or recorded. This crate reads, asks the
//! gateway, prints, and ends with one of the documented exit codes.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

mod args;
mod client;
mod commands;
mod config;
#[cfg(feature = "crash-points")]
mod crash;
mod diff;
mod escape;
mod exit;
mod fault;
mod folders;
mod out;
mod params;
mod policy_file;
mod request_text;
mod result_text;
mod running;
mod signals;
mod stack;
mod surroundings;
mod system;
mod up;
mod wiring;

use args::{Cli, Command};
use commands::Session;
use exit::Exit;
use fault::Fault;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == "__exec") {
        // The restricted stage must come before anything starts a thread.
        let code = steadyhand_executors::sandbox::stage_main();
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    let Cli { common, command } = Cli::parse();
    let around = surroundings::Surroundings::read();
    let out = out::Out::new(common.json, around.get("NO_COLOR").is_some());
    let session = Session { out, common, around };
    match run(&session, &command) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let fault = as_fault(error);
            session.out.fault(&fault);
            fault.exit.into()
        }
    }
}

fn run(session: &Session, command: &Command) -> anyhow::Result<Exit> {
    let loaded = |settings| config::load(&session.common.given(Some(settings)), &session.around);
    let exit = match command {
        Command::Up(args) => return up::run(args, loaded(&args.settings)?.config),
        Command::Serve(args) => return up::serve(args, loaded(&args.settings)?.config),
        Command::Config(command) => commands::configuration::run(session, command)?,
        Command::Policy(command) => commands::policy::run(session, command)?,
        Command::Token(command) => commands::token::run(session, command)?,
        Command::Doctor(settings) => commands::doctor::run(session, settings)?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "steadyhand", &mut script);
            session.out.bytes(&script);
            Exit::Done
        }
        talking => talk(session, talking)?,
    };
    Ok(exit)
}

/// The commands that speak to a gateway.
fn talk(session: &Session, command: &Command) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match command {
            Command::Act(args) => commands::act::run(session, args).await,
            Command::Actions(args) => commands::actions::run(session, args).await,
            Command::Approve(args) => commands::decide::approve_all(session, args).await,
            Command::Deny(args) => commands::decide::deny_all(session, args).await,
            Command::Cancel(args) => commands::decide::cancel(session, &args.id).await,
            Command::Undo(args) => commands::decide::undo(session, args).await,
            Command::Audit(command) => commands::audit::run(session, command).await,
            Command::Capabilities(args) => commands::capabilities::run(session, args).await,
            Command::Health => commands::health::run(session).await,
            Command::Down => commands::down::run(session).await,
            Command::Up(_)
            | Command::Serve(_)
            | Command::Config(_)
            | Command::Policy(_)
            | Command::Token(_)
            | Command::Doctor(_)
            | Command::Completions { .. } => unreachable!("these don't speak to a gateway"),
        }
    });
    // A question on the terminal may still wait for its answer; nobody wants it any more.
    runtime.shutdown_background();
    Ok(result?)
}

/// What the person reads of an error: ours as it is, any other with all its causes.
fn as_fault(error: anyhow::Error) -> Fault {
    match error.downcast::<Fault>() {
        Ok(fault) => fault,
        Err(error) => Fault::new(Exit::Failed, format!("{error:#}")),
    }
}
