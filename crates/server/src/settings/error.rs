//! Why settings were refused. It is always the operator who must act, so there is one kind: a sentence with the
//! cause and the remedy, and, if it came from a file, the place.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// What is wrong with the settings and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    message: String,
    /// Path, line and column.
    place: Option<String>,
    /// The line with the mistake underlined.
    excerpt: Option<String>,
}

impl SettingsError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        SettingsError { message: message.into(), place: None, excerpt: None }
    }

    /// Adds where in `text`, the content of the file at `path`, the mistake is.
    pub(crate) fn at(mut self, path: &Path, text: &str, span: Range<usize>) -> Self {
        let spot = Spot::find(text, span);
        self.place = Some(format!("{}:{}:{}", path.display(), spot.line, spot.column));
        self.excerpt = Some(spot.excerpt());
        self
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(out, "{place}: ")?;
        }
        out.write_str(&self.message)?;
        if let Some(excerpt) = &self.excerpt {
            write!(out, "\n{excerpt}")?;
        }
        Ok(())
    }
}

impl Error for SettingsError {}

/// Number of the line that holds the byte at `offset`, counted from 1.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// A stretch of one line of a file.
struct Spot<'a> {
    line: usize,
    column: usize,
    letters: usize,
    content: &'a str,
}

impl<'a> Spot<'a> {
    fn find(text: &'a str, span: Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start);
        let end = text.floor_char_boundary(span.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let content = text[line_start..].lines().next().unwrap_or_default();
        let line_end = line_start + content.len();
        Spot {
            line: line_at(text, start),
            column: text[line_start..start].chars().count() + 1,
            letters: text[start.min(line_end)..end.min(line_end)].chars().count().max(1),
            content,
        }
    }

    fn excerpt(&self) -> String {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let indent: String = self
            .content
            .chars()
            .take(self.column - 1)
            .map(|letter| if letter == '\t' { '\t' } else { ' ' })
            .collect();
        let carets = "^".repeat(self.letters);
        format!("{margin} |\n{number} | {}\n{margin} | {indent}{carets}", self.content)
    }
}
