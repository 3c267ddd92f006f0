//! Children of a process that was started with SIGCHLD ignored, as some supervisors do: the kernel reaps them itself.

use std::process::{Command, Stdio};
use std::{env, fs};

use asyncio_executor::spawn_process;
use asyncio_loop::run;

const INSIDE: &str = "ASYNCIO_TEST_SIGCHLD_IGNORED";

/// The signal mask of ignored signals of this process, as the kernel shows it; SIGCHLD is number 17 on Linux.
fn sigchld_is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() >> 16 & 1 == 1
}

#[test]
fn with_sigchld_ignored_a_wait_ends_and_a_late_signal_reaches_nobody() {
    if env::var_os(INSIDE).is_none() {
        // What is ignored stays so in what a process becomes.
        let mut again = Command::new("env");
        again.arg("--ignore-signal=CHLD").arg(env::current_exe().unwrap()).arg("--nocapture");
        let output = again.env(INSIDE, "1").output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        if errors.contains("ignore-signal") {
            println!("skipped: this system's env cannot ignore signals");
            return;
        }
        assert!(output.status.success(), "{errors}");
        return;
    }
    assert!(sigchld_is_ignored());
    run(async {
        for _ in 0..50 {
            let mut command = Command::new("cat");
            let mut slow = spawn_process(command.stdin(Stdio::piped())).unwrap();
            let quick = spawn_process(Command::new("true")).unwrap();
            assert_eq!(quick.wait().await, 255, "the kernel has its code");
            assert!(quick.kill().is_err());
            slow.terminate().unwrap();
            assert_eq!(slow.wait().await, 255);
            assert!(slow.kill().is_err());
            drop(slow.take_stdin());
        }
    })
    .unwrap();
}
