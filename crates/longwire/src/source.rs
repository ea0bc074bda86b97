//! Where the payloads of `pub` and `rr` come from: a text, a file, nothing, or standard input, whole or by lines.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

/// Bytes of the largest payload that any MQTT packet can carry.
const PAYLOAD_BYTES_MAX: u64 = 268_435_455;
/// Lines read ahead of what was published.
const LINES_AHEAD: usize = 64;

/// One of these is needed.
#[derive(Debug, clap::Args)]
#[group(id = "source", required = true, multiple = false)]
pub(crate) struct SourceArgs {
    /// Publish this text.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<OsString>,
    /// Publish the content of a file.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Publish each line of standard input as a message.
    #[arg(short = 'l', long)]
    stdin_line: bool,
    /// Publish an empty message; with -r it removes the retained one.
    #[arg(short = 'n', long)]
    null_message: bool,
    /// Publish all of standard input as one message.
    #[arg(short = 's', long)]
    stdin_file: bool,
}

impl SourceArgs {
    /// The one payload; `None` if each line of standard input is one.
    ///
    /// # Errors
    /// It cannot be read; the text says why.
    pub(crate) fn payload(&self) -> Result<Option<Vec<u8>>, String> {
        if self.stdin_line {
            return Ok(None);
        }
        if let Some(text) = &self.message {
            return Ok(Some(text.clone().into_vec()));
        }
        if let Some(path) = &self.file {
            return read_file(path)
                .map(Some)
                .map_err(|error| format!("cannot read {}: {error}", path.display()));
        }
        if self.stdin_file {
            return read_whole(io::stdin().lock())
                .map(Some)
                .map_err(|error| format!("cannot read standard input: {error}"));
        }
        Ok(Some(Vec::new()))
    }
}

/// Reads lines on a thread of its own, since standard input cannot be waited for; the thread ends with the program.
pub(crate) fn lines_of_stdin() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(line) = next_line(&mut input).transpose() {
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

/// The next line without its end; `None` when there are no more.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut bounded = input.take(PAYLOAD_BYTES_MAX + 1);
    if bounded.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    within_bounds(line).map(Some)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_whole(File::open(path)?)
}

fn read_whole(source: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    source.take(PAYLOAD_BYTES_MAX + 1).read_to_end(&mut content)?;
    within_bounds(content)
}

fn within_bounds(payload: Vec<u8>) -> io::Result<Vec<u8>> {
    if payload.len() as u64 > PAYLOAD_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any MQTT message can be"));
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_nothing_else() {
        let mut input: &[u8] = b"one\n\n two\r\nlast";
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input).expect("readable") {
            lines.push(String::from_utf8(line).expect("text"));
        }
        assert_eq!(lines, ["one", "", " two\r", "last"]);
    }
}
