//! One file per command.

pub(crate) mod act;
pub(crate) mod actions;
pub(crate) mod audit;
pub(crate) mod capabilities;
pub(crate) mod configuration;
pub(crate) mod decide;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod health;
pub(crate) mod policy;
pub(crate) mod token;

use crate::{args::Common, client::Client, fault::Fault, out::Out, surroundings::Surroundings};

/// What every command has at hand.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where it prints.
    pub(crate) out: Out,
    /// The flags that hold everywhere.
    pub(crate) common: Common,
    /// The environment.
    pub(crate) around: Surroundings,
}

impl Session {
    /// A client of the gateway that is meant.
    pub(crate) fn client(&self) -> Result<Client, Fault> {
        Client::connect(&self.common, &self.around)
    }
}
