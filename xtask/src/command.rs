//! Running other programs: shown before they start, named when they fail.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the project, in which every command runs.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in a folder of the project")
}

/// The Cargo that runs this task, with these arguments.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    command(program, arguments)
}

/// Any program, in the root of the project.
pub(crate) fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Tells what is about to run, without the folders of programs.
pub(crate) fn announce(command: &Command) {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    println!("\n$ {name} {}", arguments.join(" "));
}

/// Announces and runs a command whose output goes where ours goes; a failure names it.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    announce(command);
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("{program} does not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} failed with {status}")) }
}

/// Announces and runs a command, shows each line of its output as it comes, and hands it to `see`. Tells whether the
/// command succeeded.
pub(crate) fn stream(command: &mut Command, mut see: impl FnMut(&str)) -> Result<bool, String> {
    announce(command);
    let program = command.get_program().to_string_lossy().into_owned();
    let fault = |error| format!("{program} cannot be run: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(fault)?;
    let mut output = BufReader::new(child.stdout.take().expect("standard output was captured"));
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).map_err(fault)? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        see(text.trim_end());
        line.clear();
    }
    Ok(child.wait().map_err(fault)?.success())
}

/// Whether a command succeeds, without showing it.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Where a program lies, or `None` if it is not installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The folders of programs. Debian keeps brokers where only the administrator looks by default.
pub(crate) fn search_path() -> std::ffi::OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin");
    path
}
