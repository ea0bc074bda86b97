//! Files as released versions wrote them. Later versions must open them, so a change of the format adds files here and
//! takes none away.

use std::fs;
use std::path::{Path, PathBuf};

use longwire_engine::disk::SimDisk;
use longwire_engine::local::State;
use longwire_engine::{Block, Lane};

use crate::support::{DATA, content, lane_on, options, three_commits};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A simulated disk with the files of a fixture on it.
fn disk_with(name: &str) -> SimDisk {
    let disk = SimDisk::new(1);
    for part in ["FORMAT", "log/0000000000000001.log", "log/0000000000000002.log"] {
        let bytes = fs::read(fixture(name).join(part.replace('/', "-"))).unwrap();
        disk.put(&Path::new(DATA).join(part), &bytes);
    }
    disk
}

fn three_blocks() -> Vec<Block> {
    ["the first", "the second one", "the third"]
        .iter()
        .enumerate()
        .map(|(at, text)| Block { first: 1 + 2 * at as u64, count: 2, bytes: text.as_bytes().into() })
        .collect()
}

#[test]
fn logs_of_format_1_open() {
    for name in ["format-1-active", "format-1-sealed"] {
        let (folder, mut lane) = lane_on(&disk_with(name), options(8192));
        assert_eq!(content(&lane), (three_blocks(), vec![]), "{name}");
        assert_eq!(folder.watch().status().state, State::Healthy, "{name}");
        assert_eq!(lane.append(b"goes on", 1).unwrap(), 7, "{name}");
        lane.commit().unwrap();
    }
}

#[test]
fn a_damaged_log_of_format_1_opens_and_tells() {
    let (folder, lane) = lane_on(&disk_with("format-1-damaged"), options(8192));
    let blocks = three_blocks();
    assert_eq!(content(&lane), (vec![blocks[0].clone(), blocks[2].clone()], vec![(3, 4)]));
    assert_eq!(folder.watch().status().state, State::Degraded);
}

/// Writes the fixtures of the present format, when there is a new one.
#[test]
#[ignore = "writes files that must not change"]
fn write_fixtures() {
    let (active, _) = three_commits(options(8192));
    let (sealed, _) = three_commits(options(8192));
    drop(lane_on(&sealed, options(8192)));
    let (damaged, _) = three_commits(options(8192));
    damaged.flip(&Path::new(DATA).join("log/0000000000000001.log"), 4096 + 48 + 8 + 16 + 20 + 40, 1);
    for (name, disk) in [("active", active), ("sealed", sealed), ("damaged", damaged)] {
        let folder = fixture(&format!("format-1-{name}"));
        fs::create_dir_all(&folder).unwrap();
        for (path, bytes) in disk.files() {
            let part = path.strip_prefix(DATA).unwrap().to_string_lossy().replace('/', "-");
            if part != "LOCK" {
                fs::write(folder.join(part), bytes).unwrap();
            }
        }
    }
}
