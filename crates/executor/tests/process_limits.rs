//! Starting children while descriptors run out. A file of its own: the limit is the process's.

use std::fs;
use std::process::{Command, Stdio};

use asyncio_executor::spawn_process;
use asyncio_loop::run;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, WaitId, WaitIdOptions, getrlimit, setrlimit, waitid};

/// At each number of free descriptors a start either works or fails, and leaves nothing behind.
#[test]
fn a_start_that_runs_out_of_descriptors_half_way_leaves_no_child_and_no_descriptor() {
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count() - 1;
    let limit = getrlimit(Resource::Nofile);
    run(async {
        let start = || {
            let piped = Stdio::piped;
            spawn_process(Command::new("cat").stdin(piped()).stdout(piped()).stderr(piped()))
        };
        // What the first one makes for good is not to be counted.
        let first = start().unwrap();
        first.kill().unwrap();
        first.wait().await;
        drop(first);
        let before = descriptors();
        let (mut failed, mut started) = (0, 0);
        for free in 0..16 {
            let current = Some((before + free) as u64);
            setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
            let result = start();
            setrlimit(Resource::Nofile, limit).unwrap();
            match result {
                Err(_) => failed += 1,
                Ok(child) => {
                    started += 1;
                    child.kill().unwrap();
                    assert_eq!(child.wait().await, -9);
                }
            }
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            while waitid(WaitId::All, look).map(drop) != Err(Errno::CHILD) {
                asyncio_coro::yield_now().await;
            }
            assert_eq!(descriptors(), before, "with {free} descriptors free");
        }
        assert!(failed > 0 && started > 0, "{failed} failed, {started} started");
    })
    .unwrap();
}
