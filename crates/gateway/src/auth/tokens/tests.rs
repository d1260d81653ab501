use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use proptest::prelude::*;
use steadyhand_testkit::chance::Seeded;

use super::*;

fn store(folder: &Path) -> TokenStore {
    store_seeded(folder, 7)
}

fn store_seeded(folder: &Path, seed: u64) -> TokenStore {
    TokenStore::open(folder.join("tokens"), Arc::new(Seeded::new(seed))).expect("an own folder")
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

#[test]
fn first_start_makes_three_tokens_and_the_second_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    assert_eq!(store.ensure_defaults().unwrap(), ["agent", "operator", "service"]);
    let before = store.show("agent").unwrap();
    assert_eq!(store.ensure_defaults().unwrap(), Vec::<&str>::new());
    assert_eq!(store.show("agent").unwrap(), before);
    for (name, scopes) in [
        ("agent", vec![Scope::Read, Scope::Act]),
        ("operator", vec![Scope::Read, Scope::Act, Scope::Approve, Scope::Admin]),
        ("service", vec![Scope::Service]),
    ] {
        let token = store.show(name).unwrap();
        assert_eq!(token.scopes, scopes);
        let caller = store.authenticate(token.secret.expose());
        assert_eq!(caller, Some(Caller { name: name.to_owned(), scopes }));
    }
}

#[test]
fn files_and_folder_are_for_their_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.ensure_defaults().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(store.folder()), 0o700);
    assert_eq!(mode(&store.folder().join("agent.toml")), 0o600);
    let left: Vec<_> = fs::read_dir(store.folder()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "no temporary file stays: {left:?}");
}

#[test]
fn a_file_or_folder_open_to_others_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.ensure_defaults().unwrap();
    let secret = store.show("agent").unwrap().secret;
    let path = store.folder().join("agent.toml");
    for mode in [0o640, 0o604, 0o620, 0o601] {
        chmod(&path, mode);
        let error = store.show("agent").unwrap_err();
        assert!(matches!(error, TokenError::Exposed { .. }), "{mode:o}: {error}");
        assert!(error.to_string().contains(&format!("chmod 600 {}", path.display())));
        assert_eq!(store_seeded(dir.path(), 8).authenticate(secret.expose()), None, "{mode:o}");
    }
    chmod(store.folder(), 0o755);
    let error = TokenStore::open(store.folder(), Arc::new(Seeded::new(1))).unwrap_err();
    assert!(error.to_string().contains("chmod 700"), "{error}");
}

#[test]
fn wrong_bearers_are_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.ensure_defaults().unwrap();
    let good = store.show("agent").unwrap().secret.expose().to_owned();
    let upper = good.to_uppercase();
    let longer = format!("{good}0");
    for wrong in ["", "sth_", &good[1..], &good[..good.len() - 1], &upper, &longer, " ", "\0", "ü✓"] {
        assert_eq!(store.authenticate(wrong), None, "{wrong:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rotated_by_another_process_the_old_token_stops_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let running = store(dir.path());
    running.ensure_defaults().unwrap();
    let old = running.show("agent").unwrap().secret;
    let new = store_seeded(dir.path(), 8).rotate("agent").unwrap().secret;
    assert_ne!(old, new);
    tokio::time::advance(LOOK_AGAIN_AFTER).await;
    assert_eq!(running.authenticate(old.expose()), None);
    assert_eq!(running.authenticate(new.expose()).unwrap(), Caller::agent());
}

#[tokio::test(start_paused = true)]
async fn a_new_bearer_is_known_at_once_but_misses_dont_read_the_disk_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let running = store(dir.path());
    running.ensure_defaults().unwrap();
    let made = store_seeded(dir.path(), 8).create("laptop", &[Scope::Read]).unwrap();
    let caller = running.authenticate(made.secret.expose()).unwrap();
    assert_eq!((caller.name.as_str(), caller.scopes), ("laptop", vec![Scope::Read]));
    for _ in 0..LOOKS_ON_MISS_MAX {
        assert_eq!(running.authenticate("sth_guess"), None);
    }
    let late = store_seeded(dir.path(), 9).create("late", &[Scope::Read]).unwrap();
    assert_eq!(running.authenticate(late.secret.expose()), None, "somebody guesses: no more looks for now");
    tokio::time::advance(LOOK_AGAIN_AFTER).await;
    assert!(running.authenticate(late.secret.expose()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_removed_token_and_one_opened_to_others_stop() {
    let dir = tempfile::tempdir().unwrap();
    let running = store(dir.path());
    running.ensure_defaults().unwrap();
    let agent = running.show("agent").unwrap().secret;
    let operator = running.show("operator").unwrap().secret;
    store_seeded(dir.path(), 8).remove("agent").unwrap();
    chmod(&running.folder().join("operator.toml"), 0o644);
    assert!(running.authenticate(operator.expose()).is_some(), "not looked at yet");
    tokio::time::advance(LOOK_AGAIN_AFTER).await;
    assert_eq!(running.authenticate(agent.expose()), None);
    assert_eq!(running.authenticate(operator.expose()), None);
}

#[test]
fn rotate_and_remove_hold_at_once_in_the_same_process() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let first = store.create("x", &[Scope::Read, Scope::Act]).unwrap();
    let second = store.rotate("x").unwrap();
    assert_eq!(second.scopes, first.scopes);
    assert_eq!(store.authenticate(first.secret.expose()), None);
    assert!(store.authenticate(second.secret.expose()).is_some());
    store.remove("x").unwrap();
    assert_eq!(store.authenticate(second.secret.expose()), None);
    assert!(matches!(store.remove("x"), Err(TokenError::Unknown(_))));
    assert!(matches!(store.rotate("x"), Err(TokenError::Unknown(_))));
}

#[test]
fn names_and_scopes_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let long = "a".repeat(NAME_CHARS_MAX + 1);
    for name in ["", "A", "a b", "../agent", "a/b", ".", "a.b", "ü", long.as_str()] {
        assert!(matches!(store.create(name, &[Scope::Read]), Err(TokenError::Name(_))), "{name}");
        assert!(matches!(store.show(name), Err(TokenError::Name(_))), "{name}");
        assert!(matches!(store.remove(name), Err(TokenError::Name(_))), "{name}");
    }
    assert!(store.create(&"a".repeat(NAME_CHARS_MAX), &[Scope::Read]).is_ok());
    assert!(matches!(store.create("x", &[]), Err(TokenError::Scopes(_))));
    assert!(matches!(store.create("x", &[Scope::Read, Scope::Service]), Err(TokenError::Scopes(_))));
    store.create("x", &[Scope::Read]).unwrap();
    assert!(matches!(store.create("x", &[Scope::Act]), Err(TokenError::Exists(_))));
    assert_eq!(store.show("x").unwrap().scopes, [Scope::Read]);
}

#[test]
fn broken_files_are_nobodys_and_dont_hide_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.ensure_defaults().unwrap();
    let secret = store.show("operator").unwrap().secret;
    let token = secret.expose();
    let at = |name: &str| store.folder().join(name);
    for (name, body) in [
        ("empty.toml", String::new()),
        ("short.toml", "token = \"sth_1\"\nscopes = [\"read\"]\ncreated_at = \"\"\n".into()),
        ("scopes.toml", format!("token = \"{token}\"\nscopes = [\"root\"]\ncreated_at = \"\"\n")),
        ("none.toml", format!("token = \"{token}\"\nscopes = []\ncreated_at = \"\"\n")),
        ("thief.toml", format!("token = \"{token}\"\nscopes = [\"service\"]\ncreated_at = \"\"\n")),
        ("more.toml", format!("token = \"{token}\"\nscopes = [\"read\"]\ncreated_at = \"\"\nx = 1\n")),
    ] {
        fs::write(at(name), body).unwrap();
        chmod(&at(name), 0o600);
        let error = store.show(name.strip_suffix(".toml").unwrap()).unwrap_err();
        assert!(matches!(error, TokenError::Malformed { .. }), "{name}: {error}");
        assert!(!error.to_string().contains(token), "{name}: the secret is not in the error");
    }
    symlink(at("operator.toml"), at("link.toml")).unwrap();
    assert!(store.show("link").is_err(), "links are not followed");
    let listed = store.list().unwrap();
    assert_eq!((listed.iter().filter(|t| t.is_ok()).count(), listed.len()), (3, 10));
    assert_eq!(store_seeded(dir.path(), 8).authenticate(token).unwrap().name, "operator");
}

#[test]
fn the_folder_takes_so_many_tokens_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    for i in 0..TOKENS_MAX {
        fs::write(store.folder().join(format!("t{i}.toml")), "").unwrap();
    }
    assert!(matches!(store.create("one-more", &[Scope::Read]), Err(TokenError::Full)));
}

#[test]
fn debug_forms_hide_the_secret() {
    let dir = tempfile::tempdir().unwrap();
    let token = store(dir.path()).create("x", &[Scope::Read]).unwrap();
    let shown = format!("{token:?} {:?}", token.secret);
    assert!(!shown.contains(&token.secret.expose()[4..20]), "{shown}");
    assert!(shown.contains("***"));
}

proptest! {
    #[test]
    fn no_bearer_but_the_right_one_is_let_in(bearer in "(sth_right|.{0,40})") {
        let known = [Known { digest: digest("sth_right"), caller: Caller::agent() }];
        prop_assert_eq!(find(&known, &digest(&bearer)).is_some(), bearer == "sth_right");
    }
}
