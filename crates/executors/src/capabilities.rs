//! What can be done: one capability, one file. Each file has the parameters and the output as Rust types,
//! from which the JSON Schemas are derived, and a `describe` with everything else that the product knows of
//! it.

pub mod app_close;
pub mod app_launch;
pub mod browser_open;
pub(crate) mod check;
pub mod clipboard_read;
pub mod clipboard_write;
pub mod file_read;
pub mod file_write;
pub mod keyboard_hotkey;
pub mod keyboard_type;
pub mod mouse_click;
pub mod shell_run;
pub mod window_focus;
pub mod window_list;

use steadyhand_core::capability::Registry;

/// The longest `timeout_ms` of most capabilities (contract 1.10).
pub const TIMEOUT_MAX_MS: u64 = 30_000;

/// The longest `timeout_ms` of `shell.run`, `file.*` and `browser.open` (contract 1.10, D-35).
pub const SHORT_TIMEOUT_MAX_MS: u64 = 15_000;

/// All capabilities, in the order of contract 1.10.
#[must_use]
pub fn registry() -> Registry {
    Registry::new(vec![
        file_read::describe(),
        file_write::describe(),
        shell_run::describe(),
        browser_open::describe(),
        app_launch::describe(),
        app_close::describe(),
        window_focus::describe(),
        window_list::describe(),
        keyboard_type::describe(),
        keyboard_hotkey::describe(),
        mouse_click::describe(),
        clipboard_read::describe(),
        clipboard_write::describe(),
    ])
}

#[cfg(test)]
mod tests;
