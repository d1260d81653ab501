//! The journal in SQLite, on a real disk.

mod home;

mod conformance {
    use crate::home::Folder;

    steadyhand_testkit::store_conformance!(Folder::new());
}
