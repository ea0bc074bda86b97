//! The simulator: many random histories of a whole broker, and the proof that it finds faults.

use crate::command::stream;
use crate::command::{cargo, command, root, run as run_command};
use crate::tally::Tally;

/// Histories of a test run.
const SEEDS: &str = "2000";

/// Where the simulator with faults in it is built, apart from the one without.
const TEETH_FOLDER: &str = "target/teeth";

/// `cargo xtask sim [--seeds N] [--from N] [--seed N] [--teeth] [--tooth NAME]`.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let has_teeth = arguments.iter().any(|argument| argument == "--teeth" || argument == "--tooth");
    run_command(simulator(has_teeth)?.args(arguments))
}

/// Histories, which together count as one test, and every fault that has to be noticed, each of which counts as one.
pub(crate) fn run_all(tally: &mut Tally) -> Result<(), String> {
    let histories = simulator(false).and_then(|mut sim| run_command(sim.args(["--seeds", SEEDS])));
    if let Err(why) = &histories {
        println!("simulator: {why}");
    }
    tally.add(histories.is_ok());
    let failed_before = tally.failed;
    let succeeded = match simulator(true) {
        Ok(mut sim) => stream(sim.arg("--teeth"), |line| tally.add_line(line))?,
        Err(why) => {
            println!("simulator with teeth: {why}");
            false
        }
    };
    if !succeeded && tally.failed == failed_before {
        tally.add(false);
    }
    Ok(())
}

/// The built simulator.
fn simulator(has_teeth: bool) -> Result<std::process::Command, String> {
    let mut build = cargo(&["build", "--quiet", "--profile", "sim", "--package", "longwire-sim"]);
    let folder = if has_teeth {
        build.args(["--features", "teeth", "--target-dir", TEETH_FOLDER]);
        TEETH_FOLDER
    } else {
        "target"
    };
    run_command(&mut build)?;
    Ok(command(root().join(folder).join("sim/longwire-sim"), &[]))
}
