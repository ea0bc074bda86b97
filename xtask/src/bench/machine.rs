//! The machine and the programs that figures belong to.

use std::fs;

use crate::command::{command, find};

/// The processors that this process may use, in ascending order.
pub(super) fn processors() -> Result<Vec<usize>, String> {
    let status =
        fs::read_to_string("/proc/self/status").map_err(|error| format!("no Linux here: {error}"))?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    Ok(parse_list(list.trim()))
}

/// A list of numbers and ranges such as `0-3,8`.
fn parse_list(list: &str) -> Vec<usize> {
    let ranges = list.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<usize>().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

/// Name and value of everything worth knowing about where and when the figures were taken.
pub(super) fn describe() -> Vec<(&'static str, String)> {
    let release = read_word("/proc/sys/kernel/osrelease");
    let memory = field("/proc/meminfo", "MemTotal").trim_end_matches("kB").trim().parse().unwrap_or(0u64);
    let count = processors().map_or(0, |processors| processors.len());
    vec![
        ("date", first_line("date", &["--utc", "+%Y-%m-%d %H:%M UTC"])),
        ("processor", format!("{} x {}", count, field("/proc/cpuinfo", "model name"))),
        ("memory", format!("{} MiB", memory / 1024)),
        ("system", format!("Linux {release}, {}", field("/etc/os-release", "PRETTY_NAME").trim_matches('"'))),
        ("load average before", load_average()),
        ("compiler", first_line("rustc", &["--version"])),
        ("longwire", first_line("git", &["describe", "--always", "--dirty", "--abbrev=10"])),
        ("mosquitto", mosquitto_version()),
    ]
}

/// How many threads wanted a processor in the minute before, which should be none.
fn load_average() -> String {
    let average = read_word("/proc/loadavg");
    let is_busy = average.parse().is_ok_and(|average: f64| average > 1.0);
    average
        + if is_busy {
            ": the machine had other work, so that figures vary more than they should"
        } else {
            ""
        }
}

fn mosquitto_version() -> String {
    find("mosquitto")
        .map_or_else(|| "not installed".into(), |program| first_line(&program.display().to_string(), &["-h"]))
}

/// The first line that a program prints, or nothing.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = command(program, arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

/// The first word of a file, or nothing.
fn read_word(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

/// The first value of a name in a file of lines `name: value` or `name=value`, or nothing.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix([':', '=']));
    value.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_may_have_ranges() {
        assert_eq!(parse_list("0-2,5,7-8"), [0, 1, 2, 5, 7, 8]);
    }
}
