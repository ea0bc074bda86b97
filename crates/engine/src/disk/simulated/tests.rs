//! What the simulated disk does to those who trust it.

use super::*;

const PATH: &str = "/disk/file";

fn make(disk: &SimDisk) -> Arc<dyn DiskFile> {
    let file = disk.create(Path::new(PATH)).unwrap();
    file.set_len(8 * SECTOR_BYTES as u64).unwrap();
    file.sync().unwrap();
    disk.sync_folder(Path::new("/disk")).unwrap();
    file
}

fn content(disk: &SimDisk) -> Vec<u8> {
    disk.files().remove(0).1
}

#[test]
fn what_was_synced_survives_and_the_rest_comes_back_in_any_parts() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let file = make(&disk);
        file.write_at(0, &[1; SECTOR_BYTES]).unwrap();
        file.sync().unwrap();
        file.write_at(SECTOR_BYTES as u64, &[2; 2 * SECTOR_BYTES]).unwrap();
        let after = content(&disk.crash());
        assert_eq!(after[..SECTOR_BYTES], [1; SECTOR_BYTES]);
        seen.insert((after[SECTOR_BYTES], after[2 * SECTOR_BYTES]));
    }
    assert_eq!(seen, BTreeSet::from([(0, 0), (0, 2), (2, 0), (2, 2)]));
}

#[test]
fn names_that_were_not_synced_may_vanish() {
    let outcomes: BTreeSet<usize> = (0..50)
        .map(|seed| {
            let disk = SimDisk::new(seed);
            make(&disk);
            disk.create(Path::new("/disk/new")).unwrap();
            disk.crash().files().len()
        })
        .collect();
    assert_eq!(outcomes, BTreeSet::from([1, 2]));
}

#[test]
fn a_sync_that_fails_drops_data_and_the_next_one_says_nothing_of_it() {
    let disk = SimDisk::new(3);
    let file = make(&disk);
    file.write_at(0, &[1; 8 * SECTOR_BYTES]).unwrap();
    disk.fail_at(1);
    assert!(file.sync().is_err());
    file.sync().unwrap();
    assert!(content(&disk).contains(&0), "nothing was dropped");
}

#[test]
fn a_full_disk_refuses_to_grow_and_takes_what_needs_no_room() {
    let disk = SimDisk::new(1);
    let file = make(&disk);
    disk.limit(disk.bytes());
    assert_eq!(file.reserve(10_000).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.set_len(10_000).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.write_at(100, b"inside").unwrap(), 6);
}

#[test]
fn a_killed_process_leaves_what_it_wrote() {
    let disk = SimDisk::new(1);
    let file = make(&disk);
    file.write_at(0, b"written").unwrap();
    let after = disk.kill();
    assert!(file.write_at(0, b"late").is_err());
    assert_eq!(&content(&after)[..7], b"written");
}
