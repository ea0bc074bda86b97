//! A child process whose output arrives as lines, and which ends with the test that started it.
//!
//! Its neighbour `broker` is one such process. Invariant: the child is killed and reaped when its value is dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// A running child and what it has said so far.
pub(crate) struct Process {
    child: Child,
    title: String,
    stdout: Lines,
    stderr: Lines,
    /// Its output was shown already, by the test that failed on it.
    shown: bool,
}

/// The program under test with these arguments, and without the defaults of whoever runs the tests.
pub(crate) fn longwire(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longwire"));
    command.args(arguments).env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

impl Process {
    /// Starts `command` with both outputs captured and standard input open.
    pub(crate) fn spawn(command: &mut Command) -> Process {
        let title = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{title} does not start: {error}"));
        let stdout = Lines::of(child.stdout.take().expect("standard output was captured"));
        let stderr = Lines::of(child.stderr.take().expect("standard error was captured"));
        Process { child, title, stdout, stderr, shown: false }
    }

    /// The next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        match self.stdout.next(Instant::now() + PATIENCE) {
            Ok(line) => line,
            Err(missing) => self.give_up(&format!("another line of output: {missing:?}")),
        }
    }

    /// The next line of standard output, if one comes within this time.
    pub(crate) fn line_within(&mut self, time: Duration) -> Option<String> {
        self.stdout.next(Instant::now() + time).ok()
    }

    /// Skips lines of standard error up to the next one that contains `part`, and returns it.
    pub(crate) fn log_line(&mut self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.stderr.next(deadline) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(missing) => self.give_up(&format!("a log line with {part:?}: {missing:?}")),
            }
        }
    }

    /// Writes one line to standard input.
    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("standard input was captured");
        writeln!(stdin, "{line}").unwrap_or_else(|error| panic!("{} does not listen: {error}", self.title));
    }

    /// Asks the process to stop, as an operator would.
    pub(crate) fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).expect("a child that was not waited for can be signalled");
    }

    /// Kills the process without a chance to say goodbye.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.wait();
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.give_up("its end")
    }

    /// Closes standard input, waits for the end, which must be a success, and returns the lines of standard output
    /// not read yet.
    pub(crate) fn finish(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let status = self.wait();
        if !status.success() {
            self.give_up(&format!("success, but it ended with {status}"));
        }
        self.stdout.rest()
    }

    /// Ends the test with everything that helps to see why.
    pub(crate) fn give_up(&mut self, wanted: &str) -> ! {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.shown = true;
        self.stdout.rest();
        self.stderr.rest();
        panic!(
            "{}\nwas waited for: {wanted}\n--- stdout\n{}\n--- stderr\n{}",
            self.title,
            self.stdout.seen.join("\n"),
            self.stderr.seen.join("\n")
        );
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() && !self.shown {
            self.stderr.rest();
            eprintln!("--- stderr of {}\n{}", self.title, self.stderr.seen.join("\n"));
        }
    }
}

/// The lines of one pipe, gathered by a thread so that the child never blocks on a full pipe.
struct Lines {
    receiver: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Lines {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Lines { receiver, seen: Vec::new() }
    }

    /// The next line, or why there is none: too late, or the pipe was closed.
    fn next(&mut self, deadline: Instant) -> Result<String, RecvTimeoutError> {
        let line = self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()))?;
        self.seen.push(line.clone());
        Ok(line)
    }

    /// All lines up to the close of the pipe, which a finished child has left behind.
    fn rest(&mut self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut lines = Vec::new();
        while let Ok(line) = self.next(deadline) {
            lines.push(line);
        }
        lines
    }
}
