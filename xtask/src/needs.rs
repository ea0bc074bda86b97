//! What the tests need from outside Cargo: other people's MQTT programs, by their names at Debian, PyPI and npm.
//!
//! What belongs to one project only goes into `.test-env/`; Debian's packages need root or `sudo` without a password.
//! What is there already is left alone, so that a second run costs a fraction of a second.

use std::fs;
use std::path::PathBuf;

use crate::command::{command, find, root, run, succeeds};

/// A package that could not be installed.
pub(crate) struct Missing {
    /// Its name and where it comes from.
    pub(crate) package: &'static str,
    /// What failed, and what to do about it.
    pub(crate) why: String,
    /// Parts of the names of the tests that cannot run without it.
    pub(crate) tests: &'static [&'static str],
}

struct Need {
    package: &'static str,
    tests: &'static [&'static str],
    is_present: fn() -> bool,
    install: fn() -> Result<(), String>,
}

const NEEDS: [Need; 4] = [
    Need {
        package: "mosquitto-clients (Debian)",
        tests: &["mosquitto::", "with_mosquitto"],
        is_present: || {
            ["mosquitto_pub", "mosquitto_sub", "mosquitto_rr"].into_iter().all(|name| find(name).is_some())
        },
        install: || install_debian(&["mosquitto-clients"]),
    },
    Need {
        package: "mosquitto (Debian)",
        tests: &["mosquitto::as_broker", "library::at_mosquitto"],
        is_present: || find("mosquitto").is_some(),
        install: || install_debian(&["mosquitto"]),
    },
    Need {
        package: "paho-mqtt (PyPI)",
        tests: &["paho::"],
        is_present: paho_is_present,
        install: install_paho,
    },
    Need {
        package: "mqtt (npm)",
        tests: &["mqttjs::"],
        is_present: mqttjs_is_present,
        install: install_mqttjs,
    },
];

/// Installs what is not there yet, and returns what cannot be installed.
pub(crate) fn install() -> Vec<Missing> {
    let absent = NEEDS.into_iter().filter(|need| !(need.is_present)());
    absent
        .filter_map(|Need { package, tests, is_present, install }| {
            let outcome = install().and_then(|()| {
                is_present()
                    .then_some(())
                    .ok_or_else(|| "it was installed, and is not found all the same".into())
            });
            outcome.err().map(|why| Missing { package, why, tests })
        })
        .collect()
}

fn paho_is_present() -> bool {
    let version =
        "import importlib.metadata as m, sys; sys.exit(not m.version('paho-mqtt').startswith('2.2.'))";
    succeeds(&mut command(folder("python/bin/python"), &["-c", version]))
}

fn install_paho() -> Result<(), String> {
    let target = folder("python").display().to_string();
    let make = || run(&mut command("python3", &["-m", "venv", "--clear", &target]));
    if make().is_err() {
        install_debian(&["python3-venv"])?;
        make()?;
    }
    let pip = folder("python/bin/pip");
    run(&mut command(pip, &["install", "--quiet", "--disable-pip-version-check", "paho-mqtt==2.2.*"]))
}

fn mqttjs_is_present() -> bool {
    let manifest = fs::read_to_string(folder("node/node_modules/mqtt/package.json")).unwrap_or_default();
    find("node").is_some() && manifest.contains("\"version\": \"5.16.")
}

fn install_mqttjs() -> Result<(), String> {
    if find("node").is_none() || find("npm").is_none() {
        install_debian(&["nodejs", "npm"])?;
    }
    let target = folder("node");
    fs::create_dir_all(&target).map_err(|error| format!("{} cannot be made: {error}", target.display()))?;
    let target = target.display().to_string();
    run(&mut command("npm", &["install", "--no-audit", "--no-fund", "--prefix", &target, "mqtt@5.16"]))
}

/// A place below the folder that `.gitignore` names.
fn folder(path: &str) -> PathBuf {
    root().join(".test-env").join(path)
}

/// Installs packages of Debian or its kin. The broker among them comes as a service, which is neither started now nor
/// at the next boot: tests start their own.
const INSTALL_DEBIAN: &str = r#"
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod 755 $policy
fi
apt-get install --yes --no-install-recommends "$@" || {
    apt-get update
    apt-get install --yes --no-install-recommends "$@"
}
if [ -d /run/systemd/system ]; then
    for name in "$@"; do
        [ ! -e "/lib/systemd/system/$name.service" ] || systemctl disable "$name.service"
    done
fi
"#;

fn install_debian(packages: &[&str]) -> Result<(), String> {
    let by_hand = format!("install it by hand: apt-get install {}", packages.join(" "));
    if find("apt-get").is_none() {
        return Err(format!("there is no apt-get here; {by_hand}"));
    }
    let mut script = if is_root() {
        command("sh", &["-c", INSTALL_DEBIAN, "sh"])
    } else if succeeds(&mut command("sudo", &["-n", "true"])) {
        command("sudo", &["-n", "sh", "-c", INSTALL_DEBIAN, "sh"])
    } else {
        return Err(format!("it needs root; {by_hand}"));
    };
    println!("\n# apt-get install {}", packages.join(" "));
    match script.args(packages).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("apt-get failed with {status}; {by_hand}")),
        Err(error) => Err(format!("apt-get does not start: {error}; {by_hand}")),
    }
}

fn is_root() -> bool {
    let id = command("id", &["-u"]).output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
