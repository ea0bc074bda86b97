//! Plays scenes on a pool of threads and gathers how they went.
//!
//! Scenes share nothing but the broker. Those that would hear all others (a subscription to `#`) play one by one
//! after the rest.

use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use longwire_proto::Version;

use crate::Settings;
use crate::failure::Failure;
use crate::report::{Outcome, Performance, Report};
use crate::scenes::{Scene, all};
use crate::stage::Stage;

/// How long the broker may take to accept the first connection.
const REACHABLE_WITHIN: Duration = Duration::from_secs(5);

/// Plays every selected scene; `progress` is told of each one as it ends.
///
/// # Errors
/// When the broker cannot be reached, or no scene is selected.
pub fn run(settings: &Settings, progress: &(dyn Fn(&Performance) + Sync)) -> Result<Report, String> {
    TcpStream::connect_timeout(&settings.address, REACHABLE_WITHIN)
        .map_err(|error| format!("no broker at {}: {error}", settings.address))?;
    let selected = selection(settings);
    if selected.is_empty() {
        return Err("no scene matches; --list shows all of them".to_owned());
    }
    let start = Instant::now();
    let (alone, together): (Vec<_>, Vec<_>) = selected.into_iter().partition(|(scene, _)| scene.alone);
    let mut performances = play_all(settings, &together, settings.threads, progress);
    performances.extend(play_all(settings, &alone, 1, progress));
    performances.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
    Ok(Report { target: settings.address.to_string(), performances, elapsed: start.elapsed() })
}

/// Name, version and ids of every selected scene.
pub fn catalogue(settings: &Settings) -> Vec<(String, Version, Vec<String>)> {
    let listed = selection(settings).into_iter();
    listed.map(|(scene, version)| (scene.name(), version, scene.proves(version))).collect()
}

fn selection(settings: &Settings) -> Vec<(Scene, Version)> {
    let scenes = all();
    let pairs =
        scenes.iter().flat_map(|scene| settings.versions.iter().map(move |&version| (*scene, version)));
    pairs.filter(|(scene, version)| scene.plays_in(*version) && wanted(settings, scene, *version)).collect()
}

fn wanted(settings: &Settings, scene: &Scene, version: Version) -> bool {
    settings.only.as_ref().is_none_or(|text| {
        scene.name().contains(text.as_str())
            || scene.proves(version).iter().any(|id| id.contains(text.as_str()))
    })
}

fn play_all(
    settings: &Settings,
    scenes: &[(Scene, Version)],
    threads: usize,
    progress: &(dyn Fn(&Performance) + Sync),
) -> Vec<Performance> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(scenes.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, scenes.len().max(1)) {
            scope.spawn(|| {
                while let Some((scene, version)) = scenes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let performance = play(settings, scene, *version);
                    let mut done = done.lock().expect("no thread panics while it holds this");
                    progress(&performance);
                    done.push(performance);
                }
            });
        }
    });
    done.into_inner().expect("no thread panics while it holds this")
}

fn play(settings: &Settings, scene: &Scene, version: Version) -> Performance {
    let stage = Stage::new(settings, version);
    let start = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| scene.perform(&stage)));
    let elapsed = start.elapsed();
    let outcome = match result {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(Failure::NotApplicable(why))) => Outcome::NotApplicable { why },
        Ok(Err(Failure::Differs { expected, came })) => Outcome::Failed { expected, came },
        Ok(Err(Failure::Unreachable(why))) => {
            Outcome::Failed { expected: "a broker that accepts connections".to_owned(), came: why }
        }
        Err(_) => {
            Outcome::Failed { expected: "a scene without a bug".to_owned(), came: "a panic".to_owned() }
        }
    };
    let transcript = stage.transcript.lines();
    stage.sweep();
    Performance { name: scene.name(), version, proves: scene.proves(version), outcome, elapsed, transcript }
}
