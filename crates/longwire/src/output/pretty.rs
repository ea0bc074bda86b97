//! Payloads for people: JSON broken into lines and coloured, text without what would move the cursor, and other bytes as
//! digits.
//!
//! Nothing that a publisher chose reaches the terminal as a control sequence. JSON is laid out as it is spelled, so that
//! numbers keep their digits.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use serde::de::IgnoredAny;

use super::encoding::hexadecimal;

/// Whether to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pretty {
    colours: bool,
}

const NAME: &str = "\x1b[34m";
const STRING: &str = "\x1b[32m";
const LITERAL: &str = "\x1b[33m";
const TOPIC: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

impl Pretty {
    /// Colours if standard output is a terminal that wants them.
    pub(crate) fn for_stdout() -> Self {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Pretty { colours: wanted && io::stdout().is_terminal() }
    }

    /// A payload that is JSON in lines, text as text, anything else in hexadecimal digits.
    pub(super) fn payload(self, payload: &[u8]) -> String {
        let Ok(text) = std::str::from_utf8(payload) else {
            let digits = hexadecimal(payload, b"0123456789abcdef");
            return self.coloured(DIM, &format!("{} bytes: {digits}", payload.len()));
        };
        if serde_json::from_str::<IgnoredAny>(text).is_ok() { self.json(text) } else { harmless(text) }
    }

    /// A topic, told apart from what follows it.
    pub(super) fn topic(self, topic: &str) -> String {
        self.coloured(TOPIC, &harmless(topic))
    }

    /// Lays valid JSON out in lines.
    pub(super) fn json(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() * 2);
        let mut depth = 0;
        let mut rest = text.trim_ascii();
        while let Some(first) = rest.chars().next() {
            let (token, after) = rest.split_at(token_bytes(rest));
            rest = after.trim_ascii_start();
            match first {
                '{' | '[' if rest.starts_with(['}', ']']) => {
                    out.push_str(token);
                    out.push_str(&rest[..1]);
                    rest = rest[1..].trim_ascii_start();
                }
                '{' | '[' => {
                    depth += 1;
                    out.push_str(token);
                    new_line(&mut out, depth);
                }
                '}' | ']' => {
                    depth -= 1;
                    new_line(&mut out, depth);
                    out.push_str(token);
                }
                ',' => {
                    out.push(',');
                    new_line(&mut out, depth);
                }
                ':' => out.push_str(": "),
                '"' if rest.starts_with(':') => out.push_str(&self.coloured(NAME, &harmless(token))),
                '"' => out.push_str(&self.coloured(STRING, &harmless(token))),
                _ => out.push_str(&self.coloured(LITERAL, token)),
            }
        }
        out
    }

    fn coloured(self, colour: &str, text: &str) -> String {
        if self.colours { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }
}

/// Bytes of the token at the start of valid JSON: a sign, a string, or a number or word.
fn token_bytes(text: &str) -> usize {
    if let Some(inside) = text.strip_prefix('"') {
        let mut escaped = false;
        let end = inside.find(|letter| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        });
        return end.map_or(text.len(), |bytes| bytes + 2);
    }
    match text.find(|letter: char| "{}[]:,".contains(letter) || letter.is_ascii_whitespace()) {
        Some(0) => 1,
        Some(bytes) => bytes,
        None => text.len(),
    }
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Text whose control characters, but for the ends of lines and tabs, are spelled out.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() && letter != '\n' && letter != '\t' {
            let _ = write!(out, "\\u{:04x}", u32::from(letter));
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Pretty = Pretty { colours: false };

    #[test]
    fn json_is_laid_out_as_it_is_spelled() {
        let text = br#" {"a":[1, 2.50 ,{}],"b c":"d \" , e\\","n":null,"x":[ ],"big":1e400} "#;
        let lines = [
            "{",
            "  \"a\": [",
            "    1,",
            "    2.50,",
            "    {}",
            "  ],",
            "  \"b c\": \"d \\\" , e\\\\\",",
            "  \"n\": null,",
            "  \"x\": [],",
            "  \"big\": 1e400",
            "}",
        ];
        assert_eq!(PLAIN.payload(text), lines.join("\n"));
    }

    #[test]
    fn colours_tell_names_strings_and_numbers_apart() {
        let shown = Pretty { colours: true }.payload(br#"{"a":"b","c":1}"#);
        let wanted = format!(
            "{{\n  {NAME}\"a\"{RESET}: {STRING}\"b\"{RESET},\n  {NAME}\"c\"{RESET}: {LITERAL}1{RESET}\n}}"
        );
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_publisher_cannot_move_the_cursor() {
        assert_eq!(PLAIN.payload(b"a\x1b[2Jb\n\tc\x07"), "a\\u001b[2Jb\n\tc\\u0007");
        assert_eq!(PLAIN.payload("{\"a\":\"\u{9b}2J\"}".as_bytes()), "{\n  \"a\": \"\\u009b2J\"\n}");
        assert_eq!(PLAIN.topic("a\u{1b}"), "a\\u001b");
    }

    #[test]
    fn what_is_neither_json_nor_text_is_shown_as_digits() {
        assert_eq!(PLAIN.payload(&[0xFF, 0]), "2 bytes: ff00");
        assert_eq!(PLAIN.payload(b"{not json"), "{not json");
        assert_eq!(PLAIN.payload(b""), "");
    }
}
