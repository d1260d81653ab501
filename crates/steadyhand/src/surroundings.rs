//! The environment, read once, and the folders that follow from it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The environment variables that matter here, as they were at the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings(BTreeMap<String, String>);

/// Names the data folder.
pub(crate) const DATA_DIR: &str = "STEADYHAND_DATA_DIR";
/// Holds a token; better than `--token`, which other users see in the process list.
pub(crate) const TOKEN: &str = "STEADYHAND_TOKEN";
/// Names the gateway.
pub(crate) const URL: &str = "STEADYHAND_URL";
/// What all of our variables begin with.
pub(crate) const PREFIX: &str = "STEADYHAND_";
/// Variables with our prefix that are no setting of the configuration.
pub(crate) const NO_SETTINGS: [&str; 3] = [DATA_DIR, TOKEN, URL];

const OTHERS: [&str; 6] = ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "NO_COLOR", "DISPLAY", "PATH"];

impl Surroundings {
    /// Reads the environment. A value that isn't UTF-8 is left out.
    pub(crate) fn read() -> Self {
        let vars =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self(vars.filter(|(k, _)| k.starts_with(PREFIX) || OTHERS.contains(&k.as_str())).collect())
    }

    /// Surroundings made of `pairs`.
    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Our own variables.
    pub(crate) fn ours(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(|(k, _)| k.starts_with(PREFIX)).map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// The home folder.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.absolute("HOME")
    }

    /// Where data lies when neither flag nor variable says so.
    pub(crate) fn data_dir(&self) -> Option<PathBuf> {
        let base = self.absolute("XDG_DATA_HOME").or_else(|| Some(self.home()?.join(".local/share")))?;
        Some(base.join("steadyhand"))
    }

    /// Where the configuration lies when no flag says so.
    pub(crate) fn config_dir(&self) -> Option<PathBuf> {
        let base = self.absolute("XDG_CONFIG_HOME").or_else(|| Some(self.home()?.join(".config")))?;
        Some(base.join("steadyhand"))
    }

    /// A folder that a variable names. The base directory specification has relative ones ignored.
    fn absolute(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from).filter(|p| p.is_absolute())
    }

    /// `~` and `~/…` with the home folder put in.
    pub(crate) fn expand(&self, path: &str) -> PathBuf {
        match (path.strip_prefix('~'), self.home()) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                home.join(rest.trim_start_matches('/'))
            }
            _ => PathBuf::from(path),
        }
    }

    /// Whether a program of that name can be found.
    pub(crate) fn has_program(&self, name: &str) -> bool {
        self.get("PATH").unwrap_or_default().split(':').any(|dir| Path::new(dir).join(name).is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_follow_the_base_directory_specification() {
        for (vars, data, config) in [
            (&[("HOME", "/h")][..], Some("/h/.local/share/steadyhand"), Some("/h/.config/steadyhand")),
            (
                &[("HOME", "/h"), ("XDG_DATA_HOME", "/d"), ("XDG_CONFIG_HOME", "/c")],
                Some("/d/steadyhand"),
                Some("/c/steadyhand"),
            ),
            (
                &[("HOME", "/h"), ("XDG_DATA_HOME", "relative")],
                Some("/h/.local/share/steadyhand"),
                Some("/h/.config/steadyhand"),
            ),
            (&[], None, None),
        ] {
            let surroundings = Surroundings::of(vars);
            assert_eq!(surroundings.data_dir(), data.map(PathBuf::from), "{vars:?}");
            assert_eq!(surroundings.config_dir(), config.map(PathBuf::from), "{vars:?}");
        }
    }

    #[test]
    fn the_tilde_is_the_home_folder() {
        let surroundings = Surroundings::of(&[("HOME", "/h")]);
        for (input, expanded) in
            [("~", "/h"), ("~/a", "/h/a"), ("~other/a", "~other/a"), ("/x/~", "/x/~"), ("a", "a")]
        {
            assert_eq!(surroundings.expand(input), PathBuf::from(expanded));
        }
    }
}
