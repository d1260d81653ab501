//! Which gateway, and as whom.

use steadyhand_gateway::auth::tokens::{self, TokenError};

use super::Client;
use crate::{
    args::Common,
    config,
    exit::Exit,
    fault::Fault,
    stack::{self, Stack},
    surroundings::{self, Surroundings},
};

impl Client {
    /// A client of the gateway that the command line means: the one it names, else the one that runs on
    /// the data folder, else the one that the configuration would start.
    ///
    /// # Errors
    /// When that is none, or the token can't be used.
    pub(crate) fn connect(common: &Common, around: &Surroundings) -> Result<Self, Fault> {
        let given = common.given(None);
        let places = config::places(&given, around)?;
        let named = common.url.clone().or_else(|| around.get(surroundings::URL).map(str::to_owned));
        let running = if named.is_some() { None } else { Stack::read(&places.stack_file())? };
        if let Some(stack) = running.as_ref().filter(|stack| !stack.runs()) {
            let message = format!("Steadyhand isn't running: process {} is gone", stack.pid);
            return Err(Fault::new(Exit::NotReachable, message).advise("start it with `steadyhand up`"));
        }
        let base = match (named, &running) {
            (Some(url), _) => check_url(url)?,
            (None, Some(stack)) => stack.url(),
            (None, None) => {
                let config = config::load(&given, around)?.config;
                stack::url(config.bind, config.port_base)
            }
        };
        if running.is_some_and(|stack| stack.auth == "off") {
            return Ok(Self::new(base, None, None));
        }
        if let Some(text) = common.token.as_deref().or_else(|| around.get(surroundings::TOKEN)) {
            let secret = tokens::Secret::parse(text).ok_or_else(|| {
                Fault::new(Exit::NotAllowed, "this is no token: one is `sth_` and 64 hexadecimal digits")
                    .advise("print one with `steadyhand token show NAME`")
            })?;
            return Ok(Self::new(base, Some(secret), None));
        }
        match tokens::read(&places.tokens(), &common.speak_as) {
            Ok(token) => Ok(Self::new(base, Some(token.secret), None)),
            // The gateway may run without; if not, it will say so.
            Err(error @ TokenError::Unknown(_)) => {
                let why = format!("{error} in {}", places.tokens().display());
                Ok(Self::new(base, None, Some(why)))
            }
            Err(error) => Err(Fault::new(Exit::Configuration, error.to_string())),
        }
    }
}

fn check_url(url: String) -> Result<String, Fault> {
    let base = url.trim_end_matches('/').to_owned();
    let uri = base.parse::<hyper::Uri>();
    if uri.is_ok_and(|u| u.scheme_str() == Some("http") && u.host().is_some() && matches!(u.path(), "" | "/"))
    {
        return Ok(base);
    }
    Err(Fault::new(Exit::Usage, format!("`{url}` is no address of a gateway: write http://HOST:PORT")))
}
