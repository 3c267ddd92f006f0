//! Callbacks for signals, in child processes: a signal is everybody's in a process.

#[path = "support/scenario.rs"]
mod scenario;

use std::cell::{Cell, RefCell};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitCode;
use std::rc::Rc;

use asyncio_coro::ContextVar;
use asyncio_loop::{EventLoop, Signal, SignalError, signals, testing};
use scenario::{Kind, Row, raise, say};

fn main() -> ExitCode {
    scenario::run_all(SCENARIOS)
}

/// What the parent expects of a child that checks everything itself.
const SUCCEEDS: fn(scenario::Scenario) = |scenario| assert_eq!(scenario.end().code(), Some(0));

const SCENARIOS: &[Row] = &[
    (
        // Behaviour: EVT-22.
        "a_handler_runs_in_place_of_ctrl_c_and_removing_it_gives_the_default_back",
        || {
            let event_loop = EventLoop::new().unwrap();
            event_loop
                .add_signal_handler(Signal::SIGINT, {
                    let event_loop = event_loop.clone();
                    move || {
                        say("handled");
                        event_loop.stop();
                    }
                })
                .unwrap();
            raise(Kind::INT);
            event_loop.run_forever().unwrap();
            assert!(event_loop.remove_signal_handler(Signal::SIGINT));
            assert!(!event_loop.remove_signal_handler(Signal::SIGINT));
            raise(Kind::INT);
            say("unreachable");
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("handled");
            assert_eq!(scenario.end().signal(), Some(libc::SIGINT));
        },
    ),
    (
        // Behaviour: EVT-21.
        "nobody_catches_sigkill",
        || {
            let event_loop = EventLoop::new().unwrap();
            let error = event_loop.add_signal_handler(Signal::SIGKILL, || {}).unwrap_err();
            assert!(matches!(error, SignalError::Uncatchable(Signal::SIGKILL)));
            assert_eq!(error.to_string(), "SIGKILL cannot be caught");
            assert!(!event_loop.remove_signal_handler(Signal::SIGKILL));
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        // Behaviour: UNX-01.
        "a_number_that_is_no_signals_is_an_error",
        || {
            for number in [-1, 0, 65, 1000, i32::MIN, i32::MAX] {
                let error = Signal::from_raw(number).unwrap_err();
                assert!(matches!(error, SignalError::Unknown(n) if n == number));
                assert_eq!(error.to_string(), format!("no signal has the number {number}"));
            }
            assert_eq!(Signal::from_raw(libc::SIGTERM).unwrap(), Signal::SIGTERM);
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        // Behaviour: UNX-02.
        "a_signal_whose_handler_was_removed_before_its_turn_calls_nobody",
        || {
            let event_loop = EventLoop::new().unwrap();
            let other = event_loop.clone();
            event_loop.add_signal_handler(Signal::SIGUSR1, || say("one")).unwrap();
            event_loop.add_signal_handler(Signal::SIGUSR2, || say("two")).unwrap();
            // It came and nobody has looked yet.
            raise(Kind::USR1);
            assert!(event_loop.remove_signal_handler(Signal::SIGUSR1));
            testing::run_once(&event_loop).unwrap();
            // It is queued already, behind who removes it.
            event_loop.call_soon(move || assert!(other.remove_signal_handler(Signal::SIGUSR2)));
            raise(Kind::USR2);
            testing::run_once(&event_loop).unwrap();
            testing::run_once(&event_loop).unwrap();
            say("end");
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("end");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        // Behaviour: UNX-04.
        "a_handler_is_held_until_it_is_removed_or_replaced_or_the_loop_is_closed",
        || {
            let event_loop = EventLoop::new().unwrap();
            let held = Rc::new(());
            let add = |signal| {
                let held = held.clone();
                event_loop.add_signal_handler(signal, move || drop(held.clone())).unwrap();
            };
            add(Signal::SIGUSR1);
            assert_eq!(Rc::strong_count(&held), 2);
            add(Signal::SIGUSR1);
            assert_eq!(Rc::strong_count(&held), 2, "it took the place of the first");
            event_loop.remove_signal_handler(Signal::SIGUSR1);
            assert_eq!(Rc::strong_count(&held), 1);
            add(Signal::SIGUSR2);
            event_loop.close().unwrap();
            assert_eq!(Rc::strong_count(&held), 1);
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        // Behaviour: UNX-05.
        "a_refused_signal_leaves_the_other_handlers_working",
        || {
            let event_loop = EventLoop::new().unwrap();
            for uncatchable in [Signal::SIGSTOP, Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE] {
                assert!(event_loop.add_signal_handler(uncatchable, || {}).is_err());
            }
            event_loop.add_signal_handler(Signal::SIGUSR1, || say("one")).unwrap();
            let refused = event_loop.add_signal_handler(Signal::SIGKILL, || {});
            assert!(matches!(refused, Err(SignalError::Uncatchable(Signal::SIGKILL))));
            raise(Kind::USR1);
            testing::run_once(&event_loop).unwrap();
            let both = event_loop.run_until_complete(async {
                signals([Signal::SIGUSR2, Signal::SIGKILL]).map(drop)
            });
            assert!(matches!(both, Ok(Err(SignalError::Uncatchable(Signal::SIGKILL)))));
            say("all or none");
            raise(Kind::USR2);
            say("unreachable");
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("one");
            scenario.expect("all or none");
            assert_eq!(scenario.end().signal(), Some(libc::SIGUSR2));
        },
    ),
    (
        // Behaviour: UNX-06.
        "removing_one_handler_leaves_the_others_and_gives_its_default_back",
        || {
            let event_loop = EventLoop::new().unwrap();
            event_loop.add_signal_handler(Signal::SIGUSR1, || say("one")).unwrap();
            event_loop.add_signal_handler(Signal::SIGUSR2, || say("two")).unwrap();
            assert!(event_loop.remove_signal_handler(Signal::SIGUSR1));
            raise(Kind::USR2);
            testing::run_once(&event_loop).unwrap();
            raise(Kind::USR1);
            say("unreachable");
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("two");
            assert_eq!(scenario.end().signal(), Some(libc::SIGUSR1));
        },
    ),
    (
        "what_was_ignored_before_is_ignored_again_after_the_close",
        || {
            scenario::handle(libc::SIGUSR1, libc::SIG_IGN);
            let event_loop = EventLoop::new().unwrap();
            event_loop.add_signal_handler(Signal::SIGUSR1, || say("heard")).unwrap();
            event_loop.add_signal_handler(Signal::SIGUSR2, || say("heard, too")).unwrap();
            raise(Kind::USR1);
            testing::run_once(&event_loop).unwrap();
            event_loop.close().unwrap();
            raise(Kind::USR1);
            say("ignored");
            raise(Kind::USR2);
            say("unreachable");
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("heard");
            scenario.expect("ignored");
            assert_eq!(scenario.end().signal(), Some(libc::SIGUSR2));
        },
    ),
    (
        "a_closed_loop_listens_to_nothing",
        || {
            let event_loop = EventLoop::new().unwrap();
            event_loop.close().unwrap();
            let refused = event_loop.add_signal_handler(Signal::SIGUSR1, || {});
            assert!(matches!(refused, Err(SignalError::Closed(_))));
            assert!(!event_loop.remove_signal_handler(Signal::SIGUSR1));
            assert!(matches!(signals([Signal::SIGUSR1]), Err(SignalError::NoLoop(_))));
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_signal_wakes_a_loop_that_waits_on_each_selector",
        || {
            for event_loop in [EventLoop::new().unwrap(), testing::portable_loop().unwrap()] {
                let stopper = event_loop.clone();
                event_loop
                    .add_signal_handler(Signal::SIGTERM, move || {
                        say("terminated");
                        stopper.stop();
                    })
                    .unwrap();
                say("waiting");
                event_loop.run_forever().unwrap();
                event_loop.close().unwrap();
            }
            ExitCode::SUCCESS
        },
        |mut scenario| {
            for _ in 0..2 {
                scenario.expect("waiting");
                scenario.send(Kind::TERM);
                scenario.expect("terminated");
            }
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "a_handler_that_panics_is_reported_and_called_again",
        || {
            let event_loop = EventLoop::new().unwrap();
            let reports = Rc::new(Cell::new(0));
            event_loop.set_exception_handler({
                let reports = reports.clone();
                move |_, context| {
                    assert_eq!(context.panic_message(), Some("once more"));
                    assert!(context.site().unwrap().file().ends_with("signal_handlers.rs"));
                    reports.set(reports.get() + 1);
                }
            });
            event_loop.add_signal_handler(Signal::SIGUSR1, || panic!("once more")).unwrap();
            for expected in 1..=3 {
                raise(Kind::USR1);
                testing::run_once(&event_loop).unwrap();
                assert_eq!(reports.get(), expected);
            }
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_handler_runs_in_a_copy_of_the_context_of_its_registration",
        || {
            static NAME: ContextVar<&str> = ContextVar::new("name");
            let event_loop = EventLoop::new().unwrap();
            NAME.set("registration");
            event_loop
                .add_signal_handler(Signal::SIGUSR1, || {
                    assert_eq!(NAME.get(), Some("registration"));
                    say("checked");
                })
                .unwrap();
            NAME.set("later");
            raise(Kind::USR1);
            testing::run_once(&event_loop).unwrap();
            assert_eq!(NAME.get(), Some("later"));
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("checked");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "a_handler_may_replace_and_remove_itself",
        || {
            let event_loop = EventLoop::new().unwrap();
            let other = event_loop.clone();
            event_loop
                .add_signal_handler(Signal::SIGUSR1, move || {
                    say("first");
                    let third = other.clone();
                    other
                        .add_signal_handler(Signal::SIGUSR1, move || {
                            say("second");
                            assert!(third.remove_signal_handler(Signal::SIGUSR1));
                        })
                        .unwrap();
                })
                .unwrap();
            for _ in 0..2 {
                raise(Kind::USR1);
                testing::run_once(&event_loop).unwrap();
            }
            assert!(!event_loop.remove_signal_handler(Signal::SIGUSR1));
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("first");
            scenario.expect("second");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "a_real_time_signal_is_one_like_the_others",
        || {
            let number = libc::SIGRTMAX();
            let signal = Signal::from_raw(number).unwrap();
            assert_eq!(signal.to_string(), format!("signal {number}"));
            let event_loop = EventLoop::new().unwrap();
            event_loop.add_signal_handler(signal, || say("heard")).unwrap();
            let own = rustix::process::getpid().as_raw_nonzero().get();
            let sent = std::process::Command::new("kill")
                .args([format!("-{number}"), own.to_string()])
                .status()
                .unwrap();
            assert!(sent.success());
            testing::run_once(&event_loop).unwrap();
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("heard");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "a_signal_comes_before_what_its_poll_made_due",
        || {
            let event_loop = EventLoop::new().unwrap();
            let log = Rc::new(RefCell::new(Vec::new()));
            let push = |what: &'static str| {
                let log = log.clone();
                move || log.borrow_mut().push(what)
            };
            event_loop.add_signal_handler(Signal::SIGUSR1, push("signal")).unwrap();
            event_loop.call_later(std::time::Duration::ZERO, push("timer"));
            event_loop.call_soon(push("ready"));
            raise(Kind::USR1);
            testing::run_once(&event_loop).unwrap();
            assert_eq!(*log.borrow(), ["ready", "signal", "timer"]);
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
];
