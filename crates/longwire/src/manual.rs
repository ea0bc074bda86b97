//! `longwire man`: the manual pages of all commands, made from their definitions.
//!
//! The sections after the options (examples, exit codes and the like) are those of `--help`, line by line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::{CommandLine, complain, exit, say};

/// Arguments of `longwire man`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Command whose page is printed, such as `pub` or `bench flow`; without it, that of the program.
    command: Vec<String>,
    /// Write the pages of all commands into this folder, which is made if it is not there.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    all: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  longwire man bench flow | man -l -                     read the page of one command
  longwire man --all ~/.local/share/man/man1             install all, for `man longwire-pub`";

/// Prints one page or writes all.
pub(crate) fn run(args: &Args) -> ExitCode {
    // What `build` does to names is needed in titles, and the help command would have a page of its own for each page.
    let mut program = CommandLine::command().disable_help_subcommand(true);
    program.build();
    if let Some(folder) = &args.all {
        return match write_all(&program, folder) {
            Ok(()) => ExitCode::from(exit::SUCCESS),
            Err(error) => {
                complain(format_args!("cannot write manual pages into {}: {error}", folder.display()));
                ExitCode::from(exit::FAILURE)
            }
        };
    }
    let mut command = &program;
    for name in &args.command {
        let Some(found) = command.find_subcommand(name) else {
            let title = title(command);
            complain(format_args!("there is no command '{name}' in {title}; `longwire --help` lists them"));
            return ExitCode::from(exit::USAGE);
        };
        command = found;
    }
    match page(command) {
        Ok(page) => say(&String::from_utf8_lossy(&page)),
        Err(error) => {
            complain(format_args!("cannot make the page: {error}"));
            ExitCode::from(exit::FAILURE)
        }
    }
}

fn write_all(program: &Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut left = vec![program];
    while let Some(command) = left.pop() {
        fs::write(folder.join(format!("{}.1", title(command))), page(command)?)?;
        left.extend(command.get_subcommands());
    }
    Ok(())
}

fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// A page in the language of `man`.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let version = concat!("longwire ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(title(command).to_uppercase()).source(version);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = command.get_after_help() {
        sections(&text.to_string()).to_writer(&mut page)?;
    }
    Ok(page)
}

/// The end of `--help`: each line that ends with a colon and stands at the margin is a heading, the others are kept as
/// they are.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    let mut is_open = false;
    for line in text.lines() {
        if let Some(heading) = line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            if is_open {
                roff.control("fi", []);
            }
            roff.control("SH", [heading.to_uppercase().as_str()]).control("nf", []);
            is_open = true;
        } else {
            roff.text([roman(line)]);
        }
    }
    if is_open {
        roff.control("fi", []);
    }
    roff
}
