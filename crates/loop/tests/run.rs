//! `run` and the loop's `run_` methods: values, errors, panics, nesting, and the async end.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio_coro::{current_task, hooks};
use asyncio_loop::{
    CloseHook, EventLoop, GracePeriods, IoHandle, RunError, get_running_loop, run, testing,
};
use support::{Log, sleep, ticks};

/// Behaviour: RUN-01.
#[test]
fn run_returns_what_the_future_returns() {
    let mut borrowed = vec![1];
    let result: Result<i32, String> = run(async {
        ticks(3).await;
        borrowed.push(2);
        Err("no".to_owned())
    })
    .unwrap();
    assert_eq!(result, Err("no".to_owned()));
    assert_eq!(borrowed, [1, 2]);
}

/// Behaviour: RUN-04, RUN-13, BEV-27, EVT-01, EVT-69.
#[test]
fn a_loop_inside_a_running_one_is_an_error() {
    run(async {
        let outer = get_running_loop().unwrap();
        let polled = Rc::new(Cell::new(false));
        let main = || {
            let polled = polled.clone();
            async move { polled.set(true) }
        };
        assert!(matches!(run(main()), Err(RunError::Nested)));
        assert!(matches!(outer.run_until_complete(main()), Err(RunError::Nested)));
        let other = EventLoop::new().unwrap();
        assert!(matches!(other.run_until_complete(main()), Err(RunError::Nested)));
        assert!(matches!(other.run_forever(), Err(RunError::Nested)));
        assert!(matches!(testing::run_with(&other, main()), Err(RunError::Nested)));
        assert!(!other.is_closed() && !polled.get());
        assert!(outer.handle().same_loop(&get_running_loop().unwrap().handle()));
    })
    .unwrap();
    assert!(get_running_loop().is_err());
}

/// Behaviour: BEV-07, EVT-16.
#[test]
fn a_closed_loop_does_not_run() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.close().unwrap();
    event_loop.close().unwrap();
    assert!(matches!(event_loop.run_forever(), Err(RunError::Closed)));
    assert!(matches!(event_loop.run_until_complete(async {}), Err(RunError::Closed)));
    assert!(event_loop.call_soon(|| {}).cancelled());
    assert!(event_loop.call_later(Duration::ZERO, || {}).cancelled());
}

/// Behaviour: EVT-15.
#[test]
fn a_running_loop_cannot_be_closed() {
    run(async {
        let event_loop = get_running_loop().unwrap();
        let error = event_loop.close().unwrap_err();
        assert_eq!(error.to_string(), "cannot close a running event loop");
        ticks(1).await;
    })
    .unwrap();
}

/// Behaviour: EVT-03.
#[test]
fn stopping_the_loop_before_the_future_is_done_is_an_error() {
    let event_loop = EventLoop::new().unwrap();
    let dropped = Rc::new(());
    let result = event_loop.run_until_complete({
        let dropped = dropped.clone();
        async move {
            get_running_loop().unwrap().stop();
            pending::<()>().await;
            drop(dropped);
        }
    });
    assert!(matches!(result, Err(RunError::Stopped)));
    assert_eq!(Rc::strong_count(&dropped), 1);
    assert_eq!(event_loop.run_until_complete(async { 5 }).unwrap(), 5);
}

#[test]
fn what_main_queued_last_still_runs() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    event_loop
        .run_until_complete({
            let (event_loop, log) = (event_loop.clone(), log.clone());
            async move {
                event_loop.call_soon({
                    let (event_loop, log) = (event_loop.clone(), log.clone());
                    move || {
                        log.push("one tick later");
                        event_loop.call_soon(log.entry("two ticks later"));
                    }
                });
            }
        })
        .unwrap();
    assert_eq!(log.take(), ["one tick later"]);
}

#[test]
fn main_is_queued_like_everybody_else() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    event_loop.call_soon(log.entry("before"));
    event_loop
        .run_until_complete({
            let (event_loop, log) = (event_loop.clone(), log.clone());
            async move {
                log.push("main");
                event_loop.call_soon(log.entry("callback"));
                ticks(1).await;
                log.push("main again");
            }
        })
        .unwrap();
    assert_eq!(log.take(), ["before", "main", "callback", "main again"]);
}

#[test]
fn many_wakes_are_one_step_of_main() {
    let polls = Cell::new(0);
    run(poll_fn(|cx| {
        polls.set(polls.get() + 1);
        for _ in 0..10 {
            cx.waker().wake_by_ref();
        }
        if polls.get() == 5 { Poll::Ready(()) } else { Poll::Pending }
    }))
    .unwrap();
    assert_eq!(polls.get(), 5);
}

#[test]
fn main_is_a_task_with_a_name_and_a_site() {
    run(async {
        let task = current_task().unwrap();
        assert!(task.name().starts_with("Task-"));
        assert!(task.site().file().ends_with("run.rs"));
        assert!(task.is_started() && task.is_live());
    })
    .unwrap();
    assert!(current_task().is_none());
}

#[test]
fn a_main_that_cancels_itself_is_cancelled() {
    let result = run(async {
        current_task().unwrap().cancel();
        pending::<()>().await;
    });
    let Err(RunError::Cancelled(cancelled)) = result else { panic!("{result:?}") };
    assert_eq!(cancelled.message(), None);
    assert_eq!(RunError::Cancelled(cancelled).to_string(), "the main future was cancelled");
}

#[test]
fn what_a_request_to_cancel_main_had_to_say_comes_out_of_run() {
    let result = run(async {
        current_task().unwrap().cancel_with("out of disk");
        pending::<()>().await;
    });
    let error = result.unwrap_err();
    assert!(matches!(&error, RunError::Cancelled(why) if why.message() == Some("out of disk")));
    assert_eq!(error.to_string(), "the main future was cancelled: out of disk");
}

/// Behaviour: BEV-21.
#[test]
fn a_panic_in_main_comes_out_of_run_after_the_loop_was_closed() {
    let kept = Rc::new(RefCell::new(None));
    let log = Log::new();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        run(async {
            let event_loop = get_running_loop().unwrap();
            event_loop.add_close_hook(Rc::new(Hook::new(9, "hook", &log)));
            *kept.borrow_mut() = Some(event_loop);
            ticks(2).await;
            panic!("main");
        })
    }));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"main"));
    assert!(kept.take().unwrap().is_closed());
    assert_eq!(log.take(), ["hook shuts down", "hook shut down", "hook closed"]);
    assert!(get_running_loop().is_err());
    assert!(hooks::clock().is_none(), "what belongs to the thread was put back");
    assert_eq!(run(async { 1 }).unwrap(), 1);
}

#[test]
fn a_panic_in_run_until_complete_leaves_the_loop_usable() {
    let event_loop = EventLoop::new().unwrap();
    let result =
        catch_unwind(AssertUnwindSafe(|| event_loop.run_until_complete(async { panic!("main") })));
    assert!(result.is_err());
    assert!(!event_loop.is_running() && !event_loop.is_closed());
    assert_eq!(event_loop.run_until_complete(async { 3 }).unwrap(), 3);
}

/// Behaviour: BEV-23.
#[test]
fn after_a_panic_came_out_of_a_run_a_twice_deferred_stop_still_ends_the_next_one() {
    let event_loop = EventLoop::new().unwrap();
    let result =
        catch_unwind(AssertUnwindSafe(|| event_loop.run_until_complete(async { panic!("main") })));
    assert!(result.is_err());
    let outer = event_loop.clone();
    event_loop.call_soon(move || {
        let inner = outer.clone();
        outer.call_soon(move || inner.stop());
    });
    event_loop.run_forever().unwrap();
    event_loop.close().unwrap();
}

#[test]
fn the_clock_of_tier_one_is_the_loops_while_it_runs() {
    let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    assert!(hooks::clock().is_none());
    event_loop
        .run_until_complete(async {
            let hook = hooks::clock().unwrap();
            assert_eq!(hook.now(), clock.now());
            let when = hook.now() + Duration::from_secs(7);
            let mut token = None;
            poll_fn(|cx| {
                if hook.now() >= when {
                    return Poll::Ready(());
                }
                token.get_or_insert_with(|| hook.arm(when, cx.waker()));
                Poll::Pending
            })
            .await;
            hook.disarm(token.unwrap());
            assert_eq!(clock.now(), when);
        })
        .unwrap();
    assert!(hooks::clock().is_none());
}

/// A close hook that logs what it is asked, and takes `pause` for its phase.
struct Hook {
    tier: u8,
    name: &'static str,
    log: Log<String>,
    pause: Duration,
    grace: Duration,
}

impl Hook {
    fn new(tier: u8, name: &'static str, log: &Log<String>) -> Self {
        let (pause, grace) = (Duration::ZERO, Duration::from_secs(1));
        Self { tier, name, log: log.clone(), pause, grace }
    }
}

impl CloseHook for Hook {
    fn tier(&self) -> u8 {
        self.tier
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        self.log.push(format!("{} shuts down", self.name));
        let (pause, log, name) = (self.pause, self.log.clone(), self.name);
        Box::pin(async move {
            sleep(pause).await;
            ticks(2).await;
            log.push(format!("{name} shut down"));
        })
    }

    fn grace(&self, _: &GracePeriods) -> Duration {
        self.grace
    }

    fn abandoned(&self) -> Vec<String> {
        vec![format!("{}-1", self.name), format!("{}-2", self.name)]
    }

    fn closed(&self) {
        self.log.push(format!("{} closed", self.name));
    }
}

#[test]
fn tiers_shut_down_from_the_top_down() {
    let log = Log::new();
    testing::run(async {
        let event_loop = get_running_loop().unwrap();
        for (tier, name) in [(4, "task"), (9, "stream"), (5, "executor"), (4, "second task hook")] {
            event_loop.add_close_hook(Rc::new(Hook::new(tier, name, &log)));
        }
    })
    .unwrap();
    let phases: Vec<_> =
        log.take().into_iter().filter(|line| line.ends_with("shuts down")).collect();
    let expected = [
        "stream shuts down",
        "executor shuts down",
        "task shuts down",
        "second task hook shuts down",
    ];
    assert_eq!(phases, expected);
}

#[test]
fn a_tier_that_does_not_end_is_abandoned_after_its_grace_and_reported_by_name() {
    let log = Log::new();
    let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    let start = clock.now();
    event_loop.set_exception_handler({
        let log = log.clone();
        move |_, context| log.push(context.message().to_owned())
    });
    let slow = Hook { pause: Duration::from_secs(3600), ..Hook::new(7, "slow", &log) };
    event_loop.add_close_hook(Rc::new(slow));
    event_loop.add_close_hook(Rc::new(Hook::new(4, "next", &log)));
    testing::run_with(&event_loop, async { event_loop.clone() }).unwrap();
    let expected = [
        "slow shuts down",
        "abandoned when the event loop shut down: slow-1, slow-2",
        "next shuts down",
        "next shut down",
        "slow closed",
        "next closed",
    ];
    assert_eq!(log.take(), expected);
    assert!(clock.now() - start <= Duration::from_secs(1), "a grace, no more");
}

#[test]
fn a_hook_that_panics_does_not_keep_the_others_from_their_phases() {
    struct Panics;
    impl CloseHook for Panics {
        fn tier(&self) -> u8 {
            9
        }
        fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
            panic!("shutdown")
        }
        fn grace(&self, _: &GracePeriods) -> Duration {
            Duration::ZERO
        }
        fn wake_live(&self) -> usize {
            panic!("wake_live")
        }
        fn closed(&self) {
            panic!("closed")
        }
    }
    let log = Log::new();
    testing::run(async {
        let event_loop = get_running_loop().unwrap();
        event_loop.add_close_hook(Rc::new(Panics));
        event_loop.add_close_hook(Rc::new(Hook::new(4, "next", &log)));
    })
    .unwrap();
    assert_eq!(log.take(), ["next shuts down", "next shut down", "next closed"]);
}

/// Behaviour: RUN-16.
#[test]
fn runs_in_threads_that_cannot_look_after_ctrl_c_are_fine_and_independent() {
    let threads: Vec<_> = (0..4)
        .map(|n| {
            std::thread::spawn(move || {
                run(async move {
                    sleep(Duration::from_millis(1)).await;
                    n
                })
                .unwrap()
            })
        })
        .collect();
    let values: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(values, [0, 1, 2, 3]);
}

/// Behaviour: EVT-02.
#[test]
fn a_sleep_takes_as_long_as_it_should() {
    support::on_each_selector(|event_loop| {
        let start = event_loop.time();
        event_loop.run_until_complete(sleep(Duration::from_millis(20))).unwrap();
        assert!(event_loop.time() - start >= Duration::from_millis(20));
    });
}

/// Behaviour: EVT-53.
#[test]
fn a_closed_loop_has_no_descriptors_left() {
    let count = || std::fs::read_dir("/proc/self/fd").map(Iterator::count);
    let Ok(before) = count() else { return eprintln!("skipped: there is no /proc/self/fd") };
    // Other tests of this process open descriptors too, so look at a number of loops at once.
    for _ in 0..200 {
        let waker = run(async {
            let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            drop(IoHandle::new(ours).unwrap());
            poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
        });
        // As a thread does that has not heard of the end.
        waker.unwrap().wake();
    }
    assert!(count().unwrap() < before + 100);
}
