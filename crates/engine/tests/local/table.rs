//! The table: random histories with crashes against a map, and files that are damaged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use longwire_engine::disk::SimDisk;
use longwire_engine::local::{Folder, State};
use longwire_engine::{Expected, Table, TableError};

use crate::random::{Random, seeds};
use crate::support::{DATA, folder_on, options};

const SEEDS: u64 = 100;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn content(table: &dyn Table) -> Rows {
    let mut rows = Rows::new();
    let mut after: Option<Box<[u8]>> = None;
    loop {
        let page = table.scan(b"", after.as_deref(), 3).unwrap();
        after = page.rows.last().map(|(key, _)| key.clone());
        rows.extend(page.rows.into_iter().map(|(key, value)| (key.to_vec(), value.bytes.to_vec())));
        if !page.more {
            return rows;
        }
    }
}

#[test]
fn after_a_crash_a_commit_is_there_as_a_whole_or_not_at_all() {
    for seed in seeds(SEEDS) {
        let mut random = Random(seed);
        let mut disk = SimDisk::new(random.next());
        let mut committed = Rows::new();
        for _ in 0..3 {
            let mut attempted = committed.clone();
            if let Ok(folder) = Folder::open(Arc::new(disk.clone()), Path::new(DATA), options(8192))
                && let Ok(mut table) = folder.open_table()
            {
                assert_eq!(content(&table), committed, "seed {seed}");
                disk.turn_off_at(1 + random.below(60));
                live(&mut random, &disk, &mut table, &mut committed, &mut attempted);
            }
            disk = disk.crash();
            if random.chance(30) {
                disk.turn_off_at(1 + random.below(10));
                drop(Folder::open(Arc::new(disk.clone()), Path::new(DATA), options(8192)).map(|folder| {
                    drop(folder.open_table());
                }));
                disk = disk.crash();
            }
            let folder = folder_on(&disk, options(8192));
            let found = content(&folder.open_table().unwrap());
            assert!(found == committed || found == attempted, "seed {seed}: neither before nor after");
            assert_eq!(folder.watch().status().state, State::Healthy, "seed {seed}");
            committed = found;
        }
    }
}

/// Writes until the disk is off. What a commit that failed tried to write may be there or not.
fn live(
    random: &mut Random,
    disk: &SimDisk,
    table: &mut dyn Table,
    committed: &mut Rows,
    attempted: &mut Rows,
) {
    let mut rows = committed.clone();
    for _ in 0..200 {
        let key = format!("key {}", random.below(30)).into_bytes();
        match random.below(10) {
            0..6 => {
                let value = vec![random.next() as u8; random.below(2000) as usize];
                if table.put(&key, &value, Expected::Anything).is_ok() {
                    rows.insert(key, value);
                }
            }
            6..8 => {
                if let Ok(existed) = table.delete(&key, Expected::Anything) {
                    assert_eq!(rows.remove(&key).is_some(), existed);
                }
            }
            8 => {
                attempted.clone_from(&rows);
                if table.commit().is_ok() {
                    committed.clone_from(&rows);
                }
            }
            _ => drop(table.keep_copy()),
        }
        if disk.is_off() {
            return;
        }
    }
}

/// A table with a copy of an older state.
fn with_a_copy() -> SimDisk {
    let disk = SimDisk::new(1);
    let folder = folder_on(&disk, options(8192));
    let mut table = folder.open_table().unwrap();
    table.put(b"key", b"older", Expected::Anything).unwrap();
    table.commit().unwrap();
    table.keep_copy().unwrap();
    table.put(b"key", b"newer", Expected::Anything).unwrap();
    table.commit().unwrap();
    drop((table, folder));
    disk.kill()
}

fn state_file() -> std::path::PathBuf {
    Path::new(DATA).join("state.redb")
}

#[test]
fn a_damaged_table_is_quarantined_and_the_newest_copy_takes_its_place() {
    let disk = with_a_copy();
    let bytes = disk.files().into_iter().find(|(path, _)| *path == state_file()).unwrap().1;
    disk.put(&state_file(), &vec![0xA5; bytes.len()]);
    let folder = folder_on(&disk, options(8192));
    let table = folder.open_table().unwrap();
    assert_eq!(table.get(b"key").unwrap().unwrap().bytes[..], *b"older");
    let status = folder.watch().status();
    assert_eq!(status.state, State::Degraded);
    assert!(
        status.damages.iter().any(|damage| damage.file == state_file() && damage.what.contains("quarantine"))
    );
    assert!(status.damages.iter().any(|damage| damage.what.contains("took the place")), "{status:?}");
    assert!(disk.files().iter().any(|(path, _)| path.ends_with("quarantine/1-state.redb")));
}

#[test]
fn no_flipped_bit_gives_a_wrong_value_or_a_panic() {
    let disk = with_a_copy();
    let files = disk.files();
    let length = files.iter().find(|(path, _)| *path == state_file()).unwrap().1.len() as u64;
    let mut random = Random(4);
    for at in 0..150 {
        let disk = SimDisk::new(2);
        for (path, bytes) in &files {
            disk.put(path, bytes);
        }
        // The first pages hold everything that decides, the rest is sampled.
        let offset = if at < 100 { random.below(8192) } else { random.below(length) };
        disk.flip(&state_file(), offset, 1 << random.below(8));
        let folder = folder_on(&disk, options(8192));
        let table = folder.open_table().unwrap();
        let value = match table.get(b"key") {
            Ok(value) => value.map(|value| value.bytes.to_vec()),
            Err(TableError::Io(_)) => continue,
            Err(cause) => panic!("byte {offset}: {cause}"),
        };
        let is_older = value.as_deref() == Some(b"older");
        assert!(is_older || value.as_deref() == Some(b"newer"), "byte {offset}: {value:?}");
        if is_older {
            assert_eq!(
                folder.watch().status().state,
                State::Degraded,
                "byte {offset}: an older state in silence"
            );
        }
    }
}

#[test]
fn a_full_disk_refuses_the_commit_and_takes_it_later() {
    let disk = SimDisk::new(1);
    let folder = folder_on(&disk, options(8192));
    let mut table = folder.open_table().unwrap();
    disk.limit(disk.bytes());
    table.put(b"large", &vec![1; 4 << 20], Expected::Anything).unwrap();
    let refused = table.commit().unwrap_err();
    assert!(matches!(refused, TableError::Full), "{refused}");
    assert!(table.get(b"large").unwrap().is_some());
    disk.limit(u64::MAX);
    table.commit().unwrap();
    drop((table, folder));
    let folder = folder_on(&disk.crash(), options(8192));
    assert_eq!(folder.open_table().unwrap().get(b"large").unwrap().unwrap().bytes.len(), 4 << 20);
}

#[test]
fn an_error_of_the_disk_is_over_when_the_disk_is_well_again() {
    for at in 1..12 {
        let disk = SimDisk::new(at);
        let folder = folder_on(&disk, options(8192));
        let mut table = folder.open_table().unwrap();
        table.put(b"key", b"old", Expected::Anything).unwrap();
        table.commit().unwrap();
        table.put(b"key", b"new", Expected::Anything).unwrap();
        disk.fail_at(at);
        let outcome = table.commit();
        disk.fail_no_more();
        if outcome.is_err() {
            table.commit().unwrap();
        }
        drop((table, folder));
        let folder = folder_on(&disk.crash(), options(8192));
        assert_eq!(
            folder.open_table().unwrap().get(b"key").unwrap().unwrap().bytes[..],
            *b"new",
            "error at {at}"
        );
    }
}
