//! Signals for callbacks, futures and streams, in child processes: a signal is everybody's in a process.

#[path = "support/scenario.rs"]
mod scenario;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;

use asyncio_cancel_everywhere::on_loop;
use asyncio_coro::{ContextVar, StreamExt, yield_now};
use asyncio_loop::{
    EventLoop, RunError, Signal, SignalError, ctrl_c, get_running_loop, run, signals, testing,
};
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
                    assert!(context.site().unwrap().file().ends_with("signals.rs"));
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
        "every_handler_and_every_stream_is_told_of_every_signal",
        || {
            run(async {
                let event_loop = get_running_loop().unwrap();
                let called = Rc::new(Cell::new(0));
                let counter = called.clone();
                event_loop
                    .add_signal_handler(Signal::SIGUSR1, move || counter.set(counter.get() + 1))
                    .unwrap();
                let mut one = signals([Signal::SIGUSR1]).unwrap();
                let mut both = signals([Signal::SIGUSR2, Signal::SIGUSR1]).unwrap();
                raise(Kind::USR2);
                raise(Kind::USR1);
                raise(Kind::USR1);
                assert_eq!(one.next().await, Some(Signal::SIGUSR1));
                assert_eq!(both.next().await, Some(Signal::SIGUSR1), "the lower number first");
                assert_eq!(both.next().await, Some(Signal::SIGUSR2));
                for stream in [&mut one, &mut both] {
                    let next = poll_fn(|cx| Poll::Ready(stream.poll_next(cx).is_pending())).await;
                    assert!(next, "two that come at once are one");
                }
                yield_now().await;
                assert_eq!(called.get(), 1);
            })
            .unwrap();
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "several_loops_in_several_threads_all_hear_and_the_last_one_gives_the_signal_back",
        || {
            let (ready, is_ready) = mpsc::channel();
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let ready = ready.clone();
                    thread::spawn(move || {
                        run(async {
                            let mut signals = signals([Signal::SIGUSR1]).unwrap();
                            ready.send(()).unwrap();
                            assert_eq!(signals.next().await, Some(Signal::SIGUSR1));
                        })
                        .unwrap();
                    })
                })
                .collect();
            threads.iter().for_each(|_| is_ready.recv().unwrap());
            say("listening");
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            say("all heard");
            raise(Kind::USR1);
            say("unreachable");
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("listening");
            scenario.send(Kind::USR1);
            scenario.expect("all heard");
            assert_eq!(scenario.end().signal(), Some(libc::SIGUSR1));
        },
    ),
    (
        "loops_come_and_go_in_threads_while_signals_rain",
        || {
            // One that stays, so that the default never strikes.
            let stays = EventLoop::new().unwrap();
            stays.add_signal_handler(Signal::SIGUSR1, || {}).unwrap();
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    thread::spawn(|| {
                        for _ in 0..100 {
                            run(async {
                                let mut signals = signals([Signal::SIGUSR1]).unwrap();
                                raise(Kind::USR1);
                                assert_eq!(signals.next().await, Some(Signal::SIGUSR1));
                            })
                            .unwrap();
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_flood_of_signals_interrupts_system_calls_and_loses_nothing_else",
        || {
            use std::io::{Read, Write};
            use std::os::unix::net::UnixStream;
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            let bytes = run(async {
                let called = Rc::new(Cell::new(0));
                let counter = called.clone();
                get_running_loop()
                    .unwrap()
                    .add_signal_handler(Signal::SIGUSR1, move || counter.set(counter.get() + 1))
                    .unwrap();
                let flood = thread::spawn(move || {
                    for byte in 0..=255_u8 {
                        for _ in 0..20 {
                            raise(Kind::USR1);
                        }
                        ours.write_all(&[byte]).unwrap();
                    }
                });
                let stream = asyncio_loop::IoHandle::new(theirs).unwrap();
                let mut bytes = Vec::new();
                let mut buffer = [0; 64];
                while bytes.len() < 256 {
                    let n = stream.read_with(|mut stream| stream.read(&mut buffer)).await.unwrap();
                    bytes.extend_from_slice(&buffer[..n]);
                }
                assert!(called.get() > 0);
                flood.join().unwrap();
                bytes
            });
            assert!(bytes.unwrap().into_iter().eq(0..=255));
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "ctrl_c_as_a_future_takes_the_first_one_and_the_next_one_cancels_main",
        || {
            let result = run(async {
                let waiting = ctrl_c();
                say("waiting");
                waiting.await.unwrap();
                say("goodbye");
                pending::<()>().await;
            });
            say(if matches!(result, Err(RunError::Interrupted(_))) { "interrupted" } else { "?" });
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("waiting");
            scenario.interrupt();
            scenario.expect("goodbye");
            scenario.interrupt();
            scenario.expect("interrupted");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "a_ctrl_c_future_that_is_dropped_leaves_ctrl_c_to_run",
        || {
            let result = run(async {
                let mut waiting = Box::pin(ctrl_c());
                assert!(futures_lite::future::poll_once(&mut waiting).await.is_none());
                drop(waiting);
                say("waiting");
                pending::<()>().await;
            });
            say(if matches!(result, Err(RunError::Interrupted(_))) { "interrupted" } else { "?" });
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("waiting");
            scenario.interrupt();
            scenario.expect("interrupted");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "a_next_that_is_dropped_takes_no_signal",
        || {
            run(async {
                let mut signals = signals([Signal::SIGUSR1]).unwrap();
                assert!(futures_lite::future::poll_once(signals.next()).await.is_none());
                raise(Kind::USR1);
                yield_now().await;
                drop(signals.next());
                assert_eq!(signals.next().await, Some(Signal::SIGUSR1));
            })
            .unwrap();
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_next_that_is_cancelled_anywhere_loses_no_signal",
        || {
            let points = on_loop(
                async || {
                    let stream = Rc::new(RefCell::new(signals([Signal::SIGUSR1]).unwrap()));
                    let event_loop = get_running_loop().unwrap();
                    event_loop.clone().call_soon(move || {
                        event_loop.call_soon(|| raise(Kind::USR1));
                    });
                    let next = stream.clone();
                    (stream, poll_fn(move |cx| next.borrow_mut().poll_next(cx)))
                },
                async |stream, case| {
                    let signal = match case.output {
                        Some(signal) => signal,
                        None => poll_fn(|cx| stream.borrow_mut().poll_next(cx)).await,
                    };
                    assert_eq!(signal, Some(Signal::SIGUSR1));
                },
            );
            assert!(points > 0);
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_ctrl_c_future_that_is_cancelled_anywhere_takes_nothing_from_the_others",
        || {
            let points = on_loop(
                async || {
                    let other = signals([Signal::SIGINT]).unwrap();
                    let event_loop = get_running_loop().unwrap();
                    event_loop.clone().call_soon(move || {
                        event_loop.call_soon(|| raise(Kind::INT));
                    });
                    (other, ctrl_c())
                },
                async |mut other, case| {
                    assert!(case.output.is_none_or(|heard| heard.is_ok()));
                    assert_eq!(other.next().await, Some(Signal::SIGINT));
                },
            );
            assert!(points > 0);
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_process_ends_while_loops_of_other_threads_go_on",
        || {
            let (ready, is_ready) = mpsc::channel();
            for _ in 0..3 {
                let ready = ready.clone();
                thread::spawn(move || {
                    run(async {
                        let _signals = signals([Signal::SIGUSR1]).unwrap();
                        let event_loop = get_running_loop().unwrap();
                        event_loop.call_later(std::time::Duration::from_secs(3600), || {});
                        ready.send(()).unwrap();
                        pending::<()>().await;
                    })
                });
            }
            (0..3).for_each(|_| is_ready.recv().unwrap());
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_loop_that_is_closed_while_signals_rain_and_threads_push_loses_nothing_alive",
        || {
            let stays = EventLoop::new().unwrap();
            stays.add_signal_handler(Signal::SIGUSR1, || {}).unwrap();
            for round in 0..100 {
                let event_loop = EventLoop::new().unwrap();
                let held = Rc::new(());
                let handler = held.clone();
                event_loop
                    .add_signal_handler(Signal::SIGUSR1, move || drop(handler.clone()))
                    .unwrap();
                let threads: Vec<_> = (0..2)
                    .map(|_| {
                        let handle = event_loop.handle();
                        thread::spawn(move || {
                            for _ in 0..20 {
                                raise(Kind::USR1);
                                // Refused from some point on.
                                let _ = handle.call_soon_threadsafe(|| ());
                            }
                        })
                    })
                    .collect();
                for _ in 0..round % 4 {
                    let waiting = held.clone();
                    event_loop.call_soon(move || drop(waiting));
                    testing::run_once(&event_loop).unwrap();
                }
                event_loop.close().unwrap();
                assert_eq!(Rc::strong_count(&held), 1);
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            }
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_stream_that_outlives_its_loop_ends",
        || {
            let mut kept = run(async { signals([Signal::SIGUSR1]).unwrap() }).unwrap();
            let next = futures_lite::future::block_on(kept.next());
            assert_eq!(next, None);
            say("ended");
            drop(kept);
            raise(Kind::USR1);
            say("unreachable");
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("ended");
            assert_eq!(scenario.end().signal(), Some(libc::SIGUSR1));
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
