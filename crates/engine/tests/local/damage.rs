//! Files that are not as they were written. Whatever happens to a log of three commits, byte by byte, each of them is
//! there as it was, or its loss is named.

use std::path::{Path, PathBuf};

use longwire_engine::disk::SimDisk;
use longwire_engine::local::{Durability, Options, State, Watch};
use longwire_engine::{Block, Lane, LaneError};

use crate::support::{DATA, content, folder_on, lane_on, options, three_commits};

fn segment(number: u64) -> PathBuf {
    Path::new(DATA).join(format!("log/{number:016}.log"))
}

fn copy_of(files: &[(PathBuf, Vec<u8>)]) -> SimDisk {
    let disk = SimDisk::new(11);
    for (path, bytes) in files {
        disk.put(path, bytes);
    }
    disk
}

/// Opens a log twice and checks that every block is there or named as lost, both times alike.
fn check_that_no_loss_is_silent(disk: &SimDisk, acknowledged: &[Block], what: &str) -> Watch {
    let (folder, lane) = lane_on(disk, options(8192));
    let (restored, lost) = content(&lane);
    let status = folder.watch().status();
    for block in acknowledged {
        let is_named = lost.iter().any(|(first, last)| *first <= block.first && block.last() <= *last);
        let is_told = status.damages.iter().any(|damage| {
            damage.lost.is_some_and(|(first, last)| first <= block.first && block.last() <= last)
        });
        let first = block.first;
        assert!(
            restored.contains(block) || (is_named && is_told),
            "{what}: block {first} is lost in silence"
        );
        assert!(lane.next() > block.last(), "{what}: a new record would get a lost one's number");
    }
    for block in &restored {
        assert!(acknowledged.contains(block), "{what}: {block:?} comes from nowhere");
    }
    let (first, next, watch) = (lane.first(), lane.next(), folder.watch());
    drop((lane, folder));
    let (_folder, lane) = lane_on(disk, options(8192));
    assert_eq!((lane.first(), lane.next()), (first, next), "{what}: opened again");
    assert_eq!(content(&lane), (restored, lost), "{what}: opened again");
    watch
}

#[test]
fn every_byte_of_three_commits_flipped() {
    let (disk, blocks) = three_commits(options(8192));
    let files = disk.files();
    let (_, bytes) = files.iter().find(|(path, _)| *path == segment(1)).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() as u64 + 64;
    for offset in 0..end {
        for bits in [0x01, 0x80, 0xff] {
            let disk = copy_of(&files);
            disk.flip(&segment(1), offset, bits);
            check_that_no_loss_is_silent(&disk, &blocks, &format!("byte {offset} with {bits:#x}"));
        }
    }
}

#[test]
fn three_commits_cut_at_every_byte() {
    let (disk, blocks) = three_commits(options(8192));
    let files = disk.files();
    let (_, bytes) = files.iter().find(|(path, _)| *path == segment(1)).unwrap();
    for length in 0..bytes.len() {
        let disk = copy_of(&files);
        disk.put(&segment(1), &bytes[..length]);
        let watch = check_that_no_loss_is_silent(&disk, &blocks, &format!("cut to {length}"));
        assert_eq!(watch.status().state, State::Degraded, "cut to {length}");
    }
}

#[test]
fn every_byte_of_a_sealed_log_flipped() {
    let (disk, blocks) = three_commits(options(8192));
    drop(lane_on(&disk, options(8192)));
    let files = disk.kill().files();
    let (_, bytes) = files.iter().find(|(path, _)| *path == segment(1)).unwrap();
    assert!(bytes.len() < 8192, "it was not sealed");
    for offset in 0..bytes.len() as u64 {
        let disk = copy_of(&files);
        disk.flip(&segment(1), offset, 0x10);
        check_that_no_loss_is_silent(&disk, &blocks, &format!("byte {offset}"));
    }
}

#[test]
fn a_frame_that_did_not_arrive_whole_is_cut_without_complaint() {
    let disk = SimDisk::new(5);
    let (folder, mut lane) = lane_on(&disk, options(65536));
    lane.append(b"acknowledged", 1).unwrap();
    lane.commit().unwrap();
    lane.append(&[7; 3000], 4).unwrap();
    // The write is whole, and the machine ends before the sync is.
    disk.turn_off_at(2);
    lane.commit().unwrap_err();
    drop((lane, folder));
    let disk = disk.kill();
    let after_the_first = 4096 + 48 + 8 + 16;
    disk.flip(&segment(1), after_the_first + 2000, 1);
    let (folder, lane) = lane_on(&disk, options(65536));
    assert_eq!((lane.next(), folder.watch().status().state), (2, State::Healthy));
    assert_eq!(lane.recovery().torn_bytes, 48 + 8 + 3000);
}

#[test]
fn damage_is_named_quarantined_and_stepped_over() {
    let (disk, blocks) = three_commits(options(8192));
    // Inside the second commit, which the third one says is safe.
    let second = 4096 + 48 + 8 + 16 + 20;
    disk.flip(&segment(1), second + 40, 1);
    let (folder, lane) = lane_on(&disk, options(8192));
    assert_eq!(content(&lane), (vec![blocks[0].clone(), blocks[2].clone()], vec![(3, 4)]));
    let status = folder.watch().status();
    assert_eq!(status.state, State::Degraded);
    let [damage] = &status.damages[..] else { panic!("{status:?}") };
    assert_eq!((&damage.file, damage.lost), (&segment(1), Some((3, 4))));
    assert!(damage.offset <= second + 40 && second + 40 < damage.offset + damage.bytes, "{damage}");
    let quarantine = Path::new(DATA).join("quarantine");
    let part = disk.files().into_iter().find(|(path, _)| path.starts_with(&quarantine)).unwrap();
    assert_eq!(part.1.len() as u64, damage.bytes);
    assert!(part.1.windows(9).any(|window| window == b"econd one"));
}

#[test]
fn damage_that_comes_while_the_log_is_open_is_named_when_it_is_read() {
    let disk = SimDisk::new(1);
    let (folder, mut lane) = lane_on(&disk, Options { cache_bytes: 0, ..options(8192) });
    for text in ["one", "two", "three"] {
        lane.append(text.as_bytes(), 1).unwrap();
        lane.commit().unwrap();
    }
    disk.flip(&segment(1), 4096 + 64 + 56, 1);
    assert!(matches!(lane.read(2), Err(LaneError::Damaged { first: 2, last: 2 })));
    assert_eq!(lane.read(3).unwrap().unwrap().bytes[..], *b"three");
    assert_eq!(folder.watch().status().damages[0].lost, Some((2, 2)));
}

/// A log over several segments.
fn long_log() -> (SimDisk, Vec<Block>) {
    let disk = SimDisk::new(3);
    let (folder, mut lane) = lane_on(&disk, options(8192));
    for number in 0..40_u8 {
        lane.append(&[number; 500], 1).unwrap();
        lane.commit().unwrap();
    }
    let blocks = content(&lane).0;
    drop((lane, folder));
    (disk.kill(), blocks)
}

#[test]
fn any_segment_that_is_missing_is_missed() {
    let (disk, blocks) = long_log();
    let files = disk.files();
    let segments: Vec<_> = files.iter().filter(|(path, _)| path.starts_with("/data/log")).collect();
    assert!(segments.len() > 5);
    // The last one is the spare.
    for (missing, _) in &segments[..segments.len() - 1] {
        let rest: Vec<_> = files.iter().filter(|(path, _)| path != missing).cloned().collect();
        let watch = check_that_no_loss_is_silent(&copy_of(&rest), &blocks, &format!("{}", missing.display()));
        assert_eq!(watch.status().state, State::Degraded);
    }
}

#[test]
fn any_segment_that_is_zeros_is_missed() {
    let (disk, blocks) = long_log();
    let files = disk.files();
    let segments: Vec<_> = files.iter().filter(|(path, _)| path.starts_with("/data/log")).collect();
    for (zeroed, bytes) in &segments[..segments.len() - 1] {
        let disk = copy_of(&files);
        disk.put(zeroed, &vec![0; bytes.len()]);
        check_that_no_loss_is_silent(&disk, &blocks, &format!("{}", zeroed.display()));
    }
}

#[test]
fn what_an_earlier_life_left_in_a_segment_never_comes_back() {
    let disk = SimDisk::new(1);
    let (folder, mut lane) = lane_on(&disk, options(8192));
    for _ in 0..6 {
        lane.append(&[b'o'; 200], 1).unwrap();
        lane.commit().unwrap();
    }
    lane.trim(lane.next()).unwrap();
    assert_eq!((lane.first(), lane.bytes()), (7, 0));
    // Frames of the same size, so that old ones lie exactly where the next one is looked for.
    lane.append(&[b'n'; 200], 1).unwrap();
    lane.commit().unwrap();
    drop((lane, folder));
    let disk = disk.kill();
    let (folder, lane) = lane_on(&disk, options(8192));
    let (blocks, lost) = content(&lane);
    assert_eq!((blocks.len(), lost.len(), lane.next()), (1, 0, 8));
    assert_eq!(folder.watch().status().state, State::Healthy);
}

#[test]
fn what_was_cut_off_never_comes_back() {
    let disk = SimDisk::new(1);
    let options = Options { durability: Durability::Os, ..options(8192) };
    let (folder, mut lane) = lane_on(&disk, options);
    for _ in 0..2 {
        lane.append(&[b'o'; 200], 1).unwrap();
        lane.commit().unwrap();
    }
    drop((lane, folder));
    let disk = disk.kill();
    // The first frame did not arrive and was never synced, so the log ends in front of it; the second one did.
    disk.flip(&segment(1), 4096 + 100, 1);
    let (folder, mut lane) = lane_on(&disk, options);
    assert_eq!(lane.append(&[b'n'; 200], 1).unwrap(), 1);
    lane.commit().unwrap();
    drop((lane, folder));
    // The second frame of before lies where the log goes on, with the number that comes next.
    let (_folder, lane) = lane_on(&disk.kill(), options);
    assert_eq!((content(&lane).0.len(), lane.next()), (1, 2));
}

#[test]
fn a_group_that_was_written_twice_counts_once() {
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let (folder, mut lane) = lane_on(&disk, options(8192));
        lane.append(b"first", 1).unwrap();
        lane.commit().unwrap();
        lane.append(b"twice", 1).unwrap();
        // The write arrives and the sync fails, so the first copy may be whole or not.
        disk.fail_at(2);
        lane.commit().unwrap();
        lane.append(b"third", 1).unwrap();
        lane.commit().unwrap();
        let blocks = content(&lane).0;
        assert_eq!(blocks.len(), 3);
        assert_eq!(folder.watch().status().state, State::Degraded);
        drop((lane, folder));
        let (folder, lane) = lane_on(&disk.kill(), options(8192));
        assert_eq!(content(&lane), (blocks, vec![]), "seed {seed}");
        assert_eq!(folder.watch().status().state, State::Healthy, "seed {seed}");
    }
}

#[test]
fn without_syncs_a_power_cut_leaves_a_beginning_of_the_log() {
    for seed in 0..300 {
        let disk = SimDisk::new(seed);
        let options = Options { durability: Durability::Os, ..options(8192) };
        let (folder, mut lane) = lane_on(&disk, options);
        for number in 0..30_u8 {
            lane.append(&[number; 700], 1).unwrap();
            lane.commit().unwrap();
        }
        let blocks = content(&lane).0;
        drop((lane, folder));
        let (folder, lane) = lane_on(&disk.crash(), options);
        let (restored, lost) = content(&lane);
        assert_eq!(lost, [], "seed {seed}");
        assert!(blocks.starts_with(&restored), "seed {seed}");
        assert_eq!(folder.watch().status().state, State::Healthy, "seed {seed}");
    }
}

#[test]
fn a_damaged_format_file_is_told_of_and_written_anew() {
    let (disk, blocks) = three_commits(options(8192));
    disk.put(&Path::new(DATA).join("FORMAT"), b"longwire data format 1 epoch 9 check 00000000\n");
    let (folder, lane) = lane_on(&disk, options(8192));
    assert_eq!(content(&lane).0, blocks);
    assert_eq!(folder.watch().status().state, State::Degraded);
    drop((lane, folder));
    assert_eq!(folder_on(&disk, options(8192)).watch().status().state, State::Healthy);
}
