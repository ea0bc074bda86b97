//! The table of settings as text for people: the effective values for `config show`, and the reference manual.

use std::fmt::Write;

use super::Settings;
use super::declare::{Setting, Value};

/// Every setting as a line of a settings file, with where its value came from.
pub(crate) fn show(table: &[Setting], settings: &Settings) -> String {
    let mut out = String::new();
    let mut current = "";
    for setting in table {
        let (section, key) = setting.name.split_once('.').unwrap_or(("", setting.name));
        if section != current {
            let _ = writeln!(out, "\n[{section}]");
            current = section;
        }
        let line = match literal(&(setting.read)(settings)) {
            Some(value) => format!("{key} = {value}"),
            None => format!("# {key} is not set"),
        };
        let _ = writeln!(out, "{line:<44} # {}", settings.origin(setting.name));
    }
    out
}

/// The manual of all settings, in Markdown.
pub(crate) fn reference(table: &[Setting]) -> String {
    let mut out = String::from(HEAD);
    let defaults = Settings::default();
    let mut current = "";
    for setting in table {
        let section = setting.name.split_once('.').map_or("", |(section, _)| section);
        if section != current {
            let _ = write!(out, "\n## Section `[{section}]`\n");
            current = section;
        }
        let _ = write!(out, "\n### `{}`\n\n{}\n\n", setting.name, setting.text);
        let _ = writeln!(out, "- Default: {}", default_of(setting, &defaults));
        let _ = writeln!(out, "- Allowed: {}", setting.kind.allowed());
        if !setting.unit.is_empty() {
            let _ = writeln!(out, "- Unit: {}", setting.unit);
        }
        let _ = writeln!(out, "- Since: {}", setting.since);
    }
    out
}

const HEAD: &str = "\
# Settings

<!-- Written by `longwire config reference`. Change crates/server/src/settings.rs, not this file. -->

Every setting has a default; none has to be set. A setting comes, in this order, from an option of the command line
(`--set name=value`, `--listen`, `--data`), from the settings file (`--config FILE`), or from its default.

```toml
listen = [\"mqtt://127.0.0.1:1883\"]
log = \"warn\"

[limits]
packet_size_max = 65_536
```

`longwire serve --config FILE --set limits.receive_max=64` starts a broker with them, `longwire config check` tells
whether a file is right, and `longwire config show` prints every effective value and where it came from. Codes such as
0x97 are the reason codes that a client is told.

## Top level
";

fn default_of(setting: &Setting, defaults: &Settings) -> String {
    if !setting.default_text.is_empty() {
        return setting.default_text.to_owned();
    }
    literal(&(setting.read)(defaults)).map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"))
}

/// A value as TOML, `None` if it is not set.
fn literal(value: &Value) -> Option<String> {
    let text = |text: &String| toml::Value::String(text.clone()).to_string();
    match value {
        Value::Unset => None,
        Value::Switch(on) => Some(on.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Text(content) => Some(text(content)),
        Value::List(items) => Some(format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", "))),
    }
}
