//! Why a scene did not pass: what it expected, and what came instead.

use std::fmt;

/// The result of every step of a scene.
pub(crate) type Check<T = ()> = Result<T, Failure>;

/// Why a scene stopped.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// The broker did something else than the specification says.
    Differs {
        /// What the scene waited for.
        expected: String,
        /// What came.
        came: String,
    },
    /// The scene does not apply to this broker, for a reason that its CONNACK announced.
    NotApplicable(String),
    /// The broker could not be reached.
    Unreachable(String),
}

impl Failure {
    /// The same failure, which says what it was expected for.
    pub(crate) fn about(self, what: impl fmt::Display) -> Self {
        match self {
            Failure::Differs { expected, came } => {
                Failure::Differs { expected: format!("{expected}, for {what}"), came }
            }
            other => other,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Differs { expected, came } => write!(f, "expected {expected}; came {came}"),
            Failure::NotApplicable(why) => write!(f, "not applicable: {why}"),
            Failure::Unreachable(why) => write!(f, "unreachable: {why}"),
        }
    }
}

/// Passes when `holds`; otherwise says what was expected and what came.
pub(crate) fn ensure(holds: bool, expected: impl fmt::Display, came: impl fmt::Display) -> Check {
    if holds {
        return Ok(());
    }
    Err(Failure::Differs { expected: expected.to_string(), came: came.to_string() })
}

/// Passes when both are equal; `what` names the thing compared.
pub(crate) fn same<T: PartialEq + fmt::Debug>(what: &str, came: &T, expected: &T) -> Check {
    ensure(came == expected, format!("{what} {}", short(expected)), short(came))
}

/// The result of a thread of a scene; a panic there is a bug of the scene.
pub(crate) fn joined<T>(result: std::thread::Result<Check<T>>) -> Check<T> {
    result.unwrap_or_else(|_| {
        let (expected, came) = ("a scene without a bug", "a panic in one of its threads");
        Err(Failure::Differs { expected: expected.to_owned(), came: came.to_owned() })
    })
}

fn short(value: &impl fmt::Debug) -> String {
    let text = format!("{value:?}");
    if text.chars().count() <= 400 {
        return text;
    }
    let cut: String = text.chars().take(400).collect();
    format!("{cut}…")
}
