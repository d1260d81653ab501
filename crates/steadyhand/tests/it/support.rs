//! What every test of the running program needs: a stack, a client, a way to wait.

pub(crate) mod http;
pub(crate) mod ports;
pub(crate) mod shape;
pub(crate) mod stack;
pub(crate) mod wait;

pub(crate) use http::{Answer, Call, Client, Token};
pub(crate) use shape::{is_id, is_time};
pub(crate) use stack::{Builder, Ended, Service, Stack, both_auths};
pub(crate) use wait::{is_running, sleep_of_its_own, soon, until};
