//! The command line as an operator meets it: the real program, its one line of complaint and its exit codes.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod support;

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use support::wire::{Hello, V311, Wire};
use support::{Broker, PATIENCE, Process, longwire};

#[test]
fn an_unknown_option_is_refused_with_the_option_that_was_meant() {
    refused(&["serve", "--lisen", "127.0.0.1:0"], 2, &["--lisen", "'--listen'", "--help"]);
}

#[test]
fn an_unknown_command_is_refused_with_the_command_that_was_meant() {
    refused(&["srve"], 2, &["'srve'", "'serve'", "--help"]);
}

#[test]
fn a_setting_without_a_value_is_refused_with_an_example() {
    refused(&["serve", "--set", "workers"], 2, &["'workers'", "key=value"]);
}

#[test]
fn an_unknown_setting_is_refused_with_the_setting_that_was_meant() {
    refused(&["serve", "--set", "wrkers=2"], 3, &["`wrkers`", "did you mean `workers`?"]);
}

#[test]
fn a_value_out_of_bounds_is_refused_with_the_bounds() {
    refused(&["serve", "--set", "workers=0"], 3, &["`workers` cannot be `0`", "from 1 to 256"]);
}

#[test]
fn a_listener_for_other_machines_is_refused_with_the_line_to_add() {
    refused(&["serve", "--listen", "0.0.0.0:0"], 3, &["mqtt://0.0.0.0:0", "`allow_anonymous = true`"]);
}

#[test]
fn a_scheme_that_is_not_served_is_refused() {
    refused(&["serve", "--listen", "mqtts://127.0.0.1:0"], 3, &["mqtts://", "only mqtt://host:port"]);
}

#[test]
fn a_missing_settings_file_is_refused_with_its_name() {
    refused(
        &["serve", "--config", "/no/such/file.toml"],
        3,
        &["/no/such/file.toml", "No such file", "--config"],
    );
}

#[test]
fn a_mistake_in_a_settings_file_is_shown_with_its_place() {
    let file = SettingsFile::new("mistake", "workers = 2\nlog = \"loud\"\n");
    let ended = run(&["serve", "--config", file.name()]);
    assert_eq!(ended.status.code(), Some(3));
    let expected = format!(
        "longwire: {}:2:7: `log` cannot be `\"loud\"`: allowed is one of error, warn, info, debug, trace
  |
2 | log = \"loud\"
  |       ^^^^^^
",
        file.name()
    );
    assert_eq!(String::from_utf8_lossy(&ended.stderr), expected);
}

#[test]
fn a_port_in_use_is_named_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("a bound socket has an address").to_string();
    // Without `log=error` the lines of the start would stand in front of the complaint.
    let ended = run(&["serve", "--listen", &address, "--set", "log=error"]);
    complained(&ended, 4, &[&address, "in use", "--listen"]);
}

#[test]
fn no_arguments_print_the_help_and_fail() {
    let ended = run(&[]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("Examples:"));
}

#[test]
fn help_has_examples() {
    for command in [
        &[][..],
        &["serve"],
        &["pub"],
        &["sub"],
        &["rr"],
        &["probe"],
        &["top"],
        &["bench"],
        &["bench", "conn"],
        &["bench", "pub"],
        &["bench", "sub"],
        &["bench", "flow"],
        &["completions"],
        &["man"],
        &["config", "check"],
        &["config", "show"],
    ] {
        let ended = run(&[command, &["--help"]].concat());
        assert_eq!(ended.status.code(), Some(0), "{command:?}");
        assert!(String::from_utf8_lossy(&ended.stdout).contains("Example"), "{command:?}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let ended = run(&["--version"]);
    assert_eq!(ended.status.code(), Some(0));
    let expected = concat!("longwire ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), expected);
}

#[test]
fn every_shell_gets_its_completions() {
    for (shell, part) in [
        ("bash", "complete -F _longwire"),
        ("zsh", "#compdef longwire"),
        ("fish", "complete -c longwire"),
        ("elvish", "edit:completion:arg-completer[longwire]"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let ended = run(&["completions", shell]);
        let script = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(ended.status.code(), Some(0), "{shell}");
        for wanted in [part, "retained-only", "will-topic"] {
            assert!(script.contains(wanted), "{wanted:?} is not in the script for {shell}");
        }
    }
    refused(&["completions", "cmd"], 2, &["'cmd'", "bash"]);
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("man-{}", std::process::id()));
    let name = folder.to_str().expect("the path was made from text");
    assert_eq!(run(&["man", "--all", name]).status.code(), Some(0));
    for page in ["longwire", "longwire-pub", "longwire-rr", "longwire-top", "longwire-bench-flow"] {
        let text = fs::read_to_string(folder.join(format!("{page}.1"))).expect(page);
        assert!(text.contains(".SH EXAMPLES\n.nf\n"), "{page}: {text}");
    }
    fs::remove_dir_all(&folder).expect("the folder was just made");
    let printed = run(&["man", "bench", "conn"]);
    assert!(String::from_utf8_lossy(&printed.stdout).contains(".TH LONGWIRE-BENCH-CONN 1"));
    refused(&["man", "bench", "con"], 2, &["'con'", "--help"]);
    refused(&["man", "--all", "/proc/none"], 1, &["/proc/none"]);
}

#[test]
fn right_settings_pass_the_check() {
    let file = SettingsFile::new("right", "workers = 2\n[limits]\nreceive_max = 10\n");
    assert_eq!(run(&["config", "check", "--config", file.name()]).status.code(), Some(0));
}

#[test]
fn config_check_refuses_what_serve_refuses() {
    refused(&["config", "check", "--listen", "0.0.0.0:1883"], 3, &["`allow_anonymous = true`"]);
}

#[test]
fn config_show_names_values_and_where_they_came_from() {
    let file = SettingsFile::new("shown", "\n[limits]\nreceive_max = 10\n");
    let ended = run(&["config", "show", "--config", file.name(), "--set", "workers=3", "--data", "kept"]);
    let shown = String::from_utf8_lossy(&ended.stdout).into_owned();
    let origin_of = |start: &str| {
        let line = shown.lines().find(|line| line.starts_with(start));
        line.and_then(|line| line.split_once('#')).map(|(_, origin)| origin.trim().to_owned())
    };
    assert_eq!(origin_of("receive_max = 10"), Some(format!("{}:3", file.name())), "{shown}");
    assert_eq!(origin_of("workers = 3"), Some("--set".to_owned()), "{shown}");
    assert_eq!(origin_of("data = \"kept\""), Some("--data".to_owned()), "{shown}");
    assert_eq!(origin_of("log = \"info\""), Some("default".to_owned()), "{shown}");
}

#[test]
fn what_config_show_prints_is_a_settings_file() {
    let shown = run(&["config", "show", "--set", "limits.receive_max=11", "--set", "workers=3"]);
    let file = SettingsFile::new("again", &String::from_utf8_lossy(&shown.stdout));
    let again = run(&["config", "show", "--config", file.name()]);
    let values = |output: &Output| -> Vec<String> {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned()).collect()
    };
    assert_eq!(values(&again), values(&shown));
}

#[test]
fn a_broker_in_memory_says_that_nothing_survives() {
    let arguments = ["serve", "--listen", "127.0.0.1:0"];
    let said = Process::spawn(&mut longwire(&arguments)).log_line("nothing survives a restart");
    assert!(said.contains("--data"), "the remedy is missing in {said}");
}

#[test]
fn a_folder_belongs_to_one_broker_at_a_time() {
    let folder = std::env::temp_dir().join(format!("longwire-test-folder-{}", std::process::id()));
    let data = folder.to_str().expect("temporary folders have plain names");
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", data];
    let mut first = Process::spawn(&mut longwire(&arguments));
    first.log_line("listening");
    let second = run(&arguments);
    assert_eq!(second.status.code(), Some(4));
    let why = String::from_utf8_lossy(&second.stderr).into_owned();
    for part in [data, "has locked", "use another folder"] {
        assert!(why.contains(part), "{part} is missing in {why}");
    }
    first.kill();
    std::fs::remove_dir_all(&folder).expect("the folder was the broker's alone");
}

#[test]
fn a_terminated_broker_ends_with_success() {
    let mut broker = Broker::start();
    broker.terminate();
    assert_eq!(broker.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_broker_at_once() {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--set", "limits.linger_secs=3600"];
    let mut broker = Process::spawn(&mut longwire(&arguments));
    let line = broker.log_line("listening");
    let port =
        line.rsplit_once(':').and_then(|(_, port)| port.trim().parse().ok()).expect("a port in the line");
    // A client that does not close its side keeps the broker waiting for it.
    let mut client = Wire::dial(port);
    client.connect(&Hello::new(V311, "clings"));
    broker.terminate();
    broker.log_line("a second signal");
    broker.terminate();
    assert_eq!(broker.wait().code(), Some(143));
}

#[test]
fn log_lines_are_json_on_request() {
    let mut broker =
        Process::spawn(&mut longwire(&["serve", "--listen", "127.0.0.1:0", "--set", "log_format=json"]));
    let line = broker.log_line("listening");
    let parsed: serde_json::Value = serde_json::from_str(&line).expect("a log line is one JSON object");
    assert!(parsed["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")), "{line}");
}

/// Runs the program to its end.
fn run(arguments: &[&str]) -> Output {
    let mut command = longwire(arguments);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the program starts");
    ended_in_time(child, arguments)
}

fn ended_in_time(mut child: Child, arguments: &[&str]) -> Output {
    // A child that fills a pipe nobody reads would never end.
    let stdout = gathered(child.stdout.take().expect("standard output was captured"));
    let stderr = gathered(child.stderr.take().expect("standard error was captured"));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("{arguments:?} does not end");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let whole = |gathering: JoinHandle<Vec<u8>>| gathering.join().expect("a pipe is read to its end");
    Output { status, stdout: whole(stdout), stderr: whole(stderr) }
}

/// Reads a pipe to its end.
fn gathered(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

/// Checks that the program refuses these arguments with one line that has all `parts`.
#[track_caller]
fn refused(arguments: &[&str], code: i32, parts: &[&str]) {
    complained(&run(arguments), code, parts);
}

#[track_caller]
fn complained(ended: &Output, code: i32, parts: &[&str]) {
    let complaint = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(code), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.starts_with("longwire: "), "{complaint}");
    for part in parts {
        assert!(complaint.contains(part), "{part:?} is not in {complaint:?}");
    }
}

/// A settings file of one test, gone with it.
struct SettingsFile(PathBuf);

impl SettingsFile {
    fn new(title: &str, text: &str) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{title}-{}.toml", std::process::id()));
        fs::write(&path, text).expect("the folder for temporary files takes a file");
        SettingsFile(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().expect("the path was made from text")
    }
}

impl Drop for SettingsFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
