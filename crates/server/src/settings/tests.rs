//! Tests of the table of settings and of everything that is made from it.

use std::path::Path;

use super::declare::Value;
use super::file::Source;
use super::*;

#[test]
fn every_setting_takes_its_bounds_and_shows_them() {
    for setting in SETTINGS {
        for value in examples(setting.kind) {
            let mut settings = Settings::default();
            setting.write(&mut settings, value.clone()).unwrap_or_else(|reason| {
                panic!("{} refuses {value:?}: {reason}", setting.name);
            });
            assert_eq!((setting.read)(&settings), value, "{}", setting.name);
        }
    }
}

#[test]
fn every_default_is_allowed() {
    let defaults = Settings::default();
    for setting in SETTINGS {
        let value = (setting.read)(&defaults);
        if value != Value::Unset {
            assert_eq!(setting.write(&mut Settings::default(), value), Ok(()), "{}", setting.name);
        }
    }
}

#[test]
fn what_is_shown_can_be_read_back() {
    let mut settings = Settings::default();
    for setting in SETTINGS {
        if let Some(value) = examples(setting.kind).pop() {
            setting.write(&mut settings, value).unwrap();
        }
    }
    let mut again = Settings::default();
    source(&settings.show()).apply(&mut again).unwrap();
    for setting in SETTINGS {
        assert_eq!((setting.read)(&again), (setting.read)(&settings), "{}", setting.name);
    }
}

#[test]
fn values_outside_the_bounds_are_refused_with_what_is_allowed() {
    for setting in SETTINGS {
        let Kind::Number { min, max } = setting.kind else { continue };
        for wrong in min.checked_sub(1).into_iter().chain([max + 1]) {
            let error = Settings::default().set(setting.name, &wrong.to_string()).unwrap_err();
            let expected = format!(
                "`{}` cannot be `{wrong}`: allowed is a whole number from {min} to {max}",
                setting.name
            );
            assert_eq!(error.to_string(), expected);
        }
    }
}

#[test]
fn a_value_of_another_kind_is_refused_with_what_is_allowed() {
    refused("workers = \"2\"", "`workers` cannot be `\"2\"`: allowed is a whole number from 1 to 256");
    refused("workers = -1", "`workers` cannot be `-1`: allowed is a whole number from 1 to 256");
    refused("workers = 1.5", "`workers` cannot be `1.5`");
    refused("allow_anonymous = 1", "`allow_anonymous` cannot be `1`: allowed is true or false");
    refused(
        "log = \"loud\"",
        "`log` cannot be `\"loud\"`: allowed is one of error, warn, info, debug, trace",
    );
    refused("listen = []", "`listen` cannot be `[]`: allowed is a list of 1 to 64 URLs mqtt://host:port");
    refused("listen = [1883]", "`listen` cannot be `[1883]`");
    refused("data = \"\"", "`data` cannot be `\"\"`: allowed is a path");
}

#[test]
fn an_unknown_setting_is_answered_with_the_nearest_name() {
    refused("workrs = 2", "unknown setting `workrs`: did you mean `workers`?");
    refused(
        "[limits]\nrecieve_max = 2",
        "unknown setting `limits.recieve_max`: did you mean `limits.receive_max`?",
    );
    refused(
        "packet_size_max = 2",
        "unknown setting `packet_size_max`: did you mean `limits.packet_size_max`?",
    );
    refused("[limit]\nstrict_text = true", "unknown setting `limit`: ");
    let error = Settings::default().set("limits.workers", "2").unwrap_err();
    assert_eq!(error.to_string(), "unknown setting `limits.workers`: did you mean `workers`?");
}

#[test]
fn an_unknown_setting_like_no_other_is_sent_to_the_list() {
    refused("colour = 2", "unknown setting `colour`: `longwire config reference` lists all settings");
}

#[test]
fn a_mistake_in_a_file_is_shown_with_its_place() {
    let text = "# all of us\nworkers = 2\n\n[limits]\n\treceive_max = 0 # none\n";
    let error = source(text).apply(&mut Settings::default()).unwrap_err();
    let expected =
        "broker.toml:5:16: `limits.receive_max` cannot be `0`: allowed is a whole number from 1 to 65535
  |
5 | \treceive_max = 0 # none
  | \t              ^";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_first_of_several_mistakes_is_shown() {
    refused("zebra = 1\nant = 1", "broker.toml:1:1: unknown setting `zebra`");
}

#[test]
fn text_that_is_not_toml_is_shown_with_its_place() {
    refused("workers = 1\nlog info\n", "broker.toml:2:5: this is not TOML: ");
    refused("workers = 1\nworkers = 2\n", "broker.toml:2:1: this is not TOML: duplicate key");
    refused("log = \"\u{e9}\u{e9}", "this is not TOML: ");
}

#[test]
fn a_section_given_as_a_value_is_refused() {
    refused("limits = 5", "`limits` is a section: write `[limits]` on a line of its own");
}

#[test]
fn a_missing_file_is_named_with_its_cause() {
    let error = Settings::from_file(Path::new("/no/such/file.toml")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the settings file /no/such/file.toml: No such file"), "{error}");
    assert!(error.contains("--config"), "{error}");
}

#[test]
fn the_origin_of_a_value_is_known() {
    let mut settings = Settings::default();
    source("\nworkers = 3\nlog = \"warn\"").apply(&mut settings).unwrap();
    settings.set("log", "debug").unwrap();
    settings.set_by("--listen", "listen", "localhost:0").unwrap();
    assert_eq!(settings.origin("workers"), &Origin::File { path: "broker.toml".into(), line: 2 });
    let shown = settings.show();
    for line in ["workers = 3 # broker.toml:2", "log = \"debug\" # --set", "log_format = \"text\" # default"]
    {
        assert!(squeezed(&shown).contains(line), "{line} is not in {shown}");
    }
    assert!(squeezed(&shown).contains("listen = [\"mqtt://localhost:0\"] # --listen"), "{shown}");
}

#[test]
fn a_refused_value_leaves_the_setting_and_its_origin_alone() {
    let mut settings = Settings::default();
    settings.set("listen", "127.0.0.1:1,nonsense").unwrap_err();
    assert_eq!(settings.listen, Settings::default().listen);
    assert_eq!(settings.origin("listen"), &Origin::Default);
}

#[test]
fn addresses_are_read_with_and_without_scheme() {
    let cases = [
        ("mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:1883", true),
        ("127.8.9.1:0", "mqtt://127.8.9.1:0", true),
        ("[::1]:1883", "mqtt://[::1]:1883", true),
        ("mqtt://[::ffff:127.0.0.1]:1", "mqtt://[::ffff:127.0.0.1]:1", true),
        ("LocalHost:5", "mqtt://LocalHost:5", true),
        ("0.0.0.0:1883", "mqtt://0.0.0.0:1883", false),
        ("mqtt://[::]:1883", "mqtt://[::]:1883", false),
        ("broker.example:1883", "mqtt://broker.example:1883", false),
    ];
    for (text, shown, is_loopback) in cases {
        let address: ListenAddress = text.parse().unwrap();
        assert_eq!((address.to_string().as_str(), address.is_loopback()), (shown, is_loopback), "{text}");
    }
}

#[test]
fn what_is_no_address_is_refused_with_an_example() {
    for text in [
        "",
        "1883",
        ":1883",
        "127.0.0.1",
        "127.0.0:1883",
        "::1:1883",
        "a b:1",
        "host:65536",
        "host:+1",
        "host:",
    ] {
        let error = text.parse::<ListenAddress>().unwrap_err();
        assert!(error.contains("mqtt://127.0.0.1:1883"), "{text}: {error}");
    }
}

#[test]
fn schemes_that_are_not_served_are_refused_by_name() {
    for text in
        ["mqtts://127.0.0.1:8883", "ws://127.0.0.1:80/mqtt", "wss://h:1", "unix:///run/broker", "http://h:1"]
    {
        let error = text.parse::<ListenAddress>().unwrap_err();
        assert!(error.contains(text.split_once(':').unwrap().0), "{text}: {error}");
        assert!(error.contains("only mqtt://host:port is"), "{text}: {error}");
    }
}

#[test]
fn localhost_is_both_loopback_addresses() {
    let addresses = "localhost:7".parse::<ListenAddress>().unwrap().resolve().unwrap();
    assert_eq!(addresses, ["127.0.0.1:7".parse().unwrap(), "[::1]:7".parse().unwrap()]);
}

#[test]
fn the_defaults_listen_on_both_loopback_addresses_only() {
    let settings = Settings::default();
    assert_eq!(settings.check(), Ok(()));
    let shown: Vec<String> = settings.listen.iter().map(ListenAddress::to_string).collect();
    assert_eq!(shown, ["mqtt://127.0.0.1:1883", "mqtt://[::1]:1883"]);
}

#[test]
fn other_machines_are_let_in_only_on_request() {
    let mut settings = Settings::default();
    settings.set("listen", "127.0.0.1:1883,0.0.0.0:1884").unwrap();
    let error = settings.check().unwrap_err().to_string();
    assert!(error.contains("mqtt://0.0.0.0:1884"), "{error}");
    assert!(error.contains("add the line `allow_anonymous = true`"), "{error}");
    settings.set("allow_anonymous", "true").unwrap();
    assert_eq!(settings.check(), Ok(()));
}

#[test]
fn an_address_named_twice_is_refused_unless_the_system_picks_the_port() {
    let mut settings = Settings::default();
    settings.set("listen", "127.0.0.1:1883, 127.0.0.1:1883").unwrap();
    assert!(settings.check().unwrap_err().to_string().contains("twice"));
    settings.set("listen", "127.0.0.1:0,127.0.0.1:0").unwrap();
    assert_eq!(settings.check(), Ok(()));
}

#[test]
fn nowhere_to_listen_is_refused() {
    let settings = Settings { listen: Vec::new(), ..Settings::default() };
    assert!(settings.check().unwrap_err().to_string().contains("no client could connect"));
}

#[test]
fn the_reference_on_disk_is_the_one_made_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/settings.md");
    let on_disk = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        on_disk == Settings::reference(),
        "docs/reference/settings.md is out of date: run `cargo run -- config reference > docs/reference/settings.md`"
    );
}

/// Values at the edges of a kind.
fn examples(kind: Kind) -> Vec<Value> {
    match kind {
        Kind::Switch => vec![Value::Switch(false), Value::Switch(true)],
        Kind::Number { min, max } => vec![Value::Number(min), Value::Number(max)],
        Kind::Choice(names) => names.iter().map(|name| Value::Text((*name).to_owned())).collect(),
        Kind::Path => vec![Value::Text("a \"folder\"\\\n".to_owned())],
        Kind::Listeners => {
            vec![Value::List(vec!["mqtt://[::1]:0".to_owned(), "mqtt://name.example:65535".to_owned()])]
        }
    }
}

fn source(text: &str) -> Source<'_> {
    Source { path: Path::new("broker.toml"), text }
}

/// Checks that a settings file is refused with this text in the error.
#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = source(text).apply(&mut Settings::default()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error:?} does not contain {expected:?}");
}

/// The text with runs of spaces made one.
fn squeezed(text: &str) -> String {
    text.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
