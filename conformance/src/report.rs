//! How the scenes went, as text for people and as JSON for programs.

use std::fmt::{self, Write};
use std::time::Duration;

use longwire_proto::Version;

/// The end of one scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The broker did all that was expected.
    Passed,
    /// The broker did something else.
    Failed {
        /// What the scene waited for.
        expected: String,
        /// What came.
        came: String,
    },
    /// The broker announced that it does not do this.
    NotApplicable {
        /// What it announced.
        why: String,
    },
    /// The broker could not be reached any more.
    NotPlayed {
        /// What happened to the connection.
        why: String,
    },
}

/// One scene played in one version.
#[derive(Clone, Debug)]
pub struct Performance {
    /// `file::function`.
    pub name: String,
    /// The version it was played in.
    pub version: Version,
    /// Hard cases and statements that it proves.
    pub proves: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub elapsed: Duration,
    /// The last packets, oldest first.
    pub transcript: Vec<String>,
}

/// All scenes of one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Address of the broker.
    pub target: String,
    /// Sorted by name and version.
    pub performances: Vec<Performance>,
    /// Wall time of the run.
    pub elapsed: Duration,
}

impl Report {
    /// Scenes in which the broker did something else than expected.
    pub fn failures(&self) -> impl Iterator<Item = &Performance> {
        self.performances.iter().filter(|performance| performance.failed())
    }

    /// Scenes that could not be played, because the broker could not be reached any more.
    pub fn not_played(&self) -> impl Iterator<Item = &Performance> {
        let lost = |performance: &&Performance| matches!(performance.outcome, Outcome::NotPlayed { .. });
        self.performances.iter().filter(lost)
    }

    /// The whole report as JSON.
    pub fn to_json(&self) -> String {
        let scenes: Vec<String> = self.performances.iter().map(Performance::to_json).collect();
        format!(
            "{{\"target\":{},\"millis\":{},\"scenes\":[\n{}\n]}}\n",
            quoted(&self.target),
            self.elapsed.as_millis(),
            scenes.join(",\n")
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count =
            |wanted: fn(&Outcome) -> bool| self.performances.iter().filter(|p| wanted(&p.outcome)).count();
        write!(
            f,
            "{} scenes: {} passed, {} failed, {} not applicable, in {:.1} s",
            self.performances.len(),
            count(|outcome| *outcome == Outcome::Passed),
            self.failures().count(),
            count(|outcome| matches!(outcome, Outcome::NotApplicable { .. })),
            self.elapsed.as_secs_f64()
        )?;
        match self.not_played().count() {
            0 => Ok(()),
            lost => write!(f, "; {lost} could not be played, because {} went away", self.target),
        }
    }
}

impl Performance {
    /// Whether the broker did something else than expected.
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }

    fn to_json(&self) -> String {
        let ids: Vec<String> = self.proves.iter().map(|id| quoted(id)).collect();
        let outcome = match &self.outcome {
            Outcome::Passed => "\"passed\"".to_owned(),
            Outcome::NotApplicable { why } => format!("\"not applicable\",\"why\":{}", quoted(why)),
            Outcome::NotPlayed { why } => format!("\"not played\",\"why\":{}", quoted(why)),
            Outcome::Failed { expected, came } => {
                let lines: Vec<String> = self.transcript.iter().map(|line| quoted(line)).collect();
                let (expected, came, lines) = (quoted(expected), quoted(came), lines.join(","));
                format!("\"failed\",\"expected\":{expected},\"came\":{came},\"transcript\":[{lines}]")
            }
        };
        format!(
            "{{\"name\":{},\"version\":{},\"proves\":[{}],\"millis\":{},\"outcome\":{outcome}}}",
            quoted(&self.name),
            quoted(version_name(self.version)),
            ids.join(","),
            self.elapsed.as_millis()
        )
    }
}

/// One line, and for a failure what was sent, what was expected and what came.
impl fmt::Display for Performance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed { .. } => "FAILED",
            Outcome::NotApplicable { .. } => "n/a   ",
            Outcome::NotPlayed { .. } => "LOST  ",
        };
        let (version, ids) = (version_name(self.version), self.proves.join(" "));
        write!(f, "{word} {version:5} {} [{ids}] {} ms", self.name, self.elapsed.as_millis())?;
        match &self.outcome {
            Outcome::Passed => Ok(()),
            Outcome::NotApplicable { why } | Outcome::NotPlayed { why } => write!(f, "\n    {why}"),
            Outcome::Failed { expected, came } => {
                for line in &self.transcript {
                    write!(f, "\n    {line}")?;
                }
                write!(f, "\n  expected {expected}\n  came     {came}")
            }
        }
    }
}

/// `3.1`, `3.1.1` or `5.0`.
pub fn version_name(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    }
}

fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            control if control.is_control() => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_escapes_quotes_and_control_characters() {
        assert_eq!(quoted("a\"b\\c\n\u{1}"), "\"a\\\"b\\\\c\\n\\u0001\"");
    }

    #[test]
    fn a_failure_shows_what_was_sent_expected_and_came() {
        let performance = Performance {
            name: "qos::x".into(),
            version: Version::V5,
            proves: vec!["A01".into()],
            outcome: Outcome::Failed { expected: "PUBREC".into(), came: "nothing".into() },
            elapsed: Duration::from_millis(5),
            transcript: vec!["pub -> PUBLISH".into()],
        };
        let text = performance.to_string();
        for part in ["FAILED 5.0", "qos::x", "A01", "pub -> PUBLISH", "expected PUBREC", "came     nothing"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
