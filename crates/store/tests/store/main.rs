//! The journal in SQLite, on a real disk.

#![expect(clippy::unwrap_used, reason = "a test: an error must fail it")]

mod crash;
mod faults;
mod folder;
mod home;
mod laws;
mod overload;
mod retention;
mod secrets;
mod tamper;

mod conformance {
    use crate::home::Folder;

    steadyhand_testkit::store_conformance!(Folder::new());
}
