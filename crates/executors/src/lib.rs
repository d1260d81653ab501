//! The hands: the only code that touches the computer on an agent's behalf. One capability, one file
//! in [`capabilities`]; [`Hands`] does what they describe.
//!
//! Never here: deciding whether an action may run, retrying it, journaling it, asking a person, HTTP.
//! Nothing is simulated: what isn't implemented says so.

pub mod capabilities;
pub mod files;
pub mod hands;
pub mod sandbox;
pub mod shell;

pub use hands::{Config, Hands, HandsError};
