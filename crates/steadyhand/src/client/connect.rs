//! Which gateway, and as whom.

use std::net::IpAddr;

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

/// Who speaks when nobody says who.
const OPERATOR: &str = "operator";

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
        let is_named = named.is_some();
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
        if running.as_ref().is_some_and(|stack| stack.auth == "off") {
            return Ok(Self::new(base, None, None));
        }
        if let Some(text) = common.token.as_deref().or_else(|| around.get(surroundings::TOKEN)) {
            let secret = tokens::Secret::parse(text).ok_or_else(|| {
                Fault::new(Exit::NotAllowed, "this is no token: one is `sth_` and 64 hexadecimal digits")
                    .advise("print one with `steadyhand token show NAME`")
            })?;
            return Ok(Self::new(base, Some(secret), None));
        }
        let ours = running.is_some() || is_loopback_url(&base, is_named);
        if common.speak_as.is_none() && !ours {
            let why = "none was sent, for this may be somebody else's gateway; name one with --as or STEADYHAND_TOKEN";
            return Ok(Self::new(base, None, Some(why.to_owned())));
        }
        match tokens::read(&places.tokens(), common.speak_as.as_deref().unwrap_or(OPERATOR)) {
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

/// Whether the person named a gateway on this machine. One that nobody named and that isn't described in
/// the data folder may be anybody's who has the port, and gets no token that nobody asked to send.
fn is_loopback_url(base: &str, is_named: bool) -> bool {
    let uri = base.parse::<hyper::Uri>().ok();
    let host = uri.as_ref().and_then(hyper::Uri::host).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    is_named && (host == "localhost" || address.is_ok_and(|a| a.is_loopback()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_http_and_nothing_more() {
        for url in ["http://127.0.0.1:7000", "http://localhost", "http://[::1]:7000"] {
            assert_eq!(check_url(format!("{url}/")), Ok(url.to_owned()));
        }
        for url in
            ["", "127.0.0.1:7000", "https://x", "http://", "http://x/path", "file:///etc", "http://a b"]
        {
            assert_eq!(check_url(url.to_owned()).unwrap_err().exit, Exit::Usage, "{url}");
        }
    }

    #[test]
    fn tokens_go_unasked_to_this_machine_only() {
        for (url, is_named, sent) in [
            ("http://127.0.0.1:7000", true, true),
            ("http://localhost:7000", true, true),
            ("http://[::1]:7000", true, true),
            ("http://127.0.0.1:7000", false, false),
            ("http://192.0.2.1:7000", true, false),
            ("http://localhost.example.org", true, false),
        ] {
            assert_eq!(is_loopback_url(url, is_named), sent, "{url}");
        }
    }
}
