//! Random histories of a lane with crashes at any point, also while it recovers, against a list of what was submitted:
//! acknowledged is part of restored, restored part of submitted, in order and without a hole; what was let go stays
//! within what may go; a second recovery finds the same; and nothing is called damaged that was only cut off.
//! `SEEDS=100000` runs more of them, `SEED=7` only that one.

use longwire_engine::disk::SimDisk;
use longwire_engine::local::{Durability, Folder, LocalLane, Options, State};
use longwire_engine::{Block, Lane, LaneError};

use crate::random::{Random, seeds};
use crate::support::{DATA, content, options};

const SEEDS: u64 = 2000;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_comes_from_nowhere() {
    let mut told = Told::default();
    for seed in seeds(SEEDS) {
        History::new(seed).run(&mut told);
    }
    // Histories in which nothing happens prove nothing.
    assert!(told.crashes > 0 && told.restored > 0, "{told:?}");
    println!("{told:?}");
}

#[derive(Debug, Default)]
struct Told {
    crashes: u64,
    crashes_in_recovery: u64,
    restored: u64,
    undone: u64,
    errors: u64,
    full: u64,
}

struct History {
    seed: u64,
    random: Random,
    disk: SimDisk,
    options: Options,
    /// Everything appended that may be there, in order.
    submitted: Vec<Block>,
    acknowledged: u64,
    /// Records below this may be gone.
    trimmed: u64,
    /// The disk has failed in this life.
    is_faulty: bool,
    power_cuts: bool,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let segment_bytes = 8192 + 1024 * random.below(24);
        let durability = if random.chance(80) { Durability::Fsync } else { Durability::Os };
        let cache_bytes = random.below(3) * 1000;
        let options = Options { durability, cache_bytes, ..options(segment_bytes) };
        let disk = SimDisk::new(random.next());
        if random.chance(20) {
            disk.write_short();
        }
        History {
            seed,
            random,
            disk,
            options,
            submitted: Vec::new(),
            acknowledged: 0,
            trimmed: 1,
            is_faulty: false,
            // Without syncs only the end of the process is survived.
            power_cuts: durability == Durability::Fsync,
        }
    }

    fn run(mut self, told: &mut Told) {
        for _ in 0..2 + self.random.below(4) {
            self.live(told);
            self.end(told);
            self.come_back(told);
        }
    }

    /// One life of the process, which ends when the disk is off or enough was done.
    fn live(&mut self, told: &mut Told) {
        let Ok((_folder, mut lane)) = self.open() else { return };
        if self.random.chance(70) {
            self.disk.turn_off_at(1 + self.random.below(60));
        }
        self.is_faulty = false;
        // An error of the device takes what was not synced, and without syncs that is acknowledged.
        if self.power_cuts && self.random.chance(15) {
            self.disk.fail_at(1 + self.random.below(40));
            self.is_faulty = true;
        }
        if self.random.chance(15) {
            self.disk.limit(self.disk.bytes() + self.options.segment_bytes * self.random.below(3));
        }
        for _ in 0..self.random.below(80) {
            if self.disk.is_off() {
                return;
            }
            match self.random.below(10) {
                0..5 => self.append(&mut lane, told),
                5..7 => self.commit(&mut lane, told),
                7 => self.trim(&mut lane),
                _ => self.read(&lane),
            }
        }
    }

    fn append(&mut self, lane: &mut LocalLane, told: &mut Told) {
        let length = match self.random.below(20) {
            0 => self.random.below(3 * self.options.segment_bytes),
            1..4 => self.random.below(4000),
            _ => self.random.below(300),
        };
        let bytes: Vec<u8> = (0..length).map(|_| self.random.next() as u8).collect();
        let count = 1 + self.random.below(5) as u32;
        let next = lane.next();
        match lane.append(&bytes, count) {
            Ok(first) => {
                assert_eq!(first, next, "seed {}", self.seed);
                self.submitted.push(Block { first, count, bytes: bytes.into() });
            }
            Err(cause) => self.refused(lane, next, &cause, told),
        }
        self.acknowledge(lane);
    }

    fn refused(&self, lane: &LocalLane, next: u64, cause: &LaneError, told: &mut Told) {
        assert_eq!(lane.next(), next, "seed {}: a block that was refused is there", self.seed);
        match cause {
            LaneError::Full { .. } => told.full += 1,
            LaneError::Io(_) => {
                assert!(self.is_faulty || self.disk.is_off(), "seed {}: {cause}", self.seed);
                told.errors += 1;
            }
            other => panic!("seed {}: {other}", self.seed),
        }
    }

    fn commit(&mut self, lane: &mut LocalLane, told: &mut Told) {
        match lane.commit() {
            Ok(()) => assert_eq!(lane.durable() + 1, lane.next(), "seed {}", self.seed),
            Err(cause) => self.refused(lane, lane.next(), &cause, told),
        }
        self.acknowledge(lane);
    }

    fn acknowledge(&mut self, lane: &LocalLane) {
        assert!(lane.durable() >= self.acknowledged, "seed {}: durable moved back", self.seed);
        self.acknowledged = lane.durable();
    }

    fn trim(&mut self, lane: &mut LocalLane) {
        let span = lane.next() + 3 - lane.first();
        let before = lane.first() + self.random.below(span);
        // Even one that fails may have let go.
        self.trimmed = self.trimmed.max(before.min(lane.durable() + 1));
        match lane.trim(before) {
            Ok(()) => {}
            Err(cause) => assert!(self.is_faulty || self.disk.is_off(), "seed {}: {cause}", self.seed),
        }
    }

    fn read(&mut self, lane: &LocalLane) {
        let position = self.random.below(lane.next() + 2);
        let Ok(found) = lane.read(position) else {
            assert!(self.disk.is_off(), "seed {}: position {position} cannot be read", self.seed);
            return;
        };
        let expected =
            self.submitted.iter().find(|block| block.first <= position && position <= block.last());
        if position >= lane.first() {
            assert_eq!(found.as_ref(), expected, "seed {}: position {position}", self.seed);
        } else {
            assert_eq!(found, None, "seed {}: position {position}", self.seed);
        }
    }

    /// The process or the machine ends; sometimes again while it comes back.
    fn end(&mut self, told: &mut Told) {
        told.crashes += 1;
        self.disk =
            if self.power_cuts && self.random.chance(70) { self.disk.crash() } else { self.disk.kill() };
        while self.random.chance(40) {
            told.crashes_in_recovery += 1;
            self.disk.turn_off_at(1 + self.random.below(20));
            drop(self.open());
            self.disk = if self.power_cuts { self.disk.crash() } else { self.disk.kill() };
        }
    }

    fn come_back(&mut self, told: &mut Told) {
        let (folder, lane) = self.open().unwrap();
        let status = folder.watch().status();
        assert_eq!(status.state, State::Healthy, "seed {}: {:?}", self.seed, status.damages);
        let (restored, lost) = content(&lane);
        assert_eq!(lost, [], "seed {}", self.seed);
        self.check(&lane, &restored);
        told.restored += restored.len() as u64;

        let (first, next) = (lane.first(), lane.next());
        drop((lane, folder));
        let (_folder, lane) = self.open().unwrap();
        assert_eq!((lane.first(), lane.next()), (first, next), "seed {}: a second opening", self.seed);
        assert_eq!(content(&lane).0, restored, "seed {}: a second opening", self.seed);

        let before = self.submitted.len();
        self.submitted.retain(|block| block.first < next);
        told.undone += (before - self.submitted.len()) as u64;
        self.acknowledged = next - 1;
    }

    fn check(&self, lane: &LocalLane, restored: &[Block]) {
        let seed = self.seed;
        assert_eq!(lane.durable() + 1, lane.next(), "seed {seed}: what came back could still go");
        assert!(
            lane.durable() >= self.acknowledged,
            "seed {seed}: acknowledged {} is lost",
            self.acknowledged
        );
        let first_kept =
            self.submitted.iter().find(|block| block.last() >= self.trimmed).map(|block| block.first);
        let first_kept = first_kept.filter(|first| *first <= self.acknowledged);
        if let Some(first_kept) = first_kept {
            assert!(lane.first() <= first_kept, "seed {seed}: {first_kept} was let go too early");
        }
        let mut expected = self.submitted.iter().skip_while(|block| block.first < lane.first());
        for block in restored {
            assert_eq!(Some(block), expected.next(), "seed {seed}");
        }
    }

    fn open(&self) -> Result<(Folder, LocalLane), Box<dyn std::error::Error>> {
        let folder =
            Folder::open(std::sync::Arc::new(self.disk.clone()), std::path::Path::new(DATA), self.options)?;
        let lane = folder.open_lane()?;
        Ok((folder, lane))
    }
}
