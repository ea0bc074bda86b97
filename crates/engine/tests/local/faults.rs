//! Disks that fail, are full, are slow, or belong to somebody else.

use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use longwire_engine::disk::{Disk, RealDisk, SimDisk};
use longwire_engine::local::{Folder, FolderError, Options, State};
use longwire_engine::{Lane, LaneError};

use crate::support::{DATA, RealFolder, content, folder_on, lane_on, options};

#[test]
fn one_error_is_survived_wherever_it_comes() {
    for at in 1..60 {
        let disk = SimDisk::new(at);
        let (folder, mut lane) = lane_on(&disk, options(8192));
        disk.fail_at(at);
        for number in 0..20_u8 {
            lane.append(&[number; 600], 1).unwrap();
            lane.commit().unwrap();
        }
        let blocks = content(&lane).0;
        assert_eq!((blocks.len(), lane.durable()), (20, 20), "error at {at}");
        drop((lane, folder));
        let (folder, lane) = lane_on(&disk.crash(), options(8192));
        assert_eq!(content(&lane), (blocks, vec![]), "error at {at}");
        assert_eq!(folder.watch().status().state, State::Healthy, "error at {at}");
    }
}

#[test]
fn a_second_error_for_the_same_records_ends_it() {
    let disk = SimDisk::new(1);
    let (folder, mut lane) = lane_on(&disk, options(8192));
    lane.append(b"safe", 1).unwrap();
    lane.commit().unwrap();
    lane.append(b"unlucky", 1).unwrap();
    disk.fail_at(1);
    disk.fail_at(2);
    assert!(matches!(lane.commit(), Err(LaneError::Io(_))));
    assert!(matches!(folder.watch().status().state, State::Failed(_)));
    assert_eq!(lane.durable(), 1);
    // The disk is well again, and still nothing is acknowledged.
    assert!(matches!(lane.append(b"more", 1), Err(LaneError::Io(_))));
    assert!(matches!(lane.commit(), Err(LaneError::Io(_))));
    assert_eq!((lane.durable(), lane.read(1).unwrap().unwrap().bytes.to_vec()), (1, b"safe".to_vec()));
}

#[test]
fn a_full_disk_refuses_blocks_and_takes_them_again_after_a_trim() {
    let disk = SimDisk::new(1);
    let (folder, mut lane) = lane_on(&disk, options(8192));
    disk.limit(disk.bytes() + 3 * 8192);
    let refused = loop {
        match lane.append(&[1; 900], 1) {
            Ok(_) => lane.commit().unwrap(),
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, LaneError::Full { .. }), "{refused}");
    let next = lane.next();
    assert!(matches!(lane.append(&[1; 900], 1), Err(LaneError::Full { .. })));
    lane.trim(next - 3).unwrap();
    assert_eq!(lane.append(&[2; 900], 1).unwrap(), next);
    lane.commit().unwrap();
    assert_eq!((lane.durable(), folder.watch().status().state), (next, State::Healthy));
}

#[test]
fn a_full_disk_is_no_reason_not_to_start() {
    let disk = SimDisk::new(1);
    let (folder, mut lane) = lane_on(&disk, options(8192));
    lane.append(b"kept", 1).unwrap();
    lane.commit().unwrap();
    drop((lane, folder));
    let disk = disk.kill();
    disk.limit(disk.bytes());
    let (_folder, lane) = lane_on(&disk, options(8192));
    assert_eq!(content(&lane).0.len(), 1);
}

#[test]
fn the_bound_of_the_log_holds_whatever_the_disk_has_room_for() {
    let (_folder, mut lane) = lane_on(&SimDisk::new(1), Options { bytes_max: 20_000, ..options(8192) });
    let refused = loop {
        match lane.append(&[1; 900], 1) {
            Ok(_) => lane.commit().unwrap(),
            Err(refused) => break refused,
        }
        assert!(lane.bytes() <= 20_000);
    };
    assert!(matches!(refused, LaneError::Full { needed_bytes, free_bytes } if free_bytes < needed_bytes));
    lane.trim(lane.next()).unwrap();
    assert_eq!(lane.bytes(), 0);
    lane.append(&[1; 900], 1).unwrap();
}

#[test]
fn a_block_larger_than_a_segment_gets_one_of_its_own() {
    let disk = SimDisk::new(1);
    let (folder, mut lane) = lane_on(&disk, options(8192));
    let large = vec![3; 100_000];
    for block in [&b"small"[..], &large, b"small again", &large] {
        lane.append(block, 1).unwrap();
    }
    lane.commit().unwrap();
    let blocks = content(&lane).0;
    drop((lane, folder));
    let (_folder, lane) = lane_on(&disk.crash(), options(8192));
    assert_eq!((content(&lane).0, &*lane.read(2).unwrap().unwrap().bytes), (blocks, &large[..]));
}

#[test]
fn many_blocks_are_synced_once() {
    let disk = SimDisk::new(1);
    let (folder, mut lane) = lane_on(&disk, options(65536));
    let before = disk.syncs();
    for _ in 0..64 {
        lane.append(&[1; 100], 1).unwrap();
    }
    lane.commit().unwrap();
    // One for the group; the spare that was asked for takes its own, off the hot path.
    assert_eq!(folder.watch().status().counters.syncs, 1);
    lane.append(&[1; 100], 1).unwrap();
    let between = disk.syncs();
    lane.commit().unwrap();
    assert_eq!(disk.syncs(), between + 1);
    assert!(between > before);
}

#[test]
fn an_append_that_waits_for_a_segment_is_counted_and_others_do_not_wait() {
    let disk = SimDisk::new(1);
    let (open_gate, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let folder = folder_on(&disk, Options { background: true, ..options(8192) });
    let mut lane = folder.open_lane().unwrap();
    disk.on_sync(move |path| {
        // The second segment takes as long as the test likes.
        if path.to_string_lossy().contains("0000000000000002.tmp") {
            gate.lock().unwrap().recv().ok();
        }
    });
    let commit = |lane: &mut dyn Lane| {
        lane.append(&[1; 1500], 1).unwrap();
        lane.commit().unwrap();
    };
    // A segment takes two of these.
    commit(&mut lane);
    commit(&mut lane);
    let watch = folder.watch();
    assert_eq!(watch.status().counters.waits_for_segment, 0);
    let opens = thread::spawn(move || {
        while watch.status().counters.waits_for_segment == 0 {
            thread::yield_now();
        }
        drop(open_gate);
    });
    commit(&mut lane);
    opens.join().unwrap();
    assert_eq!((lane.durable(), folder.watch().status().counters.waits_for_segment), (3, 1));
}

#[test]
fn a_read_that_fails_is_an_error_and_no_loss() {
    let disk = SimDisk::new(1);
    let (folder, mut lane) = lane_on(&disk, Options { cache_bytes: 0, ..options(8192) });
    lane.append(b"here", 1).unwrap();
    lane.commit().unwrap();
    disk.fail_read_at(1);
    disk.fail_read_at(2);
    disk.fail_read_at(3);
    disk.fail_read_at(4);
    assert!(matches!(lane.read(1), Err(LaneError::Io(_))));
    assert_eq!(lane.read(1).unwrap().unwrap().bytes[..], *b"here");
    assert_eq!(folder.watch().status().state, State::Healthy);
}

#[test]
fn a_folder_is_for_one_process_at_a_time() {
    let path = RealFolder::new();
    let folder = Folder::open(Arc::new(RealDisk), &path.0, Options::default()).unwrap();
    let refused = Folder::open(Arc::new(RealDisk), &path.0, Options::default()).unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, FolderError::Locked { process: Some(_), .. }), "{text}");
    assert!(text.contains(&std::process::id().to_string()) && text.contains("LOCK"), "{text}");
    drop(folder);
    Folder::open(Arc::new(RealDisk), &path.0, Options::default()).unwrap();
}

#[test]
fn a_later_format_is_refused_in_words() {
    let disk = SimDisk::new(1);
    let check = crc32c::crc32c(b"2 1");
    let text = format!("longwire data format 2 epoch 1 check {check:08x}\n");
    disk.put(&Path::new(DATA).join("FORMAT"), text.as_bytes());
    let refused = Folder::open(Arc::new(disk.clone()), Path::new(DATA), options(8192)).unwrap_err();
    assert!(matches!(refused, FolderError::Newer { found: 2, known: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("later version"), "{refused}");
    // And it is as it was.
    assert_eq!(disk.files().iter().find(|(path, _)| path.ends_with("FORMAT")).unwrap().1, text.as_bytes());
    disk.open(&Path::new(DATA).join("FORMAT")).unwrap();
}
