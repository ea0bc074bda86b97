//! Do the scenes see? Each fault that a proxy can add to our broker must make scenes fail that quote what it breaks.
//!
//! The control is the same proxy without a fault: whatever fails behind a fault passes there. A fault that is not seen
//! means that a scene is missing or too weak, not that the fault is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

mod support;

use longwire_conformance::{
    Fault, Outcome, Proxy, Report, Settings, Target, Version, catalogue, faults, run,
};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
/// Scenes that are played for a statement before it counts as unseen and the next ones are.
const SCENES_AT_A_TIME: usize = 2;
/// Faults that play at the same time; their scenes mostly wait for what does not come.
const PLAYS_AT_ONCE: usize = 20;

#[test]
fn scenes_pass_through_a_proxy_without_a_fault() {
    let broker = broker();
    let proxy = Proxy::start(broker.address(), None).expect("there is a free port");
    let failures = Mutex::new(Vec::new());
    side_by_side(&VERSIONS, |&version| {
        let ids: BTreeSet<String> = faults().iter().flat_map(|fault| fault.breaks(version)).collect();
        let scenes: BTreeSet<String> =
            ids.iter().flat_map(|id| quoting(id, version).into_iter().take(SCENES_AT_A_TIME)).collect();
        let failed = play(&proxy, version, &scenes).failures().map(ToString::to_string).collect::<Vec<_>>();
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

/// What this fault breaks in this version although no scene that quotes it fails.
fn missed(fault: &'static Fault, version: Version, broker: &Target) -> Vec<String> {
    let proxy = Proxy::start(broker.address(), Some(fault)).expect("there is a free port");
    let start = Instant::now();
    let broken = fault.breaks(version).into_iter();
    let mut unseen: BTreeMap<String, Vec<String>> =
        broken.map(|id| (id.clone(), quoting(&id, version))).collect();
    loop {
        let next = unseen.values_mut().flat_map(|scenes| scenes.drain(..scenes.len().min(SCENES_AT_A_TIME)));
        let next: BTreeSet<String> = next.collect();
        if next.is_empty() {
            break;
        }
        for scene in play(&proxy, version, &next).failures() {
            let panicked = matches!(&scene.outcome, Outcome::Failed { came, .. } if came == "a panic");
            assert!(!panicked, "{} makes {} panic, which shows nothing", fault.name, scene.name);
            unseen.retain(|id, _| !scene.proves.contains(id));
        }
    }
    println!("{:5} ms {version:?} {}: {}", start.elapsed().as_millis(), fault.name, fault.says);
    unseen.into_keys().map(|id| format!("{version:?} {} breaks {id}", fault.name)).collect()
}

/// Names of the scenes that quote this id, those with clocks last.
fn quoting(id: &str, version: Version) -> Vec<String> {
    static SCENES: LazyLock<Vec<(String, Version, Vec<String>)>> =
        LazyLock::new(|| catalogue(&Settings::new(SocketAddr::from(([127, 0, 0, 1], 1883)))));
    let scenes =
        SCENES.iter().rev().filter(|(_, of, proves)| *of == version && proves.iter().any(|own| own == id));
    scenes.map(|(name, ..)| name.clone()).collect()
}

/// Plays the scenes with these names.
fn play(proxy: &Proxy, version: Version, names: &BTreeSet<String>) -> Report {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut settings = Settings::new(proxy.address());
    settings.versions = vec![version];
    settings.only = Some(names.join(" "));
    settings.connect_timeout_secs = 2;
    settings.packet_timeout_secs = 3;
    run(&settings, &|_| {}).expect("the broker can be reached")
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

fn broker() -> Target {
    let settings = ["limits.connect_timeout_secs=2", "limits.packet_timeout_secs=3"];
    Target::longwire(&support::program(), &settings).unwrap_or_else(|why| panic!("{why}"))
}
