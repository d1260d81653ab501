//! The mechanisms that keep calls reliable, each a decision that is told the time and the chance.
//!
//! Never here: sleeping, calling, clocks, randomness, logs. Who calls does all of that.

pub mod health;
pub mod retry;
