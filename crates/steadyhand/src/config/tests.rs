use super::{
    keys::KEYS,
    layers::{Source, resolve},
    *,
};

fn around() -> Surroundings {
    Surroundings::of(&[("HOME", "/home/x")])
}

fn file(text: &str) -> Option<FileText<'_>> {
    Some(FileText { text, name: "config.toml" })
}

fn flag(key: &'static str, values: &[&str]) -> Flag {
    Flag { key, flag: "--flag", values: values.iter().map(|v| (*v).to_owned()).collect() }
}

fn places_of(data: &str) -> Places {
    Places {
        data_dir: data.into(),
        config_file: "/nowhere/steadyhand/config.toml".into(),
        policy_file: "/nowhere/steadyhand/policy.toml".into(),
    }
}

#[test]
fn without_anything_the_defaults_hold() {
    let settings = resolve(None, &around(), &[]).unwrap();
    assert_eq!(settings.len(), KEYS.len());
    assert!(settings.values().all(|(_, source)| *source == Source::Default));
    let config = build(&settings, places_of("/nowhere/data"));
    assert_eq!(config.roots, [PathBuf::from("/home/x/Steadyhand")]);
    assert_eq!((config.auth, config.port_base), (Auth::On, 7000));
    assert_eq!((config.bind.to_string().as_str(), config.display.clone()), ("127.0.0.1", Display::Auto));
    assert_eq!(config.retention, Retention::default());
    assert_eq!(config.drain, Duration::from_secs(10));
    assert_eq!(config.action_safety.confirmation_ttl, Duration::from_secs(120));
    assert_eq!(config.action_safety.pending_confirmations_max, 50);
    assert_eq!((config.limits.actions_running_max, config.executor_url.clone()), (256, None));
    assert_eq!(check(&config), Ok(()));
}

#[test]
fn file_then_environment_then_flag() {
    let text = "port_base = 7100\n[log]\nlevel = \"debug\"\n[limits]\nconnections_max = 5\n";
    let around = Surroundings::of(&[
        ("HOME", "/home/x"),
        ("STEADYHAND_PORT_BASE", "7200"),
        ("STEADYHAND_LIMITS_CONNECTIONS_MAX", "6"),
    ]);
    let settings = resolve(file(text), &around, &[flag("port_base", &["7300"])]).unwrap();
    assert_eq!(settings["port_base"], (Value::Integer(7300), Source::Flag("--flag")));
    let variable = "STEADYHAND_LIMITS_CONNECTIONS_MAX".to_owned();
    assert_eq!(settings["limits.connections_max"], (Value::Integer(6), Source::Environment(variable)));
    assert_eq!(settings["log.level"], (Value::Text("debug".into()), Source::File(3)));
}

#[test]
fn every_setting_can_be_set_in_the_file() {
    let text = "
        roots = [\"/a\", \"~/b\"]
        auth = \"off\"
        port_base = 0x1c20
        bind = \"::1\"
        display = \":1\"
        [limits]
        body_bytes_max = 65_536
        header_bytes_max = 8192
        requests_per_second = 1
        connections_max = 2
        actions_running_max = 3
        [retention]
        age_days = 1
        journal_gib = 2
        output_gib = 3
        [shutdown]
        drain_seconds = 0
        [action_safety]
        confirmation_ttl_seconds = 60
        max_pending_confirmations = 7
        default_verdict = \"deny\"
        [[action_safety.custom_rules]]
        name = \"x\"
        [executor]
        url = \"http://127.0.0.1:7040\"
        [log]
        level = \"trace\"
    ";
    let settings = resolve(file(text), &around(), &[]).unwrap();
    assert!(settings.iter().all(|(name, (_, source))| matches!(source, Source::File(_)) || panic!("{name}")));
    let config = build(&settings, places_of("/nowhere/data"));
    assert_eq!(config.roots, [PathBuf::from("/a"), PathBuf::from("/home/x/b")]);
    assert_eq!((config.port_base, config.display.clone()), (7200, Display::Named(":1".into())));
    assert_eq!(config.retention.journal_bytes_max, 2 << 30);
    assert_eq!(config.executor_url.as_deref(), Some("http://127.0.0.1:7040"));
    assert_eq!(check(&config), Ok(()), "auth off on ::1 is loopback");
}

#[test]
fn slips_in_the_file_are_named_with_their_place() {
    for (text, said) in [
        ("port = 1", "config.toml:1:1: unknown key `port`"),
        ("port_bas = 1", "config.toml:1:1: unknown key `port_bas`; did you mean `port_base`?"),
        ("\n\n  limit = 1", "config.toml:3:3: unknown key `limit`; did you mean `limits`?"),
        (
            "[limits]\nbody_byte_max = 1",
            "config.toml:2:1: unknown key `limits.body_byte_max`; did you mean `limits.body_bytes_max`?",
        ),
        (
            "drain_seconds = 1",
            "config.toml:1:1: unknown key `drain_seconds`; did you mean `shutdown.drain_seconds`?",
        ),
        ("[log]\nx = 1", "config.toml:2:1: unknown key `log.x`; known are level"),
        ("limits = 1", "config.toml:1:1: `limits` is a table, not an integer"),
        ("port_base = \"7000\"", "config.toml:1:13: `port_base` must be a whole number, not a string"),
        (
            "port_base = 65486",
            "config.toml:1:13: `port_base` must be a whole number from 1 to 65485, not 65486",
        ),
        ("port_base = -1", "whole number from 1 to 65485, not -1"),
        ("port_base = 99999999999999999999999", "whole number from 1 to 65485"),
        (
            "[shutdown]\ndrain_seconds = 601",
            "config.toml:2:17: `shutdown.drain_seconds` must be a whole number from 0 to 600 seconds",
        ),
        ("auth = true", "config.toml:1:8: `auth` must be a text, not a boolean"),
        ("auth = \"onn\"", "`auth` must be on or off, not \"onn\"; did you mean \"on\"?"),
        ("roots = \"/a\"", "`roots` must be an array of texts, not a string"),
        ("roots = [1]", "`roots` must be an array of texts"),
        ("roots = []", "`roots` must name at least one folder"),
        ("roots = [\"a/b\"]", "`roots` must be absolute folders, not \"a/b\""),
        ("bind = \"localhost\"", "`bind` must be an IP address, not \"localhost\""),
        ("display = \"1\"", "`display` must be auto | none | :N"),
        ("display = \":1;rm\"", "`display` must be"),
        ("[executor]\nurl = \"https://x\"", "`executor.url` must be http://HOST:PORT"),
        ("[action_safety]\ncustom_rules = 1", "must be an array of tables"),
        ("\u{e9} = \"\u{e9}\"", "config.toml:1:1: not valid TOML"),
        ("auth = \"on\"\nauth = \"off\"", "config.toml:2:1: not valid TOML: duplicate key"),
        ("x = [", "not valid TOML"),
    ] {
        let problems = resolve(file(text), &around(), &[]).unwrap_err();
        assert!(problems.iter().any(|p| p.contains(said)), "{text:?}\n said {problems:?}\n not {said}");
    }
}

#[test]
fn the_column_counts_characters() {
    let problems =
        resolve(file("log = { level = \"info\", \"\u{fc}\u{fc}\" = 1, nope = 2 }"), &around(), &[])
            .unwrap_err();
    assert!(problems[0].starts_with("config.toml:1:25: "), "{problems:?}");
    assert!(problems[1].starts_with("config.toml:1:35: "), "{problems:?}");
}

#[test]
fn every_problem_is_listed_up_to_a_bound() {
    let text: String = (0..100).map(|i| format!("k{i} = {i}\n")).collect();
    let problems = resolve(file(&text), &around(), &[flag("auth", &["x"])]).unwrap_err();
    assert_eq!(problems.len(), 20);
}

#[test]
fn slips_in_the_environment_are_named_and_strangers_left_alone() {
    let vars = |name: &str, value: &str| Surroundings::of(&[("HOME", "/home/x"), (name, value)]);
    for (name, value, said) in [
        ("STEADYHAND_PORT_BASE", "x", "STEADYHAND_PORT_BASE: `port_base` must be a whole number"),
        ("STEADYHAND_PORT_BSE", "1", "did you mean STEADYHAND_PORT_BASE?"),
        ("STEADYHAND_ROOTS", "relative", "absolute folders"),
    ] {
        let problems = resolve(None, &vars(name, value), &[]).unwrap_err();
        assert!(problems[0].contains(said), "{problems:?}");
    }
    for (name, value) in
        [("STEADYHAND_UNRELATED_THING", "1"), ("STEADYHAND_TOKEN", "sth_x"), ("STEADYHAND_PORT_BASE", "")]
    {
        assert!(resolve(None, &vars(name, value), &[]).is_ok(), "{name}");
    }
    // The policy reads these from the file only, so nothing else may pretend to set them.
    let settings =
        resolve(None, &vars("STEADYHAND_ACTION_SAFETY_DEFAULT_VERDICT", "allow"), &[]).unwrap_or_default();
    assert!(settings.get("action_safety.default_verdict").is_none_or(|(_, s)| *s == Source::Default));
}

#[test]
fn roots_of_the_environment_are_separated_by_colons() {
    let around = Surroundings::of(&[("HOME", "/home/x"), ("STEADYHAND_ROOTS", "/a:~/b")]);
    let settings = resolve(None, &around, &[]).unwrap();
    assert_eq!(settings["roots"].0, Value::Folders(vec!["/a".into(), "/home/x/b".into()]));
    let settings = resolve(None, &around, &[flag("roots", &["/with:colon"])]).unwrap();
    assert_eq!(settings["roots"].0, Value::Folders(vec!["/with:colon".into()]));
}

#[test]
fn settings_that_dont_go_together_are_refused() {
    let with = |text: &str, data: &str| {
        check(&build(&resolve(file(text), &around(), &[]).unwrap(), places_of(data)))
    };
    let fault = with("auth = \"off\"\nbind = \"0.0.0.0\"", "/nowhere/data").unwrap_err();
    assert!(fault.message.contains("loopback only, not on 0.0.0.0"), "{fault}");
    let fault = with("roots = [\"/nowhere/data/run\"]", "/nowhere/data").unwrap_err();
    assert!(fault.message.contains("inside the data folder"), "{fault}");
    // The executor protects the data folder below a root.
    assert_eq!(with("roots = [\"/nowhere\"]", "/nowhere/data"), Ok(()));
    assert_eq!(with("auth = \"on\"\nbind = \"0.0.0.0\"", "/nowhere/data"), Ok(()));
}

#[test]
fn without_a_home_folder_places_must_be_named() {
    let nowhere = Surroundings::default();
    assert!(places(&Given::default(), &nowhere).unwrap_err().message.contains("HOME is not set"));
    let given =
        Given { data_dir: Some("/d".into()), config_file: Some("/c/x.toml".into()), flags: Vec::new() };
    let places = places(&given, &nowhere).unwrap();
    assert_eq!(places.policy_file, PathBuf::from("/c/policy.toml"));
    let settings = resolve(None, &nowhere, &[]).unwrap();
    assert!(check(&build(&settings, places)).unwrap_err().advice.unwrap().contains("--root"));
}

#[test]
fn a_named_file_must_exist_and_a_default_one_need_not() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().to_str().unwrap();
    let around = Surroundings::of(&[("HOME", home)]);
    let loaded = load(&Given::default(), &around).unwrap();
    assert!(!loaded.file_exists);
    let named = Given { config_file: Some(dir.path().join("absent.toml")), ..Given::default() };
    assert_eq!(load(&named, &around).unwrap_err().exit, Exit::Configuration);
    std::fs::write(dir.path().join("absent.toml"), b"\xff").unwrap();
    assert!(load(&named, &around).unwrap_err().message.contains("isn't UTF-8"));
    std::fs::write(dir.path().join("absent.toml"), "x".repeat(1 + (1 << 20))).unwrap();
    assert!(load(&named, &around).unwrap_err().message.contains("larger than"));
}

#[test]
fn the_policy_is_read_beside_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let around = Surroundings::of(&[("HOME", dir.path().to_str().unwrap())]);
    let file = dir.path().join("c").join("config.toml");
    std::fs::create_dir(dir.path().join("c")).unwrap();
    std::fs::write(&file, "[action_safety]\ndefault_verdict = \"deny\"\n").unwrap();
    let given = Given { config_file: Some(file.clone()), ..Given::default() };
    let config = load(&given, &around).unwrap().config;
    assert!(config.policy().is_ok());
    std::fs::write(file.with_file_name("policy.toml"), "[[rule]]\nname = \"x\"\ndecison = \"deny\"\n")
        .unwrap();
    let fault = config.policy().unwrap_err();
    assert_eq!(fault.exit, Exit::Configuration);
    assert!(fault.message.contains("policy.toml:3:1"), "{fault}");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in proptest::prelude::any::<String>()) {
        let _either = resolve(file(&text), &around(), &[flag("roots", &[&text])]);
    }

    #[test]
    fn no_toml_panics(text in "(\\[?[a-z_]{0,12}\\]? ?=? ?[0-9\"a-z:.\\[\\]]{0,8}\n){0,6}") {
        let _either = resolve(file(&text), &around(), &[]);
    }
}
