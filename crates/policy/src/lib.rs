//! Who may do what: one policy file in, one of allow, ask and deny out.
//!
//! The rules are looked at in this order, and the first that matches decides: the operator's (`[[rule]]`,
//! in file order), the configuration's (`action_safety.custom_rules`, lowest priority number first), the
//! built-in ones. So an operator's rule can loosen a built-in deny, and does so by name and on purpose;
//! an agent can change none of them.
//!
//! Conditions on arguments compare words alone: `under = "scratch"` knows neither where a relative path
//! begins nor where a link leads, and never matches a path with `..`. That makes it safe for loosening; a
//! deny by folder also needs a rule for the folder's absolute form.
//!
//! Never here: disks, clocks, networks, people. The binary reads the files and hands the text over; the
//! pipeline acts on the ruling. What a path leads to is not looked at either: that is the executor's.

mod arg;
mod builtin;
mod error;
mod misfit;
mod name;
mod parse;
mod policy;
mod rule;

pub use crate::{
    error::{PolicyError, Problem},
    parse::{Source, bounds},
    policy::{Policy, Ruling, Step},
    rule::{Decision, Mismatch, Origin, Query, Rule},
};
