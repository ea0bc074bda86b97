//! Malformed, forbidden and borderline packets, one scene each: a row of bytes made by hand, and what must answer it.
//! Hard cases I.
//!
//! The tables are in one file per packet type, and in `header`, `property`, `text` and `sequence` where a rule is
//! common to many. Rows are made from [`crate::craft`] alone, so that codec and tables cannot share a mistake.

mod acknowledgement;
mod answer;
mod auth;
mod carrier;
mod connect;
mod disconnect;
mod header;
mod ping;
mod property;
mod publish;
mod row;
mod sequence;
mod subscribe;
mod text;
mod unsubscribe;

use std::sync::LazyLock;

use longwire_proto::Version;

use super::{Play, Scene};
pub(super) use row::Row;
use row::Table;

/// The rows of all areas.
static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    type Fill = fn(&mut Table);
    let areas: [(&str, Fill); 12] = [
        ("header", header::rows),
        ("connect", connect::rows),
        ("publish", publish::rows),
        ("acknowledgement", acknowledgement::rows),
        ("subscribe", subscribe::rows),
        ("unsubscribe", unsubscribe::rows),
        ("ping", ping::rows),
        ("disconnect", disconnect::rows),
        ("auth", auth::rows),
        ("property", property::rows),
        ("text", text::rows),
        ("sequence", sequence::rows),
    ];
    let tables = areas.into_iter().map(|(area, fill)| {
        let mut table = Table::new(area);
        fill(&mut table);
        table.rows
    });
    tables.flatten().collect()
});

/// A scene for each row.
pub(super) fn scenes() -> impl Iterator<Item = Scene> {
    ROWS.iter().map(|row| Scene {
        path: row.name(),
        cases: row.cases(),
        v311: row.statements(Version::V311),
        v5: row.statements(Version::V5),
        alone: false,
        play: Play::Row(row),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn rows_are_many_and_no_two_send_the_same_packet() {
        for (version, least) in [(Version::V311, 1_000), (Version::V5, 4_000)] {
            let sent =
                || ROWS.iter().filter_map(|row| Some((row.is_first(), row.bytes(version)?, row.name())));
            let mut names = BTreeMap::new();
            let twins =
                sent().filter_map(|(first, bytes, name)| Some((name, names.insert((first, bytes), name)?)));
            assert_eq!(twins.collect::<Vec<_>>(), [], "the same bytes at the same place in {version:?}");
            let packets: BTreeSet<&[u8]> = sent().map(|(_, bytes, _)| bytes).collect();
            assert!(packets.len() >= least, "{} packets in {version:?}", packets.len());
        }
    }
}
