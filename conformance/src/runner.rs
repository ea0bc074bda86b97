//! Plays scenes on a pool of threads and gathers how they went.
//!
//! Scenes share nothing but the broker. Those that would hear all others (a subscription to `#`) play one by one
//! after the rest. Versions that the target does not speak are not played; a target that goes away meanwhile does not
//! end the run, and each scene says for itself that it could not be played.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use longwire_proto::Version;

use crate::Settings;
use crate::failure::Failure;
use crate::greeting::{Greeting, greet};
use crate::report::{Outcome, Performance, Report, version_name};
use crate::scenes::{Scene, all};
use crate::stage::Stage;

/// Plays every selected scene; `progress` is told of each one as it ends.
///
/// # Errors
/// When the broker cannot be reached, lets nobody in, or speaks none of the versions, or when no scene is selected.
pub fn run(settings: &Settings, progress: &(dyn Fn(&Performance) + Sync)) -> Result<Report, String> {
    let selected = selection(settings);
    if selected.is_empty() {
        return Err("no scene matches; --list shows all of them".to_owned());
    }
    let start = Instant::now();
    let (spoken, not_spoken) = versions(settings)?;
    let mut performances: Vec<Performance> =
        not_spoken.iter().flat_map(|(version, why)| not_applicable(&selected, *version, why)).collect();
    performances.iter().for_each(progress);
    let playable = selected.into_iter().filter(|(_, version)| spoken.contains(version));
    let (alone, together): (Vec<_>, Vec<_>) = playable.partition(|(scene, _)| scene.alone);
    performances.extend(play_all(settings, &together, settings.threads, progress));
    performances.extend(play_all(settings, &alone, 1, progress));
    performances.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
    Ok(Report { target: settings.address.to_string(), performances, elapsed: start.elapsed() })
}

/// The versions that the target speaks, and those that it does not, each with the sign of that.
type Versions = (Vec<Version>, Vec<(Version, String)>);

fn versions(settings: &Settings) -> Result<Versions, String> {
    let (mut spoken, mut not_spoken) = (Vec::new(), Vec::new());
    for &version in &settings.versions {
        match greet(settings.address, version) {
            Greeting::Welcome => spoken.push(version),
            Greeting::OtherVersion(sign) => {
                not_spoken.push((
                    version,
                    format!("the target does not speak MQTT {}: {sign}", version_name(version)),
                ));
            }
            Greeting::Refusal(obstacle) => return Err(format!("{}: {obstacle}", settings.address)),
        }
    }
    match (&spoken[..], &not_spoken[..]) {
        ([], [(_, why), ..]) => Err(format!("{}: {why}", settings.address)),
        _ => Ok((spoken, not_spoken)),
    }
}

fn not_applicable(selected: &[(Scene, Version)], version: Version, why: &str) -> Vec<Performance> {
    let scenes = selected.iter().filter(|(_, of)| *of == version);
    let told = scenes.map(|(scene, _)| Performance {
        name: scene.name(),
        version,
        proves: scene.proves(version),
        outcome: Outcome::NotApplicable { why: why.to_owned() },
        elapsed: Duration::ZERO,
        transcript: Vec::new(),
    });
    told.collect()
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
    let playable = pairs.filter(|(scene, version)| scene.plays_in(*version));
    let Some(only) = &settings.only else { return playable.collect() };
    let named: Vec<_> = playable.map(|pair| (pair, pair.0.name(), pair.0.proves(pair.1))).collect();
    let ids: BTreeSet<&str> = named.iter().flat_map(|(.., proves)| proves).map(String::as_str).collect();
    let (whole, parts): (Vec<&str>, Vec<&str>) = only.split_whitespace().partition(|word| ids.contains(word));
    let wanted = |name: &str, proves: &[String]| {
        whole.iter().any(|word| proves.iter().any(|id| id == word))
            || parts.iter().any(|word| name.contains(word) || proves.iter().any(|id| id.contains(word)))
    };
    named.iter().filter(|(_, name, proves)| wanted(name, proves)).map(|(pair, ..)| *pair).collect()
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
        Ok(Err(Failure::Unreachable(why))) => Outcome::NotPlayed { why },
        Err(_) => {
            Outcome::Failed { expected: "a scene without a bug".to_owned(), came: "a panic".to_owned() }
        }
    };
    let transcript = stage.transcript.lines();
    stage.sweep();
    Performance { name: scene.name(), version, proves: scene.proves(version), outcome, elapsed, transcript }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn whole_id_selects_no_longer_one() {
        let selected = selected_by("MQTT-3.3.1-1");
        assert!(!selected.is_empty());
        for (_, _, proves) in selected {
            assert!(proves.iter().any(|id| id == "MQTT-3.3.1-1"), "{proves:?}");
        }
    }

    #[test]
    fn several_words_select_what_each_of_them_selects() {
        let both = selected_by("A01 qos::").len();
        assert!(both >= selected_by("A01").len().max(selected_by("qos::").len()));
        assert_eq!(selected_by("A01 A01").len(), selected_by("A01").len());
    }

    #[test]
    fn part_of_an_id_selects_all_that_contain_it() {
        assert!(selected_by("MQTT-3.3.1").len() > selected_by("MQTT-3.3.1-1").len());
    }

    fn selected_by(only: &str) -> Vec<(String, Version, Vec<String>)> {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1883));
        catalogue(&Settings { only: Some(only.to_owned()), ..Settings::new(nowhere) })
    }
}
