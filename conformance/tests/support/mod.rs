//! Where the broker is that the tests start.

use std::path::PathBuf;

/// The program in the target folder that this test was built into.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().nth(2).expect("tests are built into target/<profile>/deps");
    let program = folder.join(format!("longwire{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is missing: run `cargo build -p longwire` first", program.display());
    program
}
