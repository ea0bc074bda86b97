//! Options of Mosquitto's clients that are not taken here: known, so that each is refused with its reason and with what
//! to use instead.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// The refused options of a command line.
#[derive(Debug)]
pub(crate) struct RefusedLetters {
    given: Option<(&'static str, &'static str)>,
}

const ENGINE: &str = "keys are read from PEM files (--key), not from OpenSSL engines";
const PSK: &str =
    "TLS with pre-shared keys is not offered: certificates tell who is who (--cafile, --cert and --key)";

/// Options with a value, and why they are refused.
const WITH_VALUE: [(&str, &str); 7] = [
    ("ciphers", "all ciphers of TLS 1.2 and 1.3 that are still safe are offered: leave it out"),
    ("tls-version", "the newest version that both sides speak is taken, 1.3 or 1.2: leave it out"),
    ("keyform", ENGINE),
    ("tls-engine", ENGINE),
    ("tls-engine-kpass-sha1", ENGINE),
    ("psk", PSK),
    ("psk-identity", PSK),
];

/// `-S` asks for the server by its SRV record.
const SRV: (&str, &str) = ("S", "SRV records are not looked up: name the server itself with -h and -p");

impl RefusedLetters {
    /// # Errors
    /// One was given; the text says why it is refused.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.given {
            None => Ok(()),
            Some((letter, why)) if letter.len() == 1 => Err(format!("-{letter}: {why}")),
            Some((name, why)) => Err(format!("--{name}: {why}")),
        }
    }
}

impl clap::Args for RefusedLetters {
    fn augment_args(command: Command) -> Command {
        let with_value =
            |(name, _)| Arg::new(name).long(name).num_args(1).allow_hyphen_values(true).hide(true);
        command
            .args(WITH_VALUE.map(with_value))
            .arg(Arg::new(SRV.0).short('S').action(ArgAction::SetTrue).hide(true))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for RefusedLetters {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |(name, _): &(&str, &str)| matches.value_source(name) == Some(ValueSource::CommandLine);
        Ok(RefusedLetters { given: WITH_VALUE.into_iter().chain([SRV]).find(given) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
