//! Reads a settings file in TOML. Top-level keys and sections are names of settings; what is unknown or not allowed
//! is refused with its place, since a misspelt setting that is silently ignored is a trap.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::declare::{self, Kind, Setting, Value};
use super::error::line_at;
use super::{Origin, SETTINGS, Settings, SettingsError};

/// Bytes of a settings file that are read at most; a larger one is some other file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Changes `settings` by what the file says.
pub(crate) fn read(path: &Path, settings: &mut Settings) -> Result<(), SettingsError> {
    let text = content(path).map_err(|cause| {
        SettingsError::new(format!(
            "cannot read the settings file {}: {cause}; name a readable TOML file with --config, or leave the \
             option out to use the defaults",
            path.display()
        ))
    })?;
    Source { path, text: &text }.apply(settings)
}

fn content(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// A settings file in memory.
pub(crate) struct Source<'a> {
    pub(crate) path: &'a Path,
    pub(crate) text: &'a str,
}

/// One key of the file and what it is set to.
struct Entry<'t> {
    name: String,
    key: Range<usize>,
    value: &'t Spanned<DeValue<'t>>,
}

impl Source<'_> {
    /// Changes `settings` line by line, up to the first mistake.
    pub(crate) fn apply(&self, settings: &mut Settings) -> Result<(), SettingsError> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let mistake = SettingsError::new(format!("this is not TOML: {}", error.message()));
            mistake.at(self.path, self.text, error.span().unwrap_or_default())
        })?;
        let mut entries = Vec::new();
        gather(table.get_ref(), "", &mut entries);
        entries.sort_by_key(|entry| entry.key.start);
        entries.into_iter().try_for_each(|entry| self.apply_entry(&entry, settings))
    }

    fn apply_entry(&self, entry: &Entry<'_>, settings: &mut Settings) -> Result<(), SettingsError> {
        let name = &entry.name;
        if declare::is_section(SETTINGS, name) {
            let message = format!("`{name}` is a section: write `[{name}]` on a line of its own");
            return Err(SettingsError::new(message).at(self.path, self.text, entry.key.clone()));
        }
        let setting = declare::find(SETTINGS, name)
            .map_err(|unknown| unknown.at(self.path, self.text, entry.key.clone()))?;
        self.write(setting, entry.value, settings)?;
        let line = line_at(self.text, entry.key.start);
        let origin = Origin::File { path: self.path.to_owned(), line };
        settings.origins.0.insert(setting.name, origin);
        Ok(())
    }

    fn write(
        &self,
        setting: &Setting,
        value: &Spanned<DeValue<'_>>,
        settings: &mut Settings,
    ) -> Result<(), SettingsError> {
        setting.write(settings, plain(value.get_ref(), setting.kind)).map_err(|reason| {
            let written = self.text.get(value.span()).unwrap_or_default();
            let message = format!("`{}` cannot be {}: {reason}", setting.name, quoted(written));
            SettingsError::new(message).at(self.path, self.text, value.span())
        })
    }
}

/// Collects keys, those of known sections under their full name. Sections do not nest, so neither does this.
fn gather<'t>(table: &'t DeTable<'t>, section: &str, entries: &mut Vec<Entry<'t>>) {
    for (key, value) in table {
        let name = match section {
            "" => key.get_ref().to_string(),
            section => format!("{section}.{}", key.get_ref()),
        };
        match value.get_ref() {
            DeValue::Table(inner) if declare::is_section(SETTINGS, &name) => gather(inner, &name, entries),
            _ => entries.push(Entry { name, key: key.span(), value }),
        }
    }
}

/// A TOML value as the value of a setting; [`Value::Unset`], which no kind allows, if it can be none.
fn plain(value: &DeValue<'_>, kind: Kind) -> Value {
    match value {
        DeValue::Boolean(on) => Value::Switch(*on),
        DeValue::Integer(number) => {
            u64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Unset, Value::Number)
        }
        DeValue::String(text) if matches!(kind, Kind::Listeners) => Value::List(vec![text.to_string()]),
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> =
                items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
            texts.map_or(Value::Unset, Value::List)
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Value::Unset,
    }
}

/// What was written, on one line and not too long.
fn quoted(written: &str) -> String {
    const LETTERS_MAX: usize = 80;
    let line = written.lines().next().unwrap_or_default();
    let whole = line.len() == written.len() && line.chars().count() <= LETTERS_MAX;
    let shown: String = line.chars().take(LETTERS_MAX).collect();
    if whole { format!("`{shown}`") } else { format!("`{shown}…`") }
}
