//! Signals for futures and streams, and for many loops at once, in child processes: a signal is everybody's in a process.

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
use asyncio_coro::{StreamExt, yield_now};
use asyncio_loop::{EventLoop, RunError, Signal, ctrl_c, get_running_loop, run, signals, testing};
use scenario::{Kind, Row, raise, say};

fn main() -> ExitCode {
    scenario::run_all(SCENARIOS)
}

/// What the parent expects of a child that checks everything itself.
const SUCCEEDS: fn(scenario::Scenario) = |scenario| assert_eq!(scenario.end().code(), Some(0));

const SCENARIOS: &[Row] = &[
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
        "a_signal_that_has_come_is_no_deadlock_and_is_heard_before_the_clock_jumps",
        || {
            let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
            clock.set_deadlock_grace(std::time::Duration::ZERO);
            let hear = async || {
                let mut signals = signals([Signal::SIGUSR1]).unwrap();
                raise(Kind::USR1);
                signals.next().await
            };
            assert_eq!(event_loop.run_until_complete(hear()).unwrap(), Some(Signal::SIGUSR1));
            // Nor a reason for the clock to jump.
            let start = clock.now();
            let timer = event_loop.call_later(std::time::Duration::from_secs(3600), || ());
            assert_eq!(event_loop.run_until_complete(hear()).unwrap(), Some(Signal::SIGUSR1));
            assert_eq!(clock.now(), start);
            timer.cancel();
            let result = testing::run_with(&event_loop, async {
                raise(Kind::INT);
                asyncio_coro::try_finally(pending::<()>(), pending::<()>).await;
            });
            assert!(matches!(result, Err(RunError::Deadlock(_))), "that Ctrl-C has been looked at");
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
];
