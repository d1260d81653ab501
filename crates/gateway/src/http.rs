//! HTTP as all services share it: the listener with its bounds, the guard, error shapes, bodies.

pub mod body;
pub mod guard;
pub mod openapi;
pub mod problem;
pub mod route;
pub mod serve;
