//! The logs are what the Python of this machine says, where there is one that can.

use std::path::Path;
use std::process::Command;

#[test]
fn the_recorded_logs_are_what_python_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root");
    let is_it = Command::new("python3")
        .args(["-c", "import sys; sys.exit(sys.version_info[:2] != (3, 11))"])
        .status();
    if !is_it.is_ok_and(|status| status.success()) {
        eprintln!(
            "skipped: there is no python3 of version 3.11, with which the logs were recorded"
        );
        return;
    }
    let checked = Command::new("python3")
        .args(["tests/parity/record.py", "--check"])
        .current_dir(root)
        .output()
        .expect("python3 runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
