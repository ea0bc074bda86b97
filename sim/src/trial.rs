//! One history, told to its end or to its failure. A failure is a panic, of a check or of the broker itself.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::history::History;
use crate::plan::Plan;

/// What is wrong with a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The promise that was broken, and where that was noticed.
    pub what: String,
    /// Decisions that had been carried out by then.
    pub steps: usize,
    /// What happened, line by line; empty if that was not asked for.
    pub story: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.story {
            writeln!(f, "{line}")?;
        }
        write!(f, "{}", self.what)
    }
}

thread_local! {
    /// Panics of this thread belong to histories.
    static IS_TRIAL: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Tells a history.
///
/// # Errors
/// What is wrong with it, with its story if `is_told`.
pub fn run(plan: &Plan, is_told: bool) -> Result<(), Failure> {
    let mut history = History::new(plan, is_told);
    quietly(|| history.run()).map_err(|what| Failure {
        what,
        steps: history.steps(),
        story: history.story().to_vec(),
    })
}

/// Tells the history of a seed to its end, whatever comes, and gives its lines.
pub fn story(plan: &Plan) -> Vec<String> {
    let mut history = History::new(plan, true);
    let result = quietly(|| history.run());
    let mut lines = history.story().to_vec();
    lines.extend(result.err());
    lines
}

/// Runs something whose panics are outcomes: the message instead of a report on standard error.
fn quietly(run: impl FnOnce()) -> Result<(), String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| if IS_TRIAL.get() { note(info) } else { others(info) }));
    });
    IS_TRIAL.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    IS_TRIAL.set(false);
    result.map_err(|_| LAST_PANIC.take())
}

fn note(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a panic without words");
    let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
    LAST_PANIC.set(format!("{message}{}", place.unwrap_or_default()));
}
