//! The promises of [`Lane`] and [`Table`] as tests. Every implementation, here and in other crates, runs
//! [`check_lane`] or [`check_table`] in its own tests; a promise that is not checked here does not exist.
//!
//! Each promise gets ground of its own from `fresh`, and opens it as often as it likes: opening is a claim, and a
//! second opening stands for the restart after a crash, so only what was durable has to be there.

use std::thread;
use std::time::{Duration, Instant};

use crate::{Block, Expected, Lane, LaneError, Position, Table, TableError};

/// Opens one stored lane; every call claims it anew.
pub type OpenLane = Box<dyn Fn() -> Box<dyn Lane>>;

/// Opens one stored table; every call claims it anew.
pub type OpenTable = Box<dyn Fn() -> Box<dyn Table>>;

/// Checks every promise of [`Lane`]; `fresh` gives ground that was never written to.
///
/// # Panics
/// At the first promise that is broken.
pub fn check_lane(fresh: &mut dyn FnMut() -> OpenLane) {
    let promises = [
        a_new_lane_is_empty,
        positions_count_records_from_one,
        every_position_of_a_block_reads_that_block,
        blocks_of_no_bytes_are_blocks,
        appended_blocks_can_be_read_before_they_are_durable,
        durable_reaches_what_was_committed,
        durable_survives_opening_again,
        what_was_never_committed_may_go_but_leaves_no_hole,
        trim_lets_only_whole_blocks_below_go,
        trim_leaves_what_is_not_durable,
        trimming_everything_makes_room_and_keeps_the_count,
        the_count_goes_on_after_everything_was_trimmed_and_opened_again,
        a_second_opening_fences_the_first_writer,
        a_fenced_writer_changes_nothing,
    ];
    for promise in promises {
        promise(&fresh());
    }
}

/// Checks every promise of [`Table`]; `fresh` gives ground that was never written to.
///
/// # Panics
/// At the first promise that is broken.
pub fn check_table(fresh: &mut dyn FnMut() -> OpenTable) {
    let promises = [
        a_value_put_is_read_back,
        the_last_value_of_a_key_stands,
        a_put_that_expects_something_else_changes_nothing,
        a_delete_that_expects_something_else_changes_nothing,
        deleting_tells_whether_there_was_a_value,
        a_value_put_again_is_not_the_old_one,
        scan_gives_the_keys_of_a_prefix_in_order,
        scan_goes_on_where_the_page_ended,
        committed_rows_survive_opening_again,
        what_was_not_committed_is_gone_together,
        revisions_go_on_after_opening_again,
        keeping_a_copy_changes_nothing,
        a_second_opening_fences_the_first_table,
    ];
    for promise in promises {
        promise(&fresh());
    }
}

fn a_new_lane_is_empty(open: &OpenLane) {
    let lane = open();
    assert_eq!((lane.first(), lane.next(), lane.durable(), lane.bytes()), (1, 1, 0, 0));
    assert_eq!(lane.read(0).unwrap(), None);
    assert_eq!(lane.read(1).unwrap(), None);
}

fn positions_count_records_from_one(open: &OpenLane) {
    let mut lane = open();
    assert_eq!(lane.append(b"a", 1).unwrap(), 1);
    assert_eq!(lane.append(b"bc", 2).unwrap(), 2);
    assert_eq!(lane.append(b"d", 1).unwrap(), 4);
    assert_eq!(lane.next(), 5);
}

fn every_position_of_a_block_reads_that_block(open: &OpenLane) {
    let mut lane = open();
    lane.append(b"one", 1).unwrap();
    lane.append(b"two to four", 3).unwrap();
    lane.append(b"five", 1).unwrap();
    assert_eq!(lane.read(1).unwrap(), Some(block(1, 1, b"one")));
    for position in 2..=4 {
        assert_eq!(lane.read(position).unwrap(), Some(block(2, 3, b"two to four")));
    }
    assert_eq!(lane.read(5).unwrap(), Some(block(5, 1, b"five")));
    assert_eq!(lane.read(6).unwrap(), None);
}

fn blocks_of_no_bytes_are_blocks(open: &OpenLane) {
    let mut lane = open();
    lane.append(b"", 2).unwrap();
    lane.append(b"x", 1).unwrap();
    assert_eq!(lane.read(2).unwrap(), Some(block(1, 2, b"")));
    assert_eq!(lane.read(3).unwrap(), Some(block(3, 1, b"x")));
}

fn appended_blocks_can_be_read_before_they_are_durable(open: &OpenLane) {
    let mut lane = open();
    lane.append(b"early", 1).unwrap();
    assert_eq!(lane.durable(), 0);
    assert_eq!(lane.read(1).unwrap(), Some(block(1, 1, b"early")));
}

fn durable_reaches_what_was_committed(open: &OpenLane) {
    let mut lane = open();
    lane.append(b"one, two", 2).unwrap();
    lane.append(b"three", 1).unwrap();
    settle(&mut *lane);
    assert_eq!(lane.durable(), 3);
    lane.append(b"four", 1).unwrap();
    assert_eq!(lane.durable(), 3);
}

fn durable_survives_opening_again(open: &OpenLane) {
    let mut lane = open();
    lane.append(b"one, two", 2).unwrap();
    lane.append(b"three", 1).unwrap();
    settle(&mut *lane);
    drop(lane);
    let lane = open();
    assert_eq!((lane.first(), lane.next(), lane.durable()), (1, 4, 3));
    assert_eq!(lane.read(2).unwrap(), Some(block(1, 2, b"one, two")));
    assert_eq!(lane.read(3).unwrap(), Some(block(3, 1, b"three")));
}

fn what_was_never_committed_may_go_but_leaves_no_hole(open: &OpenLane) {
    let mut lane = open();
    lane.append(b"kept", 1).unwrap();
    settle(&mut *lane);
    lane.append(b"perhaps", 2).unwrap();
    drop(lane);
    let mut lane = open();
    let next = lane.next();
    assert!(next == 2 || next == 4, "part of a block came back: next is {next}");
    assert_eq!(lane.durable() + 1, next, "what came back could still go");
    assert_eq!(lane.append(b"after", 1).unwrap(), next);
    for position in 1..=next {
        assert!(lane.read(position).unwrap().is_some(), "hole at {position}");
    }
}

fn trim_lets_only_whole_blocks_below_go(open: &OpenLane) {
    let mut lane = three_blocks(open);
    lane.trim(5).unwrap();
    assert!(lane.first() <= 4, "a record at or above the mark went");
    for position in 4..=7 {
        assert!(lane.read(position).unwrap().is_some(), "{position} went");
    }
    for position in 1..lane.first() {
        assert_eq!(lane.read(position).unwrap(), None);
    }
    assert_eq!(lane.next(), 8);
}

fn trim_leaves_what_is_not_durable(open: &OpenLane) {
    let mut lane = open();
    lane.append(b"pending", 1).unwrap();
    lane.trim(Position::MAX).unwrap();
    assert_eq!(lane.read(1).unwrap(), Some(block(1, 1, b"pending")));
    settle(&mut *lane);
    assert_eq!(lane.durable(), 1);
}

fn trimming_everything_makes_room_and_keeps_the_count(open: &OpenLane) {
    let mut lane = three_blocks(open);
    let before = lane.bytes();
    assert!(before > 0);
    lane.trim(lane.next()).unwrap();
    assert!(lane.bytes() <= before);
    assert!(lane.first() <= lane.next());
    assert_eq!(lane.append(b"next", 1).unwrap(), 8);
    assert_eq!(lane.read(8).unwrap(), Some(block(8, 1, b"next")));
}

fn the_count_goes_on_after_everything_was_trimmed_and_opened_again(open: &OpenLane) {
    let mut lane = three_blocks(open);
    lane.trim(lane.next()).unwrap();
    drop(lane);
    let mut lane = open();
    assert_eq!((lane.next(), lane.durable()), (8, 7));
    assert_eq!(lane.append(b"next", 1).unwrap(), 8);
}

fn a_second_opening_fences_the_first_writer(open: &OpenLane) {
    let mut older = open();
    older.append(b"before", 1).unwrap();
    settle(&mut *older);
    let mut newer = open();
    fenced(&older.append(b"late", 1));
    fenced(&older.commit());
    fenced(&older.trim(2));
    assert_eq!(newer.append(b"after", 1).unwrap(), 2);
}

fn a_fenced_writer_changes_nothing(open: &OpenLane) {
    let mut older = open();
    older.append(b"before", 1).unwrap();
    settle(&mut *older);
    older.append(b"never committed", 1).unwrap();
    let mut newer = open();
    let next = newer.next();
    fenced(&older.commit());
    fenced(&older.append(b"late", 1));
    assert_eq!(newer.append(b"after", 1).unwrap(), next);
    settle(&mut *newer);
    drop((older, newer));
    let lane = open();
    assert_eq!((lane.first(), lane.next()), (1, next + 1));
    assert_eq!(lane.read(next).unwrap(), Some(block(next, 1, b"after")));
}

fn a_value_put_is_read_back(open: &OpenTable) {
    let mut table = open();
    assert_eq!(table.get(b"key").unwrap(), None);
    let revision = table.put(b"key", b"value", Expected::Nothing).unwrap();
    let value = table.get(b"key").unwrap().unwrap();
    assert_eq!((&*value.bytes, value.revision), (&b"value"[..], revision));
    assert_eq!(table.get(b"ke").unwrap(), None);
}

fn the_last_value_of_a_key_stands(open: &OpenTable) {
    let mut table = open();
    let first = table.put(b"key", b"old", Expected::Anything).unwrap();
    let second = table.put(b"key", b"new", Expected::Revision(first)).unwrap();
    assert!(second > first);
    assert_eq!(&*table.get(b"key").unwrap().unwrap().bytes, b"new");
}

fn a_put_that_expects_something_else_changes_nothing(open: &OpenTable) {
    let mut table = open();
    conflict(table.put(b"key", b"value", Expected::Revision(1)), None);
    let first = table.put(b"key", b"value", Expected::Anything).unwrap();
    conflict(table.put(b"key", b"other", Expected::Nothing), Some(first));
    conflict(table.put(b"key", b"other", Expected::Revision(first + 1)), Some(first));
    let value = table.get(b"key").unwrap().unwrap();
    assert_eq!((&*value.bytes, value.revision), (&b"value"[..], first));
}

fn a_delete_that_expects_something_else_changes_nothing(open: &OpenTable) {
    let mut table = open();
    let first = table.put(b"key", b"value", Expected::Anything).unwrap();
    conflict(table.delete(b"key", Expected::Nothing), Some(first));
    conflict(table.delete(b"key", Expected::Revision(first + 1)), Some(first));
    assert!(table.get(b"key").unwrap().is_some());
}

fn deleting_tells_whether_there_was_a_value(open: &OpenTable) {
    let mut table = open();
    let revision = table.put(b"key", b"value", Expected::Anything).unwrap();
    assert!(table.delete(b"key", Expected::Revision(revision)).unwrap());
    assert!(!table.delete(b"key", Expected::Anything).unwrap());
    assert_eq!(table.get(b"key").unwrap(), None);
}

fn a_value_put_again_is_not_the_old_one(open: &OpenTable) {
    let mut table = open();
    let old = table.put(b"key", b"value", Expected::Anything).unwrap();
    table.delete(b"key", Expected::Anything).unwrap();
    let new = table.put(b"key", b"value", Expected::Nothing).unwrap();
    assert!(new > old);
    conflict(table.put(b"key", b"late", Expected::Revision(old)), Some(new));
}

fn scan_gives_the_keys_of_a_prefix_in_order(open: &OpenTable) {
    let mut table = open();
    for key in ["b", "a/2", "a", "a/", "a/10", "a0", "\u{7f}"] {
        table.put(key.as_bytes(), key.as_bytes(), Expected::Anything).unwrap();
    }
    let page = table.scan(b"a/", None, 10).unwrap();
    let keys: Vec<&[u8]> = page.rows.iter().map(|(key, _)| &**key).collect();
    assert_eq!(keys, [&b"a/"[..], b"a/10", b"a/2"]);
    assert!(page.rows.iter().all(|(key, value)| **key == *value.bytes));
    assert!(!page.more);
    assert_eq!(table.scan(b"", None, 10).unwrap().rows.len(), 7);
    assert_eq!(table.scan(b"", None, usize::MAX).unwrap().rows.len(), 7);
    assert_eq!(table.scan(b"c", None, 10).unwrap().rows.len(), 0);
}

fn scan_goes_on_where_the_page_ended(open: &OpenTable) {
    let mut table = open();
    for key in 0..=10_u8 {
        table.put(&[1, key], &[key], Expected::Anything).unwrap();
    }
    table.put(&[2, 0], &[], Expected::Anything).unwrap();
    let first = table.scan(&[1], None, 6).unwrap();
    assert_eq!((first.rows.len(), first.more), (6, true));
    let second = table.scan(&[1], Some(&first.rows[5].0), 5).unwrap();
    assert_eq!((second.rows.len(), second.more), (5, false));
    assert_eq!(&*second.rows[0].0, &[1, 6]);
    let after_the_last = table.scan(&[1], Some(&second.rows[4].0), 5).unwrap();
    assert_eq!((after_the_last.rows.len(), after_the_last.more), (0, false));
}

fn committed_rows_survive_opening_again(open: &OpenTable) {
    let mut table = open();
    let revision = table.put(b"key", b"value", Expected::Anything).unwrap();
    table.commit().unwrap();
    drop(table);
    let value = open().get(b"key").unwrap().unwrap();
    assert_eq!((&*value.bytes, value.revision), (&b"value"[..], revision));
}

fn what_was_not_committed_is_gone_together(open: &OpenTable) {
    let mut table = open();
    table.put(b"changed", b"old", Expected::Anything).unwrap();
    table.put(b"deleted", b"old", Expected::Anything).unwrap();
    table.commit().unwrap();
    table.put(b"changed", b"new", Expected::Anything).unwrap();
    table.put(b"changed", b"newer", Expected::Anything).unwrap();
    table.delete(b"deleted", Expected::Anything).unwrap();
    table.put(b"added", b"new", Expected::Anything).unwrap();
    drop(table);
    let table = open();
    let changed = table.get(b"changed").unwrap().unwrap();
    let undone = &*changed.bytes == b"old";
    assert!(undone || &*changed.bytes == b"newer", "half of the writes came back");
    assert_eq!(table.get(b"deleted").unwrap().is_some(), undone);
    assert_eq!(table.get(b"added").unwrap().is_none(), undone);
}

fn revisions_go_on_after_opening_again(open: &OpenTable) {
    let mut table = open();
    table.put(b"key", b"value", Expected::Anything).unwrap();
    let last = table.put(b"other", b"value", Expected::Anything).unwrap();
    table.delete(b"other", Expected::Anything).unwrap();
    table.commit().unwrap();
    drop(table);
    assert!(open().put(b"new", b"value", Expected::Nothing).unwrap() > last);
}

fn keeping_a_copy_changes_nothing(open: &OpenTable) {
    let mut table = open();
    let revision = table.put(b"key", b"value", Expected::Anything).unwrap();
    table.commit().unwrap();
    table.put(b"key", b"newer", Expected::Revision(revision)).unwrap();
    table.keep_copy().unwrap();
    assert_eq!(&*table.get(b"key").unwrap().unwrap().bytes, b"newer");
    table.commit().unwrap();
    drop(table);
    assert_eq!(&*open().get(b"key").unwrap().unwrap().bytes, b"newer");
}

fn a_second_opening_fences_the_first_table(open: &OpenTable) {
    let mut older = open();
    older.put(b"key", b"value", Expected::Anything).unwrap();
    older.commit().unwrap();
    let newer = open();
    let late = older.put(b"key", b"late", Expected::Anything);
    assert!(matches!(late, Err(TableError::Fenced)), "{late:?}");
    assert!(matches!(older.delete(b"key", Expected::Anything), Err(TableError::Fenced)));
    assert!(matches!(older.commit(), Err(TableError::Fenced)));
    assert_eq!(&*newer.get(b"key").unwrap().unwrap().bytes, b"value");
}

fn block(first: Position, count: u32, bytes: &[u8]) -> Block {
    Block { first, count, bytes: bytes.into() }
}

/// A lane with durable blocks of 1 to 3, 4 to 6 and 7.
fn three_blocks(open: &OpenLane) -> Box<dyn Lane> {
    let mut lane = open();
    lane.append(b"one to three", 3).unwrap();
    lane.append(b"four to six", 3).unwrap();
    lane.append(b"seven", 1).unwrap();
    settle(&mut *lane);
    lane
}

/// Commits, and waits for implementations that complete later.
fn settle(lane: &mut dyn Lane) {
    lane.commit().unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    while lane.durable() + 1 < lane.next() {
        assert!(Instant::now() < patience, "a commit never completed");
        thread::sleep(Duration::from_millis(1));
    }
}

fn fenced<T: std::fmt::Debug>(result: &Result<T, LaneError>) {
    assert!(matches!(result, Err(LaneError::Fenced)), "{result:?}");
}

fn conflict<T: std::fmt::Debug>(result: Result<T, TableError>, expected: Option<u64>) {
    match result {
        Err(TableError::Conflict { found }) => assert_eq!(found, expected),
        other => panic!("a write that expects something else: {other:?}"),
    }
}
