//! Every statement beside what proves and obeys it, and what is still missing.
//!
//! A statement that binds a server is proven by a scene, one that binds a client by a test of the client's side, one
//! that binds both by both, and a hard case by either. What cannot be proven, or not yet, is listed with its reason in
//! `conformance/unproven.tsv`.

use std::collections::HashMap;
use std::fmt::{self, Write};

use longwire_conformance::spec::{Family, Side, Statement, family_of, statements};
use longwire_conformance::{Settings, Version, catalogue};

use super::scene_name;
use super::sources::{Key, Place, Sources, Test};

const UNPROVEN: &str = include_str!("../../../conformance/unproven.tsv");

/// Statements about servers that may be listed as untestable, at most.
const UNTESTABLE_MAX: usize = 15;

/// All statements.
pub(super) struct Coverage {
    /// In the order of the tables.
    pub(super) rows: Vec<Row>,
    problems: Vec<String>,
}

/// One statement.
pub(super) struct Row {
    pub(super) statement: Statement,
    /// Scenes that prove it, each in one version.
    pub(super) scenes: Vec<(String, Version)>,
    /// Tests of the client's side that prove it.
    pub(super) tests: Vec<Test>,
    /// Code that quotes it.
    pub(super) code: Vec<Place>,
    /// Why a proof is missing.
    pub(super) unproven: Vec<Unproven>,
}

/// A line of `unproven.tsv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unproven {
    /// Whose half is not proven.
    pub(super) side: Side,
    pub(super) state: State,
    pub(super) why: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing that comes over the wire could show it.
    Untestable,
    /// It waits for a part of longwire that is not there yet.
    Pending,
}

impl Coverage {
    /// Brings the tables, the scenes and the sources together.
    ///
    /// # Errors
    /// When `unproven.tsv` cannot be read.
    pub(super) fn new(sources: &Sources) -> Result<Coverage, String> {
        let rows = statements().into_iter().map(Row::new).collect();
        let mut coverage = Coverage { rows, problems: Vec::new() };
        let places: HashMap<Key, usize> = coverage
            .rows
            .iter()
            .enumerate()
            .map(|(at, row)| ((row.statement.family, row.statement.id.to_owned()), at))
            .collect();
        coverage.add_scenes(&places);
        coverage.add_sources(&places, sources);
        coverage.add_unproven(&places)?;
        coverage.look_for_gaps();
        Ok(coverage)
    }

    /// What is missing or wrong, in words.
    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Counts, in a line for each family.
    pub(super) fn summary(&self) -> String {
        let families = [Family::V5, Family::V311, Family::Unnumbered, Family::HardCase];
        let lines: Vec<String> = families.iter().map(|&family| self.count(family).to_string()).collect();
        format!("{}\n{} problems", lines.join("\n"), self.problems.len())
    }

    /// How many statements of a family are proven.
    pub(super) fn count(&self, family: Family) -> Count {
        let mut count = Count { family, all: 0, proven: 0, untestable: 0, pending: 0 };
        for row in self.rows.iter().filter(|row| row.statement.family == family) {
            count.all += 1;
            match row.unproven.first().map(|unproven| unproven.state) {
                None => count.proven += usize::from(row.gaps().is_empty()),
                Some(State::Untestable) => count.untestable += 1,
                Some(State::Pending) => count.pending += 1,
            }
        }
        count
    }

    /// Everything known about the statements of this id, for a terminal; nothing if there is none.
    pub(super) fn tell(&self, id: &str) -> String {
        let rows = self.rows.iter().filter(|row| row.statement.id == id);
        rows.map(ToString::to_string).collect()
    }

    fn add_scenes(&mut self, places: &HashMap<Key, usize>) {
        let nowhere = Settings::new(std::net::SocketAddr::from(([127, 0, 0, 1], 1883)));
        for (name, version, proves) in catalogue(&nowhere) {
            for id in proves {
                match places.get(&(family_of(&id, version), id.clone())) {
                    Some(&at) => self.rows[at].scenes.push((name.clone(), version)),
                    None => self.problems.push(format!("the scene {name} names {id}, which does not exist")),
                }
            }
        }
    }

    fn add_sources(&mut self, places: &HashMap<Key, usize>, sources: &Sources) {
        for test in &sources.tests {
            for key in &test.proves {
                match places.get(key) {
                    Some(&at) => self.rows[at].tests.push(test.clone()),
                    None => self.problems.push(unknown(key, &test.place)),
                }
            }
        }
        for (key, place) in &sources.quotes {
            match places.get(key) {
                Some(&at) => self.rows[at].code.push(place.clone()),
                None => self.problems.push(unknown(key, place)),
            }
        }
    }

    fn add_unproven(&mut self, places: &HashMap<Key, usize>) -> Result<(), String> {
        for line in UNPROVEN.lines().skip(1) {
            let ((family, id), unproven) = Unproven::parse(line)
                .ok_or_else(|| format!("unproven.tsv: cannot read the line {line:?}"))?;
            match places.get(&(family, id.to_owned())) {
                Some(&at) => self.rows[at].unproven.push(unproven),
                None => self.problems.push(format!("unproven.tsv names {id}, which does not exist")),
            }
        }
        Ok(())
    }

    fn look_for_gaps(&mut self) {
        let gaps = self.rows.iter().flat_map(|row| row.gaps().into_iter().map(move |gap| row.named(gap)));
        let found: Vec<String> = gaps.collect();
        self.problems.extend(found);
        let untestable = self.rows.iter().flat_map(|row| &row.unproven);
        let untestable = untestable
            .filter(|unproven| unproven.state == State::Untestable && unproven.side == Side::Server)
            .count();
        if untestable > UNTESTABLE_MAX {
            let problem = format!(
                "{untestable} statements about servers are listed as untestable, more than {UNTESTABLE_MAX}"
            );
            self.problems.push(problem);
        }
    }
}

fn unknown((_, id): &Key, place: &Place) -> String {
    format!("{}:{} names {id}, which does not exist", place.file.display(), place.line)
}

impl Row {
    fn new(statement: Statement) -> Self {
        Row { statement, scenes: Vec::new(), tests: Vec::new(), code: Vec::new(), unproven: Vec::new() }
    }

    /// What is missing and not explained.
    fn gaps(&self) -> Vec<&'static str> {
        let mut gaps = Vec::new();
        let side = self.statement.side;
        let is_explained = |side| self.unproven.iter().any(|unproven| unproven.side == side);
        if matches!(side, Side::Server | Side::Both) && self.scenes.is_empty() && !is_explained(Side::Server)
        {
            gaps.push("no scene proves it");
        }
        if matches!(side, Side::Client | Side::Both) && self.tests.is_empty() && !is_explained(Side::Client) {
            gaps.push("no test of the client proves it");
        }
        if side == Side::Either && self.scenes.is_empty() && self.tests.is_empty() && self.unproven.is_empty()
        {
            gaps.push("neither a scene nor a test of the client proves it");
        }
        let is_numbered = matches!(self.statement.family, Family::V5 | Family::V311);
        if is_numbered && self.code.is_empty() && self.unproven.is_empty() {
            gaps.push("no code quotes it");
        }
        let is_proven = |unproven: &&Unproven| match unproven.side {
            Side::Client => !self.tests.is_empty(),
            _ => !self.scenes.is_empty(),
        };
        let untestable = self.unproven.iter().filter(|unproven| unproven.state == State::Untestable);
        if untestable.filter(is_proven).count() > 0 {
            gaps.push("it is listed as untestable, and proven all the same");
        }
        gaps
    }

    fn named(&self, gap: &str) -> String {
        format!("{} ({}): {gap}", self.statement.id, family_name(self.statement.family))
    }
}

/// For a terminal: what it says, and where it is proven and obeyed.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Statement { family, id, requirement, .. } = &self.statement;
        writeln!(f, "{id} ({}): {requirement}", family_name(*family))?;
        for (name, version) in &self.scenes {
            writeln!(f, "  scene  {}", scene_name(name, *version))?;
        }
        for test in &self.tests {
            writeln!(f, "  test   {}:{} {}", test.place.file.display(), test.place.line, test.name)?;
        }
        for place in &self.code {
            writeln!(f, "  code   {}:{}", place.file.display(), place.line)?;
        }
        for unproven in &self.unproven {
            writeln!(f, "  {unproven}")?;
        }
        Ok(())
    }
}

impl Unproven {
    /// `family, id, side, state, why`.
    fn parse(line: &'static str) -> Option<((Family, &'static str), Unproven)> {
        let cells: Vec<&str> = line.split('\t').collect();
        let [family, id, side, state, why] = cells[..] else { return None };
        let family = match family {
            "5.0" => Family::V5,
            "3.1.1" => Family::V311,
            "rule" => Family::Unnumbered,
            "case" => Family::HardCase,
            _ => return None,
        };
        let side = match side {
            "server" => Side::Server,
            "client" => Side::Client,
            _ => return None,
        };
        let state = match state {
            "untestable" => State::Untestable,
            "pending" => State::Pending,
            _ => return None,
        };
        Some(((family, id), Unproven { side, state, why }))
    }
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Untestable => "untestable",
            State::Pending => "pending",
        };
        let side = if self.side == Side::Client { " (client)" } else { "" };
        write!(f, "{state}{side}: {}", self.why)
    }
}

/// How many statements there are, and what is known of them.
pub(super) struct Count {
    pub(super) family: Family,
    pub(super) all: usize,
    /// Completely.
    pub(super) proven: usize,
    pub(super) untestable: usize,
    /// At least in part.
    pub(super) pending: usize,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}: {} of {} proven", family_name(self.family), self.proven, self.all);
        if self.untestable > 0 {
            let _ = write!(text, ", {} untestable", self.untestable);
        }
        if self.pending > 0 {
            let _ = write!(text, ", {} pending", self.pending);
        }
        f.write_str(&text)
    }
}

/// A family as people call it.
pub(super) fn family_name(family: Family) -> &'static str {
    match family {
        Family::V5 => "5.0",
        Family::V311 => "3.1.1",
        Family::Unnumbered => "rules without a number",
        Family::HardCase => "hard cases",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::root;

    /// The promise of this project: every statement of both standards has a test that names it.
    #[test]
    fn every_statement_is_proven_and_obeyed_or_its_absence_is_explained() {
        let sources = Sources::read(root()).expect("the sources can be read");
        let coverage = Coverage::new(&sources).expect("the list of what is unproven can be read");
        assert!(coverage.problems().is_empty(), "\n{}", coverage.problems().join("\n"));
    }

    #[test]
    fn a_statement_for_both_needs_a_scene_and_a_test() {
        let statement =
            Statement { family: Family::V5, id: "MQTT-1.1.1-1", side: Side::Both, requirement: "x" };
        let mut row = Row::new(statement);
        assert_eq!(
            row.gaps(),
            ["no scene proves it", "no test of the client proves it", "no code quotes it"]
        );
        row.scenes.push(("a::b".into(), Version::V5));
        let why = "there is nothing to see";
        row.unproven.push(Unproven { side: Side::Client, state: State::Untestable, why });
        assert!(row.gaps().is_empty());
        row.unproven[0].side = Side::Server;
        assert!(row.gaps().contains(&"it is listed as untestable, and proven all the same"));
    }
}
