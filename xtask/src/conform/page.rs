//! `docs/conformance.md`: every statement with what proves and obeys it, and how longwire and Mosquitto did.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

use longwire_conformance::spec::{Family, Side};
use longwire_conformance::{Outcome, Performance, Report, Version, faults};

use super::coverage::{Coverage, Row, State, family_name};
use super::scene_name;
use super::sources::Test;

/// Scenes or tests that one cell names; `cargo xtask conform ID` tells the rest.
const NAMES_MAX: usize = 3;
const FAMILIES: [Family; 4] = [Family::V5, Family::V311, Family::Unnumbered, Family::HardCase];

/// How everything went.
pub(super) struct Results<'a> {
    pub(super) ours: &'a Report,
    pub(super) theirs: Option<&'a Report>,
    /// Tests of the client by their names as the test runner prints them.
    pub(super) tests: &'a HashMap<String, bool>,
}

/// The whole page.
pub(super) fn write(coverage: &Coverage, results: &Results<'_>) -> String {
    let mut page = String::from(HEAD);
    counts(&mut page, coverage, results);
    for family in FAMILIES {
        statements(&mut page, coverage, results, family);
    }
    unproven(&mut page, coverage);
    faults_seen(&mut page);
    if let Some(theirs) = results.theirs {
        mosquitto(&mut page, theirs);
    }
    page
}

const HEAD: &str = "\
# Conformance

<!-- Written by `cargo xtask conform`. Change the scenes, tests and comments that it collects, not this file. -->

Both standards number what they require: 141 statements in MQTT 3.1.1, 251 in 5.0. Beside them stand 73 rules that
carry no number but that a peer can break, and 177 hard cases, behaviours that brokers and clients are known to get
wrong. This page says for each of them what proves it and which code obeys it.

- What binds a **server** is proven by a scene: a script over raw packets and real sockets, judged from outside, that
  can judge any broker. `longwire-conformance --target mqtt://HOST:PORT` does.
- What binds a **client** is proven by a test of longwire's client, which names the statement in its comment.
- The **code** that obeys a statement quotes it: `[MQTT-3.1.2-20]` is of 5.0, `[MQTT-3.1.2-23 of 3.1.1]` says so.

`cargo xtask conform` plays everything and writes this page; it fails when a statement is missing, unknown, or proven
by nothing. `cargo xtask conform MQTT-3.3.1-5` tells everything about one statement, with lines. Names of scenes are
`file::function` below `conformance/src/scenes/`.
";

fn counts(page: &mut String, coverage: &Coverage, results: &Results<'_>) {
    let _ = write!(
        page,
        "\n## In short\n\n| | statements | proven | untestable | pending |\n|---|---|---|---|---|\n"
    );
    for family in FAMILIES {
        let count = coverage.count(family);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            family_name(family),
            count.all,
            count.proven,
            count.untestable,
            count.pending
        );
    }
    let _ = write!(
        page,
        "\n*Pending* means that a part of longwire which is not there yet has to come first.\n\n"
    );
    let _ =
        writeln!(page, "| broker | scenes played | passed | failed | did not apply |\n|---|---|---|---|---|");
    score(page, "longwire", results.ours);
    if let Some(theirs) = results.theirs {
        score(page, "Mosquitto, judged leniently", theirs);
    }
    let failed = results.tests.values().filter(|passed| !**passed).count();
    let _ = writeln!(page, "\nTests of the client's side: {} ran, {failed} failed.", results.tests.len());
}

fn score(page: &mut String, name: &str, report: &Report) {
    let count =
        |wanted: fn(&Outcome) -> bool| report.performances.iter().filter(|p| wanted(&p.outcome)).count();
    let _ = writeln!(
        page,
        "| {name} | {} | {} | {} | {} |",
        report.performances.len(),
        count(|outcome| *outcome == Outcome::Passed),
        report.failures().count() + report.not_played().count(),
        count(|outcome| matches!(outcome, Outcome::NotApplicable { .. })),
    );
}

fn statements(page: &mut String, coverage: &Coverage, results: &Results<'_>, family: Family) {
    let title = match family {
        Family::V5 => "MQTT 5.0",
        Family::V311 => "MQTT 3.1.1",
        Family::Unnumbered => "Rules without a number",
        Family::HardCase => "Hard cases",
    };
    let _ = write!(page, "\n## {title}\n\n");
    page.push_str("| id | it says | scenes | tests of the client | code | longwire | Mosquitto |\n");
    page.push_str("|---|---|---|---|---|---|---|\n");
    for row in coverage.rows.iter().filter(|row| row.statement.family == family) {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.statement.id,
            escaped(row.statement.requirement),
            scenes(row),
            tests(row),
            code(row),
            ours(row, results),
            results.theirs.map_or_else(|| "not run".to_owned(), |report| judged(row, report)),
        );
    }
}

fn scenes(row: &Row) -> String {
    let names: BTreeSet<&str> = row.scenes.iter().map(|(name, _)| name.as_str()).collect();
    named(names.into_iter().map(|name| format!("`{name}`")).collect())
}

fn tests(row: &Row) -> String {
    let link = |test: &Test| format!("[`{}`](../{})", test.name, test.place.file.display());
    named(row.tests.iter().map(link).collect())
}

fn code(row: &Row) -> String {
    let files: BTreeSet<String> = row.code.iter().map(|place| place.file.display().to_string()).collect();
    let link = |file: String| {
        let name = file.trim_start_matches("crates/").replace("/src/", "/");
        format!("[`{name}`](../{file})")
    };
    named(files.into_iter().map(link).collect())
}

/// The first few, and how many more there are.
fn named(names: Vec<String>) -> String {
    let more = names.len().saturating_sub(NAMES_MAX);
    let mut cell = names.into_iter().take(NAMES_MAX).collect::<Vec<_>>().join("<br>");
    if more > 0 {
        let _ = write!(cell, "<br>and {more} more");
    }
    cell
}

/// Our broker and our client together.
fn ours(row: &Row, results: &Results<'_>) -> String {
    let mut words = Vec::new();
    if !row.scenes.is_empty() {
        words.push(judged(row, results.ours));
    }
    if !row.tests.is_empty() {
        let failed = row.tests.iter().filter(|test| !has_passed(test, results.tests)).count();
        if failed > 0 {
            words.push(format!("client fails {failed} of {}", row.tests.len()));
        } else if row.scenes.is_empty() {
            words.push("passes".to_owned());
        }
    }
    words.extend(row.unproven.iter().map(|unproven| match unproven.state {
        State::Untestable => "untestable".to_owned(),
        State::Pending => "pending".to_owned(),
    }));
    words.join(", ")
}

fn has_passed(test: &Test, outcomes: &HashMap<String, bool>) -> bool {
    let is_it = |name: &str| name.rsplit("::").next() == Some(test.name.as_str());
    let mut runs = outcomes.iter().filter(|(name, _)| is_it(name)).map(|(_, passed)| *passed).peekable();
    runs.peek().is_some() && runs.all(|passed| passed)
}

/// How a broker did in the scenes of a statement.
fn judged(row: &Row, report: &Report) -> String {
    let mut of_row = report.performances.iter().filter(|played| proves(row, played)).peekable();
    if of_row.peek().is_none() {
        return String::new();
    }
    let (mut passed, mut failed) = (0, 0);
    for performance in of_row {
        match performance.outcome {
            Outcome::Passed => passed += 1,
            Outcome::NotApplicable { .. } => {}
            Outcome::Failed { .. } | Outcome::NotPlayed { .. } => failed += 1,
        }
    }
    match (passed, failed) {
        (0, 0) => "does not apply".to_owned(),
        (_, 0) => "passes".to_owned(),
        (0, _) => "differs".to_owned(),
        (passed, failed) => format!("differs in {failed} of {}", passed + failed),
    }
}

fn proves(row: &Row, performance: &Performance) -> bool {
    row.scenes.iter().any(|(name, version)| *name == performance.name && *version == performance.version)
}

fn unproven(page: &mut String, coverage: &Coverage) {
    for (state, title) in
        [(State::Untestable, "Untestable, and why"), (State::Pending, "Pending, and on what")]
    {
        let _ = write!(page, "\n## {title}\n\n| id | of | side | why |\n|---|---|---|---|\n");
        for row in &coverage.rows {
            for unproven in row.unproven.iter().filter(|unproven| unproven.state == state) {
                let side = if unproven.side == Side::Client { "client" } else { "server" };
                let of = family_name(row.statement.family);
                let _ =
                    writeln!(page, "| {} | {of} | {side} | {} |", row.statement.id, escaped(unproven.why));
            }
        }
    }
}

fn faults_seen(page: &mut String) {
    page.push_str(FAULTS);
    page.push_str("| fault | it | breaks in 5.0 | in 3.1.1 |\n|---|---|---|---|\n");
    for fault in faults() {
        let broken = |version| named(fault.breaks(version).into_iter().collect());
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            fault.name,
            escaped(fault.says),
            broken(Version::V5),
            broken(Version::V311)
        );
    }
}

const FAULTS: &str = "
## Does the suite see?

A suite that passes everything proves nothing. So a proxy breaks a good broker in one way at a time, and for each
statement that is broken by it a scene that names it has to fail. These are the ways; `conformance/tests/faults.rs` plays
them with every test run.

";

fn mosquitto(page: &mut String, report: &Report) {
    page.push_str(MOSQUITTO);
    page.push_str("| scene | it names | expected | came |\n|---|---|---|---|\n");
    let (packets, scenes): (Vec<_>, Vec<_>) =
        report.failures().partition(|performance| performance.name.starts_with(MALFORMED));
    for performance in scenes {
        let Outcome::Failed { expected, came } = &performance.outcome else { continue };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            scene(&performance.name, performance.version),
            performance.proves.join(" "),
            escaped(&shortened(expected)),
            escaped(&shortened(came))
        );
    }
    let mut tables: BTreeMap<&str, Vec<&Performance>> = BTreeMap::new();
    for performance in packets {
        let table = performance.name.rsplit_once("::").map_or(MALFORMED, |(table, _)| table);
        tables.entry(table).or_default().push(performance);
    }
    page.push_str(
        "\nOf the malformed and borderline packets, each a scene of its own, these are taken otherwise:\n\n",
    );
    page.push_str("| packets | how many | for example |\n|---|---|---|\n");
    for (table, failed) in tables {
        let examples =
            failed.iter().map(|performance| scene(&performance.name, performance.version)).collect();
        let _ = writeln!(page, "| `{table}` | {} | {} |", failed.len(), named(examples));
    }
}

/// Scenes that are one packet each, thousands of them.
const MALFORMED: &str = "malformed::";

const MOSQUITTO: &str = "
## The same scenes against Mosquitto

Mosquitto is the broker that most people know and the one whose letters our tools borrow. The version is that of Debian
12, 2.0.11 of 2021, with its default settings, and newer ones have mended some of what follows. It is judged *leniently*:
where the standard leaves room, or other reactions than ours are commonly seen (a bare close, a neighbouring reason
code), those are accepted too. What remains are differences from the letter of the standards or from the hard cases.
Many of them will never trouble anybody; they are listed because the runner found them, not as a verdict.

";

fn scene(name: &str, version: Version) -> String {
    format!("`{}`", scene_name(name, version))
}

/// A cell of a table must not hold a bar or the end of a line.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ").replace('<', "&lt;").replace('*', "\\*")
}

fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 160;
    if text.chars().count() <= CHARACTERS_MAX {
        return text.to_owned();
    }
    text.chars().take(CHARACTERS_MAX).chain(['…']).collect()
}
