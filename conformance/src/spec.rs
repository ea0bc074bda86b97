//! What the standards say, as data: the tables of `conformance/spec`, which everything else here refers to by id.
//!
//! An id alone does not name a numbered statement, because both standards number theirs alike: `MQTT-3.1.2-20` is
//! about passwords in 3.1.1 and about keep-alive in 5.0. So a [`Statement`] always knows its [`Family`].

use longwire_proto::Version;

const STATEMENTS_3_1_1: &str = include_str!("../spec/mqtt-3.1.1.tsv");
const STATEMENTS_5_0: &str = include_str!("../spec/mqtt-5.0.tsv");
const UNNUMBERED: &str = include_str!("../spec/unnumbered.tsv");
const HARD_CASES: &str = include_str!("../spec/hard-cases.md");

/// Where a statement comes from, in the order in which reports list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// A numbered statement of MQTT 5.0.
    V5,
    /// A numbered statement of MQTT 3.1.1.
    V311,
    /// A rule in the text of either standard that carries no number: `U3-01`, `U5-31`.
    Unnumbered,
    /// A behaviour that brokers and clients get wrong: `A07`.
    HardCase,
}

impl Family {
    /// The family of the numbered statements of this version.
    pub fn of(version: Version) -> Self {
        if version == Version::V5 { Family::V5 } else { Family::V311 }
    }
}

/// Whom a statement binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The server.
    Server,
    /// The client.
    Client,
    /// Whoever of the two sends or receives.
    Both,
    /// A hard case, which does not say.
    Either,
}

/// One row of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Where it comes from.
    pub family: Family,
    /// Its id, unique in its family.
    pub id: &'static str,
    /// Whom it binds.
    pub side: Side,
    /// What it says, in one sentence.
    pub requirement: &'static str,
}

/// Every statement: both standards, the rules without a number, the hard cases.
pub fn statements() -> Vec<Statement> {
    let mut all: Vec<Statement> = rows(Family::V5, STATEMENTS_5_0).collect();
    all.extend(rows(Family::V311, STATEMENTS_3_1_1));
    all.extend(rows(Family::Unnumbered, UNNUMBERED));
    all.extend(HARD_CASES.lines().filter_map(hard_case));
    all
}

/// The family of an id as a scene quotes it while it plays in `version`.
pub fn family_of(id: &str, version: Version) -> Family {
    match id.as_bytes().first() {
        Some(b'M') => Family::of(version),
        Some(b'U') => Family::Unnumbered,
        _ => Family::HardCase,
    }
}

/// Rows of `id, side, section, requirement, …`.
fn rows(family: Family, table: &'static str) -> impl Iterator<Item = Statement> {
    table.lines().skip(1).filter_map(move |row| {
        let mut cells = row.split('\t');
        let (id, side, _, requirement) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
        let side = match side {
            "server" => Side::Server,
            "client" => Side::Client,
            _ => Side::Both,
        };
        Some(Statement { family, id, side, requirement })
    })
}

/// `* **A07 title.** Given …`, with a `P` behind the id where the case is also about a restart of the broker.
fn hard_case(line: &'static str) -> Option<Statement> {
    let (id, rest) = line.strip_prefix("* **")?.split_at_checked(3)?;
    let (title, _) = rest.trim_start().split_once("**")?;
    let requirement = title.strip_prefix("P ").unwrap_or(title).trim_end_matches([':', '.']);
    Some(Statement { family: Family::HardCase, id, side: Side::Either, requirement })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tables_have_as_many_rows_as_the_standards_have_statements() {
        let all = statements();
        let count = |family| all.iter().filter(|statement| statement.family == family).count();
        assert_eq!(
            [Family::V5, Family::V311, Family::Unnumbered, Family::HardCase].map(count),
            [251, 141, 73, 177]
        );
    }

    #[test]
    fn an_id_is_unique_in_its_family() {
        let all = statements();
        let ids: BTreeSet<(Family, &str)> =
            all.iter().map(|statement| (statement.family, statement.id)).collect();
        assert_eq!(ids.len(), all.len());
    }

    #[test]
    fn a_hard_case_is_told_by_its_title() {
        let case = hard_case("* **A02 P QoS 2 dedup over a resume.** Given id 7.").expect("a case");
        assert_eq!((case.id, case.requirement), ("A02", "QoS 2 dedup over a resume"));
    }
}
