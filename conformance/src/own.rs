//! Our own broker, judged whole: every scene with the limits it comes with, and those that do not apply to these once
//! more with limits that an operator could choose, until each scene has been played somewhere.

use std::path::Path;

use crate::report::{Outcome, Performance, Report};
use crate::{Settings, Target, run};

/// How long the broker waits for CONNECT and for the rest of a packet while it is judged, seconds: short, because scenes
/// wait for it.
const CONNECT_TIMEOUT_SECS: u64 = 2;
const PACKET_TIMEOUT_SECS: u64 = 3;

/// Limits that scenes ask for, each set for a broker of its own. Those that refuse what scenes of other limits need
/// (many sessions, retained messages, long packets, ordinary keep-alives) come last.
const CHOSEN_LIMITS: [&[&str]; 8] = [
    &["limits.client_id_bytes_max=100", "limits.inflight_max=65_535"],
    &["limits.session_expiry_secs_max=2", "limits.receive_max=3", "limits.topic_alias_max=0"],
    &[
        "limits.journal_bytes_max=300_000",
        "limits.queue_bytes_max=50_000",
        "limits.subscriptions_per_session_max=5",
        "limits.retained_max=3",
        "limits.sys_interval_secs=0",
    ],
    &["limits.sessions_max=5"],
    &["limits.connections_max=10"],
    &[
        "limits.qos_max=1",
        "limits.retain_available=false",
        "limits.wildcard_subscriptions=false",
        "limits.shared_subscriptions=false",
        "limits.subscription_identifiers=false",
    ],
    &["limits.packet_size_max=300"],
    &["limits.keep_alive_secs_max=2"],
];

/// Starts the broker in `program` and plays every scene; the second value is the end of its log.
///
/// # Errors
/// When the program does not start, or cannot be reached.
pub fn judge(program: &Path, progress: &(dyn Fn(&Performance) + Sync)) -> Result<(Report, String), String> {
    let broker = start(program, &[])?;
    let mut report = run(&settings(&broker, None), progress)?;
    let mut log = broker.last_lines();
    for limits in CHOSEN_LIMITS {
        let broker = start(program, limits)?;
        for name in names_left(&report) {
            let again = run(&settings(&broker, Some(name)), &|_| {})?;
            again.performances.into_iter().filter(applies).for_each(|performance| {
                progress(&performance);
                replace(&mut report, performance);
            });
        }
        log = format!("{log}\n{}", broker.last_lines());
    }
    Ok((report, log))
}

fn start(program: &Path, limits: &[&str]) -> Result<Target, String> {
    let timers = [
        format!("limits.connect_timeout_secs={CONNECT_TIMEOUT_SECS}"),
        format!("limits.packet_timeout_secs={PACKET_TIMEOUT_SECS}"),
    ];
    let all: Vec<&str> = timers.iter().map(String::as_str).chain(limits.iter().copied()).collect();
    Target::longwire(program, &all)
}

fn settings(broker: &Target, only: Option<String>) -> Settings {
    Settings {
        only,
        connect_timeout_secs: CONNECT_TIMEOUT_SECS,
        packet_timeout_secs: PACKET_TIMEOUT_SECS,
        ..Settings::new(broker.address())
    }
}

/// Scenes that did not apply to any broker yet.
fn names_left(report: &Report) -> Vec<String> {
    let left = report.performances.iter().filter(|performance| !applies(performance));
    let mut names: Vec<String> = left.map(|performance| performance.name.clone()).collect();
    names.dedup();
    names
}

fn applies(performance: &Performance) -> bool {
    !matches!(performance.outcome, Outcome::NotApplicable { .. })
}

fn replace(report: &mut Report, by: Performance) {
    let same = |old: &&mut Performance| old.name == by.name && old.version == by.version && !applies(old);
    if let Some(old) = report.performances.iter_mut().find(same) {
        *old = by;
    }
}
