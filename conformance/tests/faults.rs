//! Do the scenes see? Each fault that a proxy can add to our broker must make scenes fail that quote what it breaks.
//!
//! The control is the same proxy without a fault: whatever fails behind a fault passes there. A fault that is not seen
//! means that a scene is missing or too weak, not that the fault is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use longwire_conformance::{Fault, Outcome, Proxy, Settings, Target, Version, faults, run};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
/// Faults that play at the same time; their scenes mostly wait for what does not come.
const PLAYS_AT_ONCE: usize = 16;

#[test]
fn every_scene_that_a_fault_can_fail_passes_through_the_proxy() {
    let broker = broker();
    let proxy = Proxy::start(broker.address(), None).expect("there is a free port");
    let failures = Mutex::new(Vec::new());
    side_by_side(&VERSIONS, |&version| {
        let ids: BTreeSet<String> = faults().iter().flat_map(|fault| fault.breaks(version)).collect();
        let report = run(&settings(&proxy, version, ids), &|_| {}).expect("the broker can be reached");
        let failed = report.failures().map(ToString::to_string);
        failures.lock().expect("no thread panics while it holds this").extend(failed);
    });
    let failures = failures.into_inner().expect("no thread panics while it holds this");
    let log = broker.last_lines();
    assert!(failures.is_empty(), "{}\nlast lines of the broker:\n{log}", failures.join("\n"));
}

#[test]
fn every_fault_is_seen() {
    let broker = broker();
    let unseen = Mutex::new(Vec::new());
    let plays: Vec<(&Fault, Version)> =
        faults().iter().flat_map(|fault| VERSIONS.map(|version| (fault, version))).collect();
    side_by_side(&plays, |&(fault, version)| {
        let missed = missed(fault, version, &broker);
        unseen.lock().expect("no thread panics while it holds this").extend(missed);
    });
    let unseen = unseen.into_inner().expect("no thread panics while it holds this");
    assert!(unseen.is_empty(), "no scene sees:\n{}", unseen.join("\n"));
}

#[test]
fn each_fault_has_a_name_of_its_own_and_breaks_something() {
    let names: BTreeSet<&str> = faults().iter().map(|fault| fault.name).collect();
    assert_eq!(names.len(), faults().len());
    for fault in faults() {
        let broken = fault.breaks(Version::V311).len() + fault.breaks(Version::V5).len();
        assert!(broken > 0, "{} breaks nothing", fault.name);
    }
}

/// What this fault breaks in this version without a failure of a scene that quotes it, and those scenes.
fn missed(fault: &'static Fault, version: Version, broker: &Target) -> Vec<String> {
    let broken = fault.breaks(version);
    if broken.is_empty() {
        return Vec::new();
    }
    let proxy = Proxy::start(broker.address(), Some(fault)).expect("there is a free port");
    let settings = settings(&proxy, version, broken.iter().cloned());
    let start = Instant::now();
    let report = run(&settings, &|_| {}).expect("the broker can be reached");
    println!("{:5} ms {version:?} {}: {}", start.elapsed().as_millis(), fault.name, fault.says);
    let mut passed: BTreeMap<&str, Vec<&str>> = broken.iter().map(|id| (id.as_str(), Vec::new())).collect();
    for scene in &report.performances {
        let panicked = matches!(&scene.outcome, Outcome::Failed { came, .. } if came == "a panic");
        assert!(!panicked, "{} makes {} panic, which shows nothing", fault.name, scene.name);
        for id in &scene.proves {
            if scene.failed() {
                passed.remove(id.as_str());
            } else if let Some(scenes) = passed.get_mut(id.as_str()) {
                scenes.push(&scene.name);
            }
        }
    }
    let line = |(id, scenes)| format!("{version:?} {} breaks {id}, unseen by {scenes:?}", fault.name);
    passed.into_iter().map(line).collect()
}

/// Does all of this, some at the same time.
fn side_by_side<T: Sync>(items: &[T], action: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..PLAYS_AT_ONCE {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    action(item);
                }
            });
        }
    });
}

fn settings(proxy: &Proxy, version: Version, ids: impl IntoIterator<Item = String>) -> Settings {
    let ids: Vec<String> = ids.into_iter().collect();
    let mut settings = Settings::new(proxy.address());
    settings.versions = vec![version];
    settings.only = Some(ids.join(" "));
    settings.connect_timeout_secs = 2;
    settings.packet_timeout_secs = 3;
    settings
}

fn broker() -> Target {
    let settings = ["limits.connect_timeout_secs=2", "limits.packet_timeout_secs=3"];
    Target::longwire(&program(), &settings).unwrap_or_else(|why| panic!("{why}"))
}

/// The program in the target folder that this test was built into.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().nth(2).expect("tests are built into target/<profile>/deps");
    let program = folder.join(format!("longwire{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is missing: run `cargo build -p longwire` first", program.display());
    program
}
