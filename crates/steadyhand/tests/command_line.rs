//! The binary from outside: help, exit codes, files and folders, and the commands against a real stack.
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where")]

#[path = "command_line/fixture.rs"]
mod fixture;
#[path = "command_line/help.rs"]
mod help;
#[path = "command_line/live.rs"]
mod live;
#[path = "command_line/offline.rs"]
mod offline;
#[path = "command_line/piped.rs"]
mod piped;
#[path = "command_line/stack.rs"]
mod stack;
#[path = "command_line/terminal.rs"]
mod terminal;
