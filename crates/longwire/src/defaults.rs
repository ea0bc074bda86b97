//! The defaults files of `pub`, `sub` and `rr`: options that stand in a file, one a line, as in Mosquitto's.
//!
//! They are put in front of the options of the command line, which win: whatever is given there, or cannot go together
//! with what is given there, is left out here. What the lines mean is the parser's business, so that both have the same
//! options.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, Command};

/// The tools that have a file.
const TOOLS: [&str; 3] = ["pub", "sub", "rr"];

/// Arguments with the defaults among them, and the file that they came from.
#[derive(Debug, PartialEq)]
pub(crate) struct Arguments {
    pub(crate) all: Vec<OsString>,
    pub(crate) file: Option<PathBuf>,
}

/// Adds the defaults of the tool that these arguments call, if it has a file.
///
/// # Errors
/// The file cannot be read, or a line is no option of the tool; the text says which.
pub(crate) fn add(program: fn() -> Command, arguments: Vec<OsString>) -> Result<Arguments, String> {
    let tool = arguments.get(1).and_then(|tool| TOOLS.into_iter().find(|known| tool == known));
    let Some((tool, path)) = tool.and_then(|tool| Some((tool, place(tool)?))) else {
        return Ok(Arguments { all: arguments, file: None });
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Arguments { all: arguments, file: None });
        }
        Err(error) => return Err(format!("cannot read the defaults file {}: {error}", path.display())),
    };
    // Made only now: most users have no such file, and the definition of every command takes a while.
    let program = program();
    let Some(command) = program.find_subcommand(tool) else {
        return Ok(Arguments { all: arguments, file: None });
    };
    let defaults = left_over(command, &text, &arguments[1..]).map_err(|(line, why)| {
        format!("{}:{line}: {why}; `longwire {tool} --help` lists the options", path.display())
    })?;
    let mut all = arguments;
    all.splice(2..2, defaults);
    Ok(Arguments { all, file: Some(path) })
}

/// `longwire_TOOL` in the user's folder for configuration.
fn place(tool: &str) -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join(format!("longwire_{tool}")))
}

/// The options in `text` that `given`, the command line from the tool's name on, leaves room for. A mistake comes with
/// the number of its line.
fn left_over(command: &Command, text: &str, given: &[OsString]) -> Result<Vec<OsString>, (usize, String)> {
    let mut options = Vec::new();
    let chosen = chosen(command, given);
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once(char::is_whitespace) {
            Some((name, value)) => (name, Some(value.trim_start())),
            None => (line, None),
        };
        let Some(arg) = command.get_arguments().find(|arg| is_called(arg, name)) else {
            return Err((number, format!("there is no option '{name}'")));
        };
        match (arg.get_action().takes_values(), value) {
            (true, None) => return Err((number, format!("'{name}' needs a value behind it"))),
            (false, Some(_)) => return Err((number, format!("'{name}' takes no value"))),
            _ => {}
        }
        if chosen.iter().any(|chosen| excludes(command, chosen, arg)) {
            continue;
        }
        options.push(name.into());
        options.extend(value.into_iter().flat_map(|value| words(arg, value)).map(OsString::from));
    }
    Ok(options)
}

/// What was given on the command line. Mistakes in it are told later, by the parser proper.
fn chosen<'a>(command: &'a Command, given: &[OsString]) -> Vec<&'a Arg> {
    let parser = command.clone().ignore_errors(true);
    let Ok(matches) = parser.try_get_matches_from(given) else { return Vec::new() };
    let is_chosen =
        |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    command.get_arguments().filter(is_chosen).collect()
}

fn is_called(arg: &Arg, name: &str) -> bool {
    match name.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => name
            .strip_prefix('-')
            .is_some_and(|short| arg.get_short().is_some_and(|own| short == own.to_string())),
    }
}

/// Whether `default` cannot stand beside `chosen`, or is the same.
fn excludes(command: &Command, chosen: &Arg, default: &Arg) -> bool {
    let conflict = |one, other: &Arg| {
        command.get_arg_conflicts_with(one).iter().any(|conflicting| conflicting.get_id() == other.get_id())
    };
    let alternatives = |group: &clap::ArgGroup| {
        let members: Vec<_> = group.get_args().collect();
        !group.clone().is_multiple()
            && members.contains(&chosen.get_id())
            && members.contains(&default.get_id())
    };
    chosen.get_id() == default.get_id()
        || conflict(chosen, default)
        || conflict(default, chosen)
        || command.get_groups().any(alternatives)
}

/// The values of an option: one, the rest of the line, except for properties, whose last one that is.
fn words<'a>(arg: &Arg, value: &'a str) -> Vec<&'a str> {
    let several = arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    let count = match (several, value.split_whitespace().nth(1)) {
        (false, _) => 1,
        (true, Some("user-property")) => 4,
        (true, _) => 3,
    };
    let mut words = Vec::new();
    let mut rest = value;
    while words.len() + 1 < count
        && let Some((word, after)) = rest.split_once(char::is_whitespace)
    {
        words.push(word);
        rest = after.trim_start();
    }
    words.push(rest);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn left(tool: &str, text: &str, given: &[&str]) -> Result<Vec<String>, (usize, String)> {
        let program = crate::CommandLine::command();
        let command = program.find_subcommand(tool).expect("the tool is there");
        let given: Vec<OsString> = std::iter::once(&tool).chain(given).map(OsString::from).collect();
        let options = left_over(command, text, &given)?;
        Ok(options.into_iter().map(|word| word.into_string().expect("text")).collect())
    }

    #[test]
    fn lines_become_options() {
        let text = "# mine\n\n -h  broker.example \n--retain\n-m two  words\n-D PUBLISH user-property key a  value\n\
                    -D publish content-type text/plain; charset=utf-8";
        let wanted = [
            "-h",
            "broker.example",
            "--retain",
            "-m",
            "two  words",
            "-D",
            "PUBLISH",
            "user-property",
            "key",
            "a  value",
            "-D",
            "publish",
            "content-type",
            "text/plain; charset=utf-8",
        ];
        assert_eq!(left("pub", text, &[]).expect("right"), wanted);
    }

    #[test]
    fn the_command_line_wins() {
        let text = "-h one\n-p 1884\n-q 1\n-m default\n-t topic\n-i me";
        let rest = left("pub", text, &["-h", "two", "-f", "file"]).expect("right");
        assert_eq!(rest, ["-p", "1884", "-q", "1", "-t", "topic", "-i", "me"]);
        let rest = left("pub", text, &["-L", "mqtt://two/topic", "-n"]).expect("right");
        assert_eq!(rest, ["-q", "1", "-t", "topic", "-i", "me"]);
        let rest = left("pub", text, &["--id-prefix=you", "-t", "b", "-q2"]).expect("right");
        assert_eq!(rest, ["-h", "one", "-p", "1884", "-m", "default"]);
    }

    #[test]
    fn mistakes_have_their_line() {
        for (text, number, part) in [
            ("\n-j x", 2, "no option '-j'"),
            ("--retained", 1, "no option '--retained'"),
            ("host x", 1, "no option 'host'"),
            ("-h", 1, "needs a value"),
            ("-r yes", 1, "takes no value"),
        ] {
            let (line, why) = left("pub", text, &[]).expect_err(text);
            assert_eq!(line, number, "{text}");
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
