//! `longwire config`: what `serve` would run with, checked or shown, and the reference of all settings. The options
//! that choose settings live here too, so that `serve` and `config` cannot read them differently.

use std::path::PathBuf;
use std::process::ExitCode;

use longwire_server::settings::{Settings, SettingsError};

use crate::{complain, exit, say};

/// What can be asked about settings.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Tell whether a broker would take these settings; exit code 3 if not.
    #[command(after_help = "Example:\n  longwire config check --config longwire.toml")]
    Check(Chosen),
    /// Print every setting, its value, and where that came from, as a settings file.
    #[command(after_help = "Example:\n  longwire config show --config longwire.toml --set workers=2")]
    Show(Chosen),
    /// Print the reference of all settings in Markdown.
    Reference,
}

/// The options that choose settings. Later ones in this list win over earlier ones.
#[derive(clap::Args)]
pub(crate) struct Chosen {
    /// Settings file in TOML. Without one, the defaults hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change one setting, such as `limits.receive_max=64`; may be given often.
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Listen on mqtt://host:port, or host:port for short; may be given often, and replaces the default.
    #[arg(long, value_name = "URL")]
    listen: Vec<String>,
    /// Folder for what must survive a restart; without one everything is kept in memory.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

/// Answers, and returns the exit code.
pub(crate) fn run(command: &Command) -> ExitCode {
    let (chosen, answer): (_, fn(&Settings) -> String) = match command {
        Command::Check(chosen) => (chosen, |_| "These settings are right.\n".to_owned()),
        Command::Show(chosen) => (chosen, Settings::show),
        Command::Reference => return say(&Settings::reference()),
    };
    match chosen.load() {
        Ok(settings) => say(&answer(&settings)),
        Err(error) => {
            complain(error);
            ExitCode::from(exit::SETTINGS)
        }
    }
}

impl Chosen {
    /// The settings that these options make, checked.
    pub(crate) fn load(&self) -> Result<Settings, SettingsError> {
        let mut settings = match &self.config {
            Some(path) => Settings::from_file(path)?,
            None => Settings::default(),
        };
        for (key, value) in &self.set {
            settings.set(key, value)?;
        }
        if !self.listen.is_empty() {
            settings.set_by("--listen", "listen", &self.listen.join(","))?;
        }
        if let Some(path) = &self.data {
            settings.set_by("--data", "data", path)?;
        }
        settings.check()?;
        Ok(settings)
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value, such as workers=2")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
