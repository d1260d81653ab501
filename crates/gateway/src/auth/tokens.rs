//! Bearer tokens: one file per token, readable by its owner only, and who a bearer is.
//!
//! A token is `sth_` and 64 hexadecimal digits. It lies in `<data>/tokens/NAME.toml` beside its scopes,
//! so that rotating it is replacing a file: a running gateway sees that within a second and the old
//! token stops. Bearers are compared by SHA-256 digest, in constant time, against all tokens.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use steadyhand_core::{
    caller::{Caller, Scope},
    chance::{Entropy, random_id},
};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use tokio::time::Instant;

mod file;
#[cfg(test)]
mod tests;

use file::Mark;

/// What every token begins with, so that leaked ones can be searched for.
const PREFIX: &str = "sth_";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Length of a token in characters.
const TOKEN_CHARS: usize = PREFIX.len() + 2 * TOKEN_BYTES;
/// Longest name of a token, in characters.
pub const NAME_CHARS_MAX: usize = 40;
/// Most tokens that a folder may hold.
pub const TOKENS_MAX: usize = 256;
/// The files are looked at again after this long.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// An unknown bearer makes the files be looked at again at once, so that a new token is good from the
/// first moment; but no more than so often between two regular looks.
const LOOKS_ON_MISS_MAX: u32 = 20;
/// The name of the gateway's own token for the executor.
pub const SERVICE: &str = "service";

/// A token's secret text. Its `Debug` form is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, to be sent or shown on purpose.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn mint(entropy: &dyn Entropy) -> Self {
        Self(random_id(entropy, PREFIX, TOKEN_BYTES))
    }

    /// Takes a text that has a token's form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let fits = text.len() == TOKEN_CHARS && digits.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One token as its file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name; the caller's name in every record.
    pub name: String,
    /// Its secret.
    pub secret: Secret,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made or last rotated, RFC 3339.
    pub created_at: String,
}

/// Why a token isn't read or written.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name doesn't fit `[a-z0-9-]{1,40}`.
    #[error("`{0}` is no name for a token: use 1 to 40 of a-z, 0-9 and `-`")]
    Name(String),
    /// No token has that name.
    #[error("there is no token `{0}`")]
    Unknown(String),
    /// A token of that name is there already.
    #[error("a token `{0}` exists already; rotate it, or remove it first")]
    Exists(String),
    /// The scopes are not those that a token of this name can have.
    #[error("{0}")]
    Scopes(&'static str),
    /// The folder holds as many tokens as it may.
    #[error("there are {TOKENS_MAX} tokens already; remove one first")]
    Full,
    /// Others than its owner can read or change the file or folder.
    #[error("others can get at {}; run `chmod {mode:o} {}`", .path.display(), .path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// The mode it should have.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{} belongs to another user; remove it", .0.display())]
    NotOurs(PathBuf),
    /// The file doesn't hold a token.
    #[error("{}: {what}; remove the file, or make a new token with `steadyhand token rotate`", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file system said no.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

/// A token in memory, ready to be compared with.
struct Known {
    digest: [u8; 32],
    caller: Caller,
}

/// The tokens as they were when last read.
struct Loaded {
    known: Vec<Known>,
    mark: Mark,
    looked_at: Instant,
    looks_on_miss: u32,
}

/// The folder of tokens.
pub struct TokenStore {
    folder: PathBuf,
    entropy: Arc<dyn Entropy>,
    loaded: Mutex<Loaded>,
}

impl fmt::Debug for TokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenStore({})", self.folder.display())
    }
}

impl TokenStore {
    /// Opens the folder, making it (0700) if it is absent, and reads its tokens. A file that can't be
    /// used is left out and logged; [`Self::list`] says what is wrong with it.
    ///
    /// # Errors
    /// [`TokenError::Exposed`] if others can get into the folder, [`TokenError::NotOurs`],
    /// [`TokenError::Io`].
    pub fn open(folder: impl Into<PathBuf>, entropy: Arc<dyn Entropy>) -> Result<Self, TokenError> {
        let folder = folder.into();
        file::make_folder(&folder)?;
        let loaded = read_all(&folder);
        Ok(Self { folder, entropy, loaded: Mutex::new(loaded) })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes `agent`, `operator` and `service` where absent. Answers the names that were made.
    ///
    /// # Errors
    /// As [`Self::create`]; a token made by another process in the meantime is no error.
    pub fn ensure_defaults(&self) -> Result<Vec<&'static str>, TokenError> {
        let defaults: [(&'static str, Vec<Scope>); 3] = [
            ("agent", Caller::agent().scopes),
            ("operator", Caller::operator().scopes),
            (SERVICE, vec![Scope::Service]),
        ];
        let mut made = Vec::new();
        for (name, scopes) in defaults {
            match self.write_new(name, &scopes) {
                Ok(_) => made.push(name),
                Err(TokenError::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(made)
    }

    /// Who presents `bearer`; `None` if nobody does. Takes the same time for every unknown bearer.
    #[must_use]
    pub fn authenticate(&self, bearer: &str) -> Option<Caller> {
        let digest = digest(bearer);
        let mut loaded = self.lock();
        if loaded.looked_at.elapsed() >= LOOK_AGAIN_AFTER {
            self.look_again(&mut loaded);
            loaded.looked_at = Instant::now();
            loaded.looks_on_miss = 0;
        }
        if let Some(caller) = find(&loaded.known, &digest) {
            return Some(caller);
        }
        if loaded.looks_on_miss >= LOOKS_ON_MISS_MAX {
            return None;
        }
        loaded.looks_on_miss += 1;
        self.look_again(&mut loaded).then(|| find(&loaded.known, &digest)).flatten()
    }

    /// The token of that name.
    ///
    /// # Errors
    /// [`TokenError`] by case.
    pub fn show(&self, name: &str) -> Result<Token, TokenError> {
        check_name(name)?;
        file::read(&self.folder, name)
    }

    /// All tokens by name, and what is wrong with files that hold none.
    ///
    /// # Errors
    /// [`TokenError::Io`] if the folder can't be read.
    pub fn list(&self) -> Result<Vec<Result<Token, TokenError>>, TokenError> {
        let names = file::names(&self.folder)?;
        Ok(names.iter().map(|name| file::read(&self.folder, name)).collect())
    }

    /// Makes a new token. The scope `service` is the gateway's own and can't be given.
    ///
    /// # Errors
    /// [`TokenError`] by case; [`TokenError::Exists`] leaves the old one as it is.
    pub fn create(&self, name: &str, scopes: &[Scope]) -> Result<Token, TokenError> {
        check_name(name)?;
        check_scopes(name, scopes)?;
        self.write_new(name, scopes)
    }

    /// Gives a token a new secret. The old one stops at once here, within a second in a running gateway.
    ///
    /// # Errors
    /// [`TokenError`] by case.
    pub fn rotate(&self, name: &str) -> Result<Token, TokenError> {
        let old = self.show(name)?;
        let token =
            file::write(&self.folder, name, Secret::mint(&*self.entropy), &old.scopes, file::Mode::Replace)?;
        self.reload();
        Ok(token)
    }

    /// Removes a token. It stops at once here, within a second in a running gateway.
    ///
    /// # Errors
    /// [`TokenError::Unknown`], [`TokenError::Io`].
    pub fn remove(&self, name: &str) -> Result<(), TokenError> {
        check_name(name)?;
        file::remove(&self.folder, name)?;
        self.reload();
        Ok(())
    }

    fn write_new(&self, name: &str, scopes: &[Scope]) -> Result<Token, TokenError> {
        if file::names(&self.folder)?.len() >= TOKENS_MAX {
            return Err(TokenError::Full);
        }
        let token = file::write(&self.folder, name, Secret::mint(&*self.entropy), scopes, file::Mode::New)?;
        self.reload();
        Ok(token)
    }

    fn reload(&self) {
        *self.lock() = read_all(&self.folder);
    }

    /// Reads the files again if one of them has changed.
    fn look_again(&self, loaded: &mut Loaded) -> bool {
        if Mark::of(&self.folder) == loaded.mark {
            return false;
        }
        let looks_on_miss = loaded.looks_on_miss;
        *loaded = Loaded { looks_on_miss, ..read_all(&self.folder) };
        true
    }

    fn lock(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().expect("nothing panics while the tokens are held")
    }
}

/// Reads all tokens. The mark is taken first: a change made meanwhile is seen at the next look.
fn read_all(folder: &Path) -> Loaded {
    let mark = Mark::of(folder);
    let names = file::names(folder).unwrap_or_else(|error| {
        tracing::warn!(%error, "tokens can't be read; nobody can sign in");
        Vec::new()
    });
    let mut known = Vec::with_capacity(names.len());
    for name in names {
        match file::read(folder, &name) {
            Ok(Token { name, secret, scopes, .. }) => {
                known.push(Known { digest: digest(secret.expose()), caller: Caller { name, scopes } });
            }
            Err(error) => tracing::warn!(token = %name, %error, "this token is not used"),
        }
    }
    Loaded { known, mark, looked_at: Instant::now(), looks_on_miss: 0 }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Looks at every token, found or not, so that the time says nothing.
fn find(known: &[Known], digest: &[u8; 32]) -> Option<Caller> {
    let mut found = Choice::from(0);
    let mut place = 0_u64;
    for (i, candidate) in known.iter().enumerate() {
        let same = candidate.digest.ct_eq(digest);
        place.conditional_assign(&(i as u64), same);
        found |= same;
    }
    bool::from(found).then(|| known[usize::try_from(place).expect("an index")].caller.clone())
}

fn check_name(name: &str) -> Result<(), TokenError> {
    let fits = (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(()) } else { Err(TokenError::Name(name.to_owned())) }
}

fn check_scopes(name: &str, scopes: &[Scope]) -> Result<(), TokenError> {
    if scopes.is_empty() {
        return Err(TokenError::Scopes("a token needs at least one scope: read, act, approve or admin"));
    }
    if scopes.contains(&Scope::Service) && name != SERVICE {
        return Err(TokenError::Scopes("the scope `service` belongs to the gateway's own token"));
    }
    Ok(())
}

/// The scope's name on the wire.
#[must_use]
pub fn word(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Act => "act",
        Scope::Approve => "approve",
        Scope::Admin => "admin",
        Scope::Service => SERVICE,
    }
}

/// Reads one token without opening the whole folder: for a client that wants to present it.
///
/// # Errors
/// [`TokenError`] by case; [`TokenError::Unknown`] also where there is no folder.
pub fn read(folder: &Path, name: &str) -> Result<Token, TokenError> {
    check_name(name)?;
    file::read(folder, name)
}
