//! The figures as a page: medians, ratios to the peers, and what we aim at.

use std::fmt::Write;

use crate::bench::micro::Micro;
use crate::bench::peer::{LONGWIRE_OPTIONS, MOSQUITTO_SETTINGS, Peer};
use crate::bench::scenario::{Aim, Row, SCENARIOS, Scenario};
use crate::bench::{Options, Outcome};

const HEAD: &str = "\
# Performance

<!-- Written by `cargo xtask bench`. Change xtask/src/bench, not this file. -->

What longwire costs, measured against two peers in one run: a *null relay*, which only finds the boundaries of packets,
gives canned answers and copies bytes, and so shows what the system itself costs (`crates/net/examples/relay.rs`); and
Debian's Mosquitto. Figures of one machine mean little on another; the ratios mean more. To measure again:

    cargo xtask bench
";

const METHOD: &str = "\
## Method

Each peer is started anew for each load and runs on one processor; the load, `longwire bench` with one thread, runs on
another, over loopback, speaking 3.1.1 with payloads of 64 bytes where nothing else is said. Loads and peers take turns,
and everything is repeated; the median is shown, and the span of the repetitions where it says so.

- *CPU* is the time that the peer's threads were on a processor, in user space and in the system, as
  `/proc/PID/task/*/schedstat` counts it, divided by the messages received. A second of warming up is left out. Work
  that the system does for a socket counts for whoever was running: most of it for the sender.
- *Closed loop*: a publisher has at most a window of messages that are not with all their receivers (and acknowledged,
  at QoS 1 and 2), and sends again when half of the window is free. So no peer is flooded, none drops anything, and a
  write of the load carries about half a window whatever the peer. How much CPU a message costs depends a lot on how
  many share a read and a write.
- *Memory* is resident memory (`Rss` in `smaps_rollup`) after 15,000 clients have connected and subscribed, less what it
  was before, divided by their number. What the system holds for a socket is not in it.
- Every message carries the number its publisher gave it; a receiver that misses one, or sees one twice or out of order,
  fails the run.
";

const LIMITS: &str = "\
## What the figures do not say

- Little about delay. A closed loop that keeps a broker busy says how much work fits into a second. What a lone message
  takes is in the last rows, and is mostly two wake-ups of the system, with every peer.
- Nothing about more than one processor, real networks, TLS, or sessions that outlive their connections.
- The relay is no broker: it does not look into topics beyond finding the receivers of exactly this one, keeps nothing
  for anybody, and passes packet identifiers through. It is a floor, not a rival.
- Mosquitto writes each message by itself, which a window full of messages makes look as bad as it can; with a message
  now and then the difference is smaller. Its settings here forbid it to drop anything and keep nothing on disk.
- Connections that were idle since they subscribed cost least. One that has just sent or received may hold more for a
  while.
- A virtual machine shares its processors with others: a few per cent either way are noise.
";

/// The page.
pub(super) fn write(
    options: &Options,
    machine: &[(&str, String)],
    processors: (usize, usize),
    results: &[Outcome],
    micro: &[Micro],
) -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n| | |\n|---|---|\n");
    for (name, value) in machine {
        line(&mut page, &[(*name).to_owned(), value.clone()]);
    }
    let command = ["cargo xtask bench"].into_iter().chain(options.arguments.iter().map(String::as_str));
    line(&mut page, &["command".into(), format!("`{}`", command.collect::<Vec<_>>().join(" "))]);
    let (broker, load) = processors;
    line(&mut page, &["processors".into(), format!("{broker} for the peer, {load} for the load")]);
    line(&mut page, &["repetitions".into(), format!("{} of {} s", options.repeats, options.seconds)]);

    figures(&mut page, results);
    losses(&mut page, results);
    page.push('\n');
    page.push_str(METHOD);
    settings(&mut page);
    loads(&mut page, results);
    functions(&mut page, micro);
    page.push('\n');
    page.push_str(LIMITS);
    page
}

fn line(page: &mut String, cells: &[String]) {
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

/// The rows of all scenarios that ran, with their ratios and aims.
fn figures(page: &mut String, results: &[Outcome]) {
    page.push_str("\n## Figures\n\n");
    page.push_str("| | longwire (span) | relay | ratio | Mosquitto | ratio | aim | met |\n");
    page.push_str("|---|---|---|---|---|---|---|---|\n");
    for scenario in ran(results) {
        for row in scenario.rows {
            let values = |peer| values_of(results, scenario, row, peer);
            let [own, relay, mosquitto] = [Peer::Longwire, Peer::Relay, Peer::Mosquitto].map(values);
            let aims = row.aims.iter().map(describe);
            let met = row.aims.iter().filter_map(|aim| {
                let most = match *aim {
                    Aim::AtMost(most) => Some(most),
                    Aim::Times(factor, peer) => median(&values(peer)).map(|value| value * factor),
                };
                Some(if median(&own)? <= most? { "yes" } else { "**no**" })
            });
            line(
                page,
                &[
                    row.name.into(),
                    with_span(&own),
                    number(median(&relay)),
                    number(ratio(&own, &relay)),
                    number(median(&mosquitto)),
                    number(ratio(&own, &mosquitto)),
                    aims.collect::<Vec<_>>().join("; "),
                    met.collect::<Vec<_>>().join("; "),
                ],
            );
        }
    }
}

fn describe(aim: &Aim) -> String {
    match aim {
        Aim::AtMost(most) => format!("<= {most}"),
        Aim::Times(factor, peer) => format!("<= {factor} x {}", peer.name()),
    }
}

/// What was not delivered exactly once and in order, which should be nothing.
fn losses(page: &mut String, results: &[Outcome]) {
    page.push_str("\nMessages that arrived, and those that were lost, came twice or out of order, over all repetitions: ");
    let mut parts = Vec::new();
    for peer in [Peer::Longwire, Peer::Relay, Peer::Mosquitto] {
        let of_peer = || results.iter().filter(move |result| result.peer == peer);
        let sum = |key| of_peer().filter_map(|result| result.figure(key)).sum::<f64>();
        if of_peer().next().is_some() {
            let (name, [received, lost, twice, disorder]) =
                (peer.name(), ["received", "lost", "duplicated", "reordered"].map(sum));
            parts.push(format!("{name} {received}, {lost}, {twice} and {disorder}"));
        }
    }
    let _ = writeln!(page, "{}.", parts.join("; "));
}

fn settings(page: &mut String) {
    let _ = write!(
        page,
        "\nlongwire: `serve --listen mqtt://127.0.0.1:PORT {}`. Relay: nothing to set. Mosquitto:\n\n    listener PORT 127.0.0.1\n",
        LONGWIRE_OPTIONS.join(" ")
    );
    for setting in MOSQUITTO_SETTINGS.lines() {
        let _ = writeln!(page, "    {setting}");
    }
}

/// The loads, and how busy both sides were.
fn loads(page: &mut String, results: &[Outcome]) {
    page.push_str("\n## Loads\n\n");
    page.push_str(
        "How busy each side was, as a share of its processor: a peer below 1 waited for the load.\n\n",
    );
    page.push_str("| load | `longwire bench` | longwire / load | relay / load | Mosquitto / load | longwire per second |\n");
    page.push_str("|---|---|---|---|---|---|\n");
    for scenario in ran(results) {
        let of = |key, peer| {
            let matching =
                results.iter().filter(|result| result.peer == peer && result.scenario.name == scenario.name);
            median(&matching.filter_map(|result| result.figure(key)).collect::<Vec<_>>())
        };
        let shares = |peer| {
            format!("{} / {}", number(of("broker_cpu_share", peer)), number(of("own_cpu_share", peer)))
        };
        let per_second =
            of("messages_per_second", Peer::Longwire).or(of("connections_per_second", Peer::Longwire));
        line(
            page,
            &[
                scenario.name.into(),
                format!("`{}`", scenario.load.join(" ")),
                shares(Peer::Longwire),
                shares(Peer::Relay),
                shares(Peer::Mosquitto),
                number(per_second),
            ],
        );
    }
}

fn functions(page: &mut String, micro: &[Micro]) {
    if micro.is_empty() {
        return;
    }
    page.push_str(
        "\n## Single functions\n\nBriefly measured by criterion (`cargo bench`), on any processor.\n\n",
    );
    page.push_str("| | ns |\n|---|---|\n");
    for Micro { name, nanoseconds } in micro {
        line(page, &[name.clone(), nanoseconds.clone()]);
    }
}

fn ran(results: &[Outcome]) -> impl Iterator<Item = &'static Scenario> {
    let has_run = |scenario: &&Scenario| results.iter().any(|result| result.scenario.name == scenario.name);
    SCENARIOS.iter().filter(has_run)
}

fn values_of(results: &[Outcome], scenario: &Scenario, row: &Row, peer: Peer) -> Vec<f64> {
    let matching =
        results.iter().filter(|result| result.peer == peer && result.scenario.name == scenario.name);
    matching.filter_map(|result| result.figure(row.key)).collect()
}

/// The middle value; of an even number, the lower of the two in the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

fn ratio(own: &[f64], other: &[f64]) -> Option<f64> {
    Some(median(own)? / median(other)?)
}

fn with_span(values: &[f64]) -> String {
    let bounds = values.iter().copied().reduce(f64::min).zip(values.iter().copied().reduce(f64::max));
    match bounds {
        Some((least, most)) => {
            format!("{} ({} to {})", number(median(values)), number(Some(least)), number(Some(most)))
        }
        None => number(None),
    }
}

/// Three digits or so, as many as the measurement bears.
fn number(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(1.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn numbers_have_three_digits() {
        let texts = [1234.5, 12.34, 0.1234].map(|value| number(Some(value)));
        assert_eq!(texts, ["1234", "12.3", "0.12"]);
    }
}
