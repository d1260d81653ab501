//! What tests share: manual time, seeded chance, fakes, builders. A dev-dependency only.
//!
//! Never here: anything that the product links.

pub mod builder;
pub mod chance;
pub mod fake_executor;
pub mod fake_store;
pub mod faults;
pub mod histories;
pub mod store_conformance;
pub mod time;
