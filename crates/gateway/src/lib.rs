//! The doors: HTTP services on loopback, authentication, wire formats, logs of what passed.
//!
//! The only crate that knows wire formats; it turns them into the core's words and back. Never here:
//! decisions about actions, the desktop, files of users.

pub mod auth;
pub mod client;
pub mod http;
pub mod logs;
pub mod remote;
pub mod services;
pub mod wire;
