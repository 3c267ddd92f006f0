//! What a thousand children leave behind. A file of its own: it counts what the process has.

use std::fs;
use std::process::Command;

use asyncio_executor::spawn_process;
use asyncio_loop::run;
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

/// Behaviour: XTR-17.
#[test]
fn a_thousand_short_lived_children_leave_no_zombie_no_descriptor_and_no_thread() {
    fn count(directory: &str) -> usize {
        fs::read_dir(directory).unwrap().count()
    }
    run(async {
        let mut before = None;
        for _ in 0..20 {
            let children = (0..50).map(|_| spawn_process(Command::new("true")).unwrap());
            for (number, child) in Vec::from_iter(children).into_iter().enumerate() {
                // Half of them have nobody who waits.
                if number % 2 == 0 {
                    assert_eq!(child.wait().await, 0);
                }
            }
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            while waitid(WaitId::All, look).map(drop) != Err(Errno::CHILD) {
                asyncio_coro::yield_now().await;
            }
            let after = (count("/proc/self/fd"), count("/proc/self/task"));
            assert_eq!(*before.get_or_insert(after), after);
        }
    })
    .unwrap();
}
