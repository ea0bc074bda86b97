//! What a setting is: a row of the table in `settings.rs`, the kinds of values it can have, and the two macros that
//! declare rows and choices. Invariant: [`Setting::write`] changes nothing unless the value is allowed.

use std::path::PathBuf;

use super::{ListenAddress, Settings, SettingsError};

/// One setting: how to name it, describe it, read it and change it.
pub(crate) struct Setting {
    /// Name, with the section in front: `limits.receive_max`.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Unit of a number; empty for everything else.
    pub(crate) unit: &'static str,
    /// First version that has it.
    pub(crate) since: &'static str,
    /// What it does and what happens at its bound, in sentences.
    pub(crate) text: &'static str,
    /// The default in words, where it depends on the machine; otherwise empty.
    pub(crate) default_text: &'static str,
    pub(crate) read: fn(&Settings) -> Value,
    /// Stores a value that the kind allows.
    pub(crate) store: fn(&mut Settings, Value) -> Result<(), String>,
}

/// What values a setting can have.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Switch,
    /// A whole number within bounds, both included.
    Number {
        min: u64,
        max: u64,
    },
    Choice(&'static [&'static str]),
    Path,
    Listeners,
}

/// A value, before and after it has the type of its setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Unset,
    Switch(bool),
    Number(u64),
    Text(String),
    List(Vec<String>),
}

/// Listeners of one broker; more is a mistake in whatever wrote the list.
const LISTENERS_MAX: usize = 64;

impl Setting {
    /// Changes the setting, or says what would be allowed.
    pub(crate) fn write(&self, settings: &mut Settings, value: Value) -> Result<(), String> {
        if !self.kind.allows(&value) {
            return Err(format!("allowed is {}", self.kind.allowed()));
        }
        (self.store)(settings, value)
    }
}

impl Kind {
    /// Reads a value from the text of a command line. What does not look like a value of this kind stays text, and
    /// is refused later with what is allowed.
    pub(crate) fn value_of(self, text: &str) -> Value {
        let plain = || Value::Text(text.to_owned());
        match self {
            Kind::Switch => text.parse().map_or_else(|_| plain(), Value::Switch),
            Kind::Number { .. } => text.replace('_', "").parse().map_or_else(|_| plain(), Value::Number),
            Kind::Choice(_) | Kind::Path => plain(),
            Kind::Listeners => Value::List(text.split(',').map(|part| part.trim().to_owned()).collect()),
        }
    }

    /// What may be written, to stand after "allowed is".
    pub(crate) fn allowed(self) -> String {
        match self {
            Kind::Switch => "true or false".to_owned(),
            Kind::Number { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Choice(names) => format!("one of {}", names.join(", ")),
            Kind::Path => "a path".to_owned(),
            Kind::Listeners => format!("a list of 1 to {LISTENERS_MAX} URLs mqtt://host:port"),
        }
    }

    fn allows(self, value: &Value) -> bool {
        match (self, value) {
            (Kind::Switch, Value::Switch(_)) => true,
            (Kind::Number { min, max }, Value::Number(number)) => (min..=max).contains(number),
            (Kind::Choice(names), Value::Text(text)) => names.contains(&text.as_str()),
            (Kind::Path, Value::Text(text)) => !text.is_empty(),
            (Kind::Listeners, Value::List(list)) => (1..=LISTENERS_MAX).contains(&list.len()),
            _ => false,
        }
    }
}

/// The setting of this name.
pub(crate) fn find(table: &'static [Setting], name: &str) -> Result<&'static Setting, SettingsError> {
    table.iter().find(|setting| setting.name == name).ok_or_else(|| unknown(table, name))
}

/// Whether names of settings begin with this section.
pub(crate) fn is_section(table: &[Setting], name: &str) -> bool {
    table.iter().any(|setting| setting.name.split_once('.').is_some_and(|(section, _)| section == name))
}

/// The error for a name that does not exist, with the name that was probably meant.
fn unknown(table: &[Setting], name: &str) -> SettingsError {
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned).unwrap_or_default();
    let nearest = table
        .iter()
        .map(|setting| {
            let by_name = edit_distance(setting.name, name);
            let by_last_part = edit_distance(&last(setting.name), &last(name));
            (by_name.min(by_last_part), by_name, setting.name)
        })
        .min()
        .filter(|(distance, ..)| *distance <= 1 + last(name).chars().count() / 4);
    let remedy = match nearest {
        Some((.., meant)) => format!("did you mean `{meant}`?"),
        None => "`longwire config reference` lists all settings".to_owned(),
    };
    SettingsError::new(format!("unknown setting `{name}`: {remedy}"))
}

/// Letters to insert, remove or replace to get from one text to the other.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

/// A type that a setting can have.
pub(crate) trait Typed: Sized {
    fn to_value(&self) -> Value;
    fn from_value(value: Value) -> Result<Self, String>;
}

impl Typed for bool {
    fn to_value(&self) -> Value {
        Value::Switch(*self)
    }

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Switch(on) => Ok(on),
            other => Err(misfit(&other)),
        }
    }
}

macro_rules! typed_number {
    ($($type:ty: $widen:expr),*) => {$(
        impl Typed for $type {
            fn to_value(&self) -> Value {
                Value::Number($widen(*self))
            }

            fn from_value(value: Value) -> Result<Self, String> {
                match value {
                    Value::Number(number) => {
                        <$type>::try_from(number).map_err(|_| "it is too large for this machine".to_owned())
                    }
                    other => Err(misfit(&other)),
                }
            }
        }
    )*};
}

typed_number!(u8: u64::from, u16: u64::from, u32: u64::from, usize: |number| number as u64);

impl Typed for Option<PathBuf> {
    fn to_value(&self) -> Value {
        match self {
            Some(path) => Value::Text(path.to_string_lossy().into_owned()),
            None => Value::Unset,
        }
    }

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(Some(PathBuf::from(text))),
            other => Err(misfit(&other)),
        }
    }
}

impl Typed for Vec<ListenAddress> {
    fn to_value(&self) -> Value {
        Value::List(self.iter().map(ListenAddress::to_string).collect())
    }

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::List(list) => list.iter().map(|text| text.parse()).collect(),
            other => Err(misfit(&other)),
        }
    }
}

/// The reason for a value whose kind does not match the type, which only a wrong row of the table can cause.
pub(crate) fn misfit(value: &Value) -> String {
    format!("{value:?} does not have the type of this setting")
}

/// Declares the table of settings. Rows under `settings` are fields of [`Settings`], rows under `limits` fields of
/// its limits; a field of the limits without a row does not compile.
macro_rules! declare {
    (
        pub(crate) static $table:ident;
        settings { $($field:ident: $kind:expr, $unit:literal, $since:literal, $text:literal
            $(, default $default:literal)?;)* }
        limits { $($limit:ident: $limit_kind:expr, $limit_unit:literal, $limit_since:literal, $limit_text:literal;)* }
    ) => {
        pub(crate) static $table: &[Setting] = &[
            $(Setting {
                name: stringify!($field),
                kind: $kind,
                unit: $unit,
                since: $since,
                text: $text,
                default_text: concat!($($default)?),
                read: |settings| $crate::settings::declare::Typed::to_value(&settings.$field),
                store: |settings, value| {
                    settings.$field = $crate::settings::declare::Typed::from_value(value)?;
                    Ok(())
                },
            },)*
            $(Setting {
                name: concat!("limits.", stringify!($limit)),
                kind: $limit_kind,
                unit: $limit_unit,
                since: $limit_since,
                text: $limit_text,
                default_text: "",
                read: |settings| $crate::settings::declare::Typed::to_value(&settings.limits.$limit),
                store: |settings, value| {
                    settings.limits.$limit = $crate::settings::declare::Typed::from_value(value)?;
                    Ok(())
                },
            },)*
        ];

        /// Names every limit: a field that has no row in the table above is missing here.
        const _: fn(&Limits) = |limits| {
            let Limits { $($limit: _),* } = limits;
        };
    };
}

/// Declares an enum whose values are chosen by name.
macro_rules! choice {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            const NAMES: &'static [&'static str] = &[$($text),*];
        }

        impl $crate::settings::declare::Typed for $name {
            fn to_value(&self) -> $crate::settings::declare::Value {
                let name = match self { $($name::$variant => $text,)* };
                $crate::settings::declare::Value::Text(name.to_owned())
            }

            fn from_value(value: $crate::settings::declare::Value) -> Result<Self, String> {
                match &value {
                    $($crate::settings::declare::Value::Text(text) if text == $text => Ok($name::$variant),)*
                    other => Err($crate::settings::declare::misfit(other)),
                }
            }
        }
    };
}

pub(crate) use {choice, declare};
