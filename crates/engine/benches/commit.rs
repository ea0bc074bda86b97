//! Speed of the log: groups of 64 blocks of 100 bytes, each appended and committed, against the floor of the same disk in
//! the same run: as many bytes written over zeros and synced.
//!
//! Beside the time of each, the processor time that the process took for a message is printed: what a disk takes is its
//! own, what the log takes is ours.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use longwire_engine::Lane;
use longwire_engine::disk::RealDisk;
use longwire_engine::local::{Durability, Folder, Options};
use rustix::time::{ClockId, clock_gettime};

criterion_group!(benches, commit);
criterion_main!(benches);

const GROUP: usize = 64;
const BLOCK: [u8; 100] = [7; 100];

/// What a group takes on the disk, in whole pages.
const FLOOR_BYTES: usize = 8192;

/// Zeros that the floor is written over, again and again.
const FLOOR_FILE_BYTES: u64 = 64 << 20;

fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a group of 64 blocks of 100 bytes");
    group.throughput(Throughput::Elements(GROUP as u64));
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("commit");
    for (name, durability) in [("synced", Durability::Fsync), ("handed over", Durability::Os)] {
        fs::remove_dir_all(&path).ok();
        let options = Options { durability, ..Options::default() };
        let folder = Folder::open(Arc::new(RealDisk), &path, options).unwrap();
        let mut lane = folder.open_lane().unwrap();
        let mut meter = Meter::default();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                meter.measure(rounds, || {
                    for _ in 0..GROUP {
                        lane.append(&BLOCK, 1).unwrap();
                    }
                    lane.commit().unwrap();
                    // Nobody reads here, so that the log stays as small as one that is read.
                    if lane.bytes() > 256 << 20 {
                        lane.trim(lane.next() - 1).unwrap();
                    }
                })
            });
        });
        meter.tell(name);
        println!("{:?}", folder.watch().status().counters);
    }
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path.join("floor")).unwrap();
    let zeros = vec![0; 1 << 20];
    for offset in (0..FLOOR_FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, offset).unwrap();
    }
    file.sync_all().unwrap();
    let (mut offset, mut meter) = (0, Meter::default());
    group.bench_function("floor: the same bytes over zeros, synced", |bencher| {
        bencher.iter_custom(|rounds| {
            meter.measure(rounds, || {
                file.write_all_at(&[7; FLOOR_BYTES], offset).unwrap();
                file.sync_data().unwrap();
                offset = (offset + FLOOR_BYTES as u64) % FLOOR_FILE_BYTES;
            })
        });
    });
    meter.tell("floor");
    group.finish();
    fs::remove_dir_all(&path).ok();
}

/// Processor time of the process over everything that was measured.
#[derive(Default)]
struct Meter {
    rounds: u64,
    cpu: Duration,
}

impl Meter {
    fn measure(&mut self, rounds: u64, mut round: impl FnMut()) -> Duration {
        let (started, cpu) = (Instant::now(), cpu_time());
        for _ in 0..rounds {
            round();
        }
        self.cpu += cpu_time().saturating_sub(cpu);
        self.rounds += rounds;
        started.elapsed()
    }

    fn tell(&self, name: &str) {
        let messages = (self.rounds * GROUP as u64).max(1);
        println!(
            "{name}: {:.3} us of processor time a message",
            self.cpu.as_secs_f64() * 1e6 / messages as f64
        );
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
