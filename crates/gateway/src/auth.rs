//! Who calls: bearer tokens and what they allow.

pub mod tokens;
