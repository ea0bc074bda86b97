//! `longwire completions`: what a shell needs to complete commands and options, made from their definitions.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{CommandLine, say};

/// Arguments of `longwire completions`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Shell to complete in.
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  source <(longwire completions bash)            in this shell; in ~/.bashrc for all later ones
  longwire completions zsh > ~/.zfunc/_longwire  with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc
  longwire completions fish > ~/.config/fish/completions/longwire.fish";

/// Prints the script.
pub(crate) fn run(args: &Args) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut CommandLine::command(), "longwire", &mut script);
    say(&String::from_utf8_lossy(&script))
}
