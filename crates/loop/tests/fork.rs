//! What the child of a `fork` sees of its parent's loops: nothing. And what it may do with its own.
//!
//! A program and not a harness' test, since a forked child must be alone in its process: each scenario forks on the only
//! thread of a process of its own.
#![expect(unsafe_code, reason = "fork")]

#[path = "support/scenario.rs"]
mod scenario;

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{self, ExitCode, ExitStatus};
use std::rc::Rc;
use std::time::Duration;

use asyncio_coro::{StreamExt, current_task, yield_now};
use asyncio_loop::{
    EventLoop, IoHandle, IoHandler, Ready, RunError, Signal, SignalError, get_running_loop, run,
    signals, testing,
};
use scenario::{Kind, Row, raise};

fn main() -> ExitCode {
    scenario::run_all(SCENARIOS)
}

/// What the parent expects of a child that checks everything itself.
const SUCCEEDS: fn(scenario::Scenario) = |scenario| assert_eq!(scenario.end().code(), Some(0));

const SCENARIOS: &[Row] = &[
    (
        // Behaviour: UNX-31.
        "a_child_has_no_current_task_and_no_running_loop",
        || {
            run(async {
                assert!(current_task().is_some());
                in_child(|| {
                    assert!(current_task().is_none());
                    let error = get_running_loop().unwrap_err();
                    assert_eq!(error.to_string(), "no running event loop in this thread");
                });
                assert!(current_task().is_some() && get_running_loop().is_ok());
            })
            .unwrap();
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        // Behaviour: XTR-19.
        "a_child_of_a_running_loop_has_none_and_wakes_nobody",
        || {
            for event_loop in [EventLoop::new().unwrap(), testing::portable_loop().unwrap()] {
                let heard = Rc::new(Cell::new(0));
                event_loop
                    .add_signal_handler(Signal::SIGUSR1, {
                        let heard = heard.clone();
                        move || heard.set(heard.get() + 1)
                    })
                    .unwrap();
                let handle = event_loop.handle();
                let inside = event_loop.clone();
                let main = async move {
                    in_child(|| {
                        assert!(get_running_loop().is_err() && current_task().is_none());
                        assert!(inside.is_closed() && !inside.is_running());
                        assert!(handle.is_closed() && !handle.is_current());
                        let refused = handle.call_soon_threadsafe(|| unreachable!()).unwrap_err();
                        assert_eq!(refused.to_string(), PARENTS_LOOP);
                    });
                    let status = in_child_that_dies(|| raise(Kind::USR1));
                    assert_eq!(status.signal(), Some(libc::SIGUSR1), "nobody there listens");
                    yield_now().await;
                };
                testing::run_with(&event_loop, main).unwrap();
                assert_eq!(heard.get(), 0, "what the child got is the child's");
            }
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        // Behaviour: UNX-32.
        "a_signal_to_the_child_runs_the_childs_handler_and_not_the_parents",
        || {
            run(async {
                let event_loop = get_running_loop().unwrap();
                let called = Rc::new(Cell::new(0));
                let counter = called.clone();
                event_loop
                    .add_signal_handler(Signal::SIGTERM, move || counter.set(counter.get() + 1))
                    .unwrap();
                // Without a handler of its own it does what it did before the parent's loop listened.
                let status = in_child_that_dies(|| raise(Kind::TERM));
                assert_eq!(status.signal(), Some(libc::SIGTERM));
                in_child(|| {
                    let main = async {
                        let mut signals = signals([Signal::SIGTERM]).unwrap();
                        raise(Kind::TERM);
                        assert_eq!(signals.next().await, Some(Signal::SIGTERM));
                    };
                    run(main).unwrap();
                });
                yield_now().await;
                assert_eq!(called.get(), 0);
                raise(Kind::TERM);
                yield_now().await;
                yield_now().await;
                assert_eq!(called.get(), 1, "the parent listens as before");
            })
            .unwrap();
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_child_runs_a_loop_of_its_own_with_timers_and_descriptors",
        || {
            run(async {
                in_child(|| {
                    let echoed = run(async {
                        let (ours, theirs) = UnixStream::pair().unwrap();
                        let ours = IoHandle::new(ours).unwrap();
                        get_running_loop().unwrap().call_later(Duration::from_millis(1), {
                            move || (&theirs).write_all(b"hello").unwrap()
                        });
                        let mut buffer = [0; 8];
                        let n = ours.read_with(|mut s| s.read(&mut buffer)).await.unwrap();
                        buffer[..n].to_vec()
                    });
                    assert_eq!(echoed.unwrap(), b"hello");
                });
                yield_now().await;
            })
            .unwrap();
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "the_first_ctrl_c_in_a_childs_own_run_cancels_its_main_and_not_the_parents",
        || {
            run(async {
                // A parent that listens to it itself is no reason for the child's `run` not to hear it.
                let _listens = signals([Signal::SIGINT]).unwrap();
                in_child(|| {
                    let result = run(async {
                        raise(Kind::INT);
                        pending::<()>().await;
                    });
                    assert!(matches!(result, Err(RunError::Interrupted(_))));
                });
                yield_now().await;
            })
            .unwrap();
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_child_that_returns_into_the_parents_loop_is_told_and_runs_nothing_of_it",
        || {
            let event_loop = EventLoop::new().unwrap();
            let in_child = Rc::new(Cell::new(false));
            event_loop.call_soon({
                let in_child = in_child.clone();
                move || match fork() {
                    None => in_child.set(true),
                    Some(child) => assert_eq!(wait(child).code(), Some(7)),
                }
            });
            event_loop.call_soon({
                let in_child = in_child.clone();
                move || assert!(!in_child.get(), "the rest of the tick is the parent's")
            });
            let result = event_loop.run_until_complete(async {
                yield_now().await;
                yield_now().await;
            });
            if !in_child.get() {
                result.unwrap();
                return ExitCode::SUCCESS;
            }
            let error = result.unwrap_err();
            assert!(matches!(error, RunError::Forked));
            assert_eq!(error.to_string(), PARENTS_LOOP);
            for again in [event_loop.run_until_complete(async {}), event_loop.run_forever()] {
                assert!(matches!(again, Err(RunError::Forked)));
            }
            assert!(event_loop.call_soon(|| unreachable!()).cancelled());
            assert!(event_loop.call_later(Duration::ZERO, || unreachable!()).cancelled());
            event_loop.close().unwrap();
            drop(event_loop);
            assert_eq!(run(async { 7 }).unwrap(), 7);
            exit(7)
        },
        SUCCEEDS,
    ),
    (
        "a_main_that_forks_and_returns_in_the_child_is_told_so_there",
        || {
            let in_child = Cell::new(false);
            let result = run(async {
                match fork() {
                    None => in_child.set(true),
                    Some(child) => assert_eq!(wait(child).code(), Some(7)),
                }
                "the value"
            });
            if in_child.get() {
                assert!(matches!(result, Err(RunError::Forked)));
                exit(7);
            }
            assert_eq!(result.unwrap(), "the value");
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_child_that_returns_into_a_loop_that_its_parent_closes_leaves_it_alone",
        || {
            let event_loop = EventLoop::new().unwrap();
            let in_child = Rc::new(Cell::new(false));
            let forks = {
                let in_child = in_child.clone();
                OnDrop(move || match fork() {
                    None => in_child.set(true),
                    Some(child) => assert_eq!(wait(child).code(), Some(7)),
                })
            };
            let counted = Rc::new(());
            let later = counted.clone();
            event_loop.call_soon(move || drop(forks));
            event_loop.call_later(Duration::from_secs(3600), move || drop(later));
            event_loop.call_soon({
                let soon = counted.clone();
                move || drop(soon)
            });
            event_loop.close().unwrap();
            if in_child.get() {
                assert!(event_loop.is_closed());
                assert_eq!(run(async { 7 }).unwrap(), 7);
                exit(7);
            }
            assert_eq!(Rc::strong_count(&counted), 1);
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "what_a_child_drops_of_a_loop_is_not_taken_from_its_parent",
        || {
            struct Seen(Cell<u32>);
            impl IoHandler for Seen {
                fn on_ready(self: Rc<Self>, _: Ready) {
                    self.0.set(self.0.get() + 1);
                }
            }
            for event_loop in [EventLoop::new().unwrap(), testing::portable_loop().unwrap()] {
                let (ours, mut theirs) = UnixStream::pair().unwrap();
                let seen = Rc::new(Seen(Cell::new(0)));
                let mut registration =
                    Some(event_loop.register(ours.as_fd(), seen.clone()).unwrap());
                let (in_this_child, dropped) =
                    (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
                let (is_child, was_dropped) = (in_this_child.clone(), dropped.clone());
                let noisy = OnDrop(move || {
                    if is_child.get() {
                        // A panic would be contained.
                        exit(9);
                    }
                    was_dropped.set(true);
                });
                event_loop.call_later(Duration::from_secs(3600), move || drop(noisy));
                let mut event_loop = Some(event_loop);
                in_child(|| {
                    in_this_child.set(true);
                    let refused = event_loop.as_ref().unwrap().register(ours.as_fd(), seen.clone());
                    let error = refused.map(drop).unwrap_err();
                    assert_eq!(error.get_ref().unwrap().to_string(), PARENTS_LOOP);
                    let refused =
                        event_loop.as_ref().unwrap().add_signal_handler(Signal::SIGHUP, || {});
                    assert!(matches!(refused, Err(SignalError::Closed(_))));
                    drop(registration.take());
                    drop(event_loop.take());
                });
                let event_loop = event_loop.unwrap();
                testing::run_once(&event_loop).unwrap();
                let before = seen.0.get();
                theirs.write_all(b"!").unwrap();
                testing::run_once(&event_loop).unwrap();
                assert_eq!(seen.0.get(), before + 1, "still registered");
                // The door for other threads still wakes it.
                let handle = event_loop.handle();
                let stopper = std::thread::spawn(move || {
                    handle.call_soon_threadsafe(|| get_running_loop().unwrap().stop()).unwrap();
                });
                event_loop.run_forever().unwrap();
                stopper.join().unwrap();
                event_loop.close().unwrap();
                assert!(dropped.get(), "by the parent");
            }
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_program_that_is_executed_in_the_child_is_none_of_our_business",
        || {
            run(async {
                let event_loop = get_running_loop().unwrap();
                let status = process::Command::new("true").status().unwrap();
                assert!(status.success());
                assert!(!event_loop.is_closed() && get_running_loop().is_ok());
                poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    std::task::Poll::Ready(())
                })
                .await;
            })
            .unwrap();
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
];

const PARENTS_LOOP: &str =
    "event loop belongs to the process that this one was forked from: make a new one";

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs `child` in a child, which must not panic.
fn in_child(child: impl FnOnce()) {
    let status = in_child_that_dies(child);
    assert_eq!(status.code(), Some(0), "{status}");
}

/// Runs `child` in a child, and says how that ended.
fn in_child_that_dies(child: impl FnOnce()) -> ExitStatus {
    match fork() {
        None => {
            let result = catch_unwind(AssertUnwindSafe(child));
            exit(i32::from(result.is_err()));
        }
        Some(child) => wait(child),
    }
}

/// Ends a child at once: a leak checker has no business there, where all that was the parent's is forgotten.
fn exit(code: i32) -> ! {
    // SAFETY: nothing is left to do.
    unsafe { libc::_exit(code) }
}

/// The child's number in the parent, none in the child.
fn fork() -> Option<libc::pid_t> {
    // SAFETY: this process has one thread only, so all of it goes on in the child.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => None,
        child => Some(child),
    }
}

fn wait(child: libc::pid_t) -> ExitStatus {
    let mut status = 0;
    // SAFETY: the pointer is to one number.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(waited, child);
    ExitStatus::from_raw(status)
}
