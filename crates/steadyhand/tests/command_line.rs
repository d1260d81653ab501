//! The binary from outside, where no gateway runs: help, exit codes, files and folders.

#[path = "command_line/fixture.rs"]
mod fixture;
#[path = "command_line/help.rs"]
mod help;
#[path = "command_line/offline.rs"]
mod offline;
#[path = "command_line/piped.rs"]
mod piped;
