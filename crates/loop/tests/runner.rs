//! `Runner` and `Config`: several runs on one loop, how a run may be told to go, and the report of its end.

mod support;

use std::cell::Cell;
use std::future::{Future, Ready, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio_coro::{Context, ContextVar};
use asyncio_loop::testing::{self, ClockMode};
use asyncio_loop::{
    CloseHook, Config, EventLoop, GracePeriods, RunError, Runner, get_running_loop,
};
use support::{Log, ticks};

/// Behaviour: RUN-08.
#[test]
fn a_loop_factory_is_called_once_for_each_run_and_its_loop_is_the_running_one() {
    let made = Rc::new(Cell::new(0));
    let config = Config::new().loop_factory({
        let made = made.clone();
        move || {
            made.set(made.get() + 1);
            let event_loop = EventLoop::new()?;
            event_loop.extension::<Cell<i32>>().set(made.get());
            Ok(event_loop)
        }
    });
    let number = async || get_running_loop().unwrap().extension::<Cell<i32>>().get();
    assert_eq!(config.run(number()).unwrap(), 1);
    assert_eq!(config.run(number()).unwrap(), 2);
    let mut runner = config.runner();
    assert_eq!(made.get(), 2, "not before it is needed");
    assert_eq!(runner.run(number()).unwrap(), 3);
    assert_eq!(runner.run(number()).unwrap(), 3);
    assert_eq!(runner.get_loop().unwrap().extension::<Cell<i32>>().get(), 3);
    drop(runner);
    assert_eq!(made.get(), 3);
}

/// Behaviour: RUN-03.
#[test]
fn debug_mode_is_what_the_run_says_or_else_what_the_loop_has() {
    let is_debug = async || get_running_loop().unwrap().is_debug();
    let default = EventLoop::new().unwrap().is_debug();
    assert_eq!(Config::new().run(is_debug()).unwrap(), default);
    assert!(Config::new().debug(true).run(is_debug()).unwrap());
    assert!(!Config::new().debug(false).run(is_debug()).unwrap());
    let made_with = |debug| {
        Config::new().loop_factory(move || {
            let event_loop = EventLoop::new()?;
            event_loop.set_debug(debug);
            Ok(event_loop)
        })
    };
    for debug in [false, true] {
        assert_eq!(made_with(debug).run(is_debug()).unwrap(), debug);
        assert_eq!(made_with(debug).debug(!debug).run(is_debug()).unwrap(), !debug);
    }
}

/// Behaviour: RUN-09.
#[test]
fn a_runner_has_the_debug_mode_and_the_factory_it_was_given_and_no_loop_after_its_end() {
    for debug in [false, true] {
        let (event_loop, clock) = testing::virtual_loop(ClockMode::Frozen).unwrap();
        let mut runner =
            Config::new().debug(debug).loop_factory(move || Ok(event_loop.clone())).runner();
        let event_loop = runner.get_loop().unwrap();
        assert_eq!(event_loop.is_debug(), debug);
        let value = runner.run(async { get_running_loop().unwrap().time() }).unwrap();
        assert_eq!(value, clock.now(), "the factory's loop");
        runner.close();
        assert!(matches!(runner.get_loop(), Err(RunError::Closed)));
        assert!(event_loop.is_closed());
    }
}

#[test]
fn an_error_of_the_loop_factory_is_the_runs() {
    let config = Config::new().loop_factory(|| Err(std::io::Error::other("no loop today")));
    let polled = Cell::new(false);
    let error = config.run(async { polled.set(true) }).unwrap_err();
    assert!(matches!(&error, RunError::Os(cause) if cause.to_string() == "no loop today"));
    let mut runner = config.runner();
    assert!(matches!(runner.run(async { polled.set(true) }), Err(RunError::Os(_))));
    assert!(runner.close().is_clean() && !polled.get());
}

#[test]
fn a_loop_factory_that_gives_a_closed_loop_is_told_so() {
    let config = Config::new().loop_factory(|| {
        let event_loop = EventLoop::new()?;
        event_loop.close().unwrap();
        Ok(event_loop)
    });
    assert!(matches!(config.run(async {}), Err(RunError::Closed)));
    assert!(matches!(config.runner().run(async {}), Err(RunError::Closed)));
}

#[test]
fn a_runner_runs_again_and_again_on_one_loop_and_closes_it() {
    let mut runner = Runner::new();
    let first = runner.run(async { get_running_loop().unwrap() }).unwrap();
    let borrowed = String::from("borrowed");
    assert_eq!(runner.run(async { borrowed.len() }).unwrap(), 8);
    let event_loop = runner.get_loop().unwrap();
    assert!(event_loop.handle().same_loop(&first.handle()));
    assert!(!event_loop.is_closed() && !event_loop.is_running());
    assert!(runner.close().is_clean());
    assert!(event_loop.is_closed());
    assert!(matches!(runner.get_loop(), Err(RunError::Closed)));
}

#[test]
fn what_one_run_leaves_queued_goes_on_in_the_next() {
    let mut runner = Runner::new();
    let log = Log::new();
    runner
        .run({
            let log = log.clone();
            async move {
                let event_loop = get_running_loop().unwrap();
                event_loop.call_later(Duration::ZERO, {
                    let (event_loop, log) = (event_loop.clone(), log.clone());
                    move || {
                        log.push("first");
                        event_loop.call_soon(log.entry("second"));
                    }
                });
            }
        })
        .unwrap();
    assert_eq!(log.take(), ["first"], "the tick after the one in which main ended");
    runner.run(ticks(1)).unwrap();
    assert_eq!(log.take(), ["second"]);
}

static NAME: ContextVar<&str> = ContextVar::new("name");

/// Behaviour: RUN-12.
#[test]
fn what_one_run_sets_in_a_context_variable_the_next_one_sees() {
    NAME.set("thread");
    let mut runner = Runner::new();
    runner
        .run(async {
            assert_eq!(NAME.get(), Some("thread"), "a copy of what was here");
            NAME.set("first");
            ticks(2).await;
            assert_eq!(NAME.get(), Some("first"));
        })
        .unwrap();
    assert_eq!(NAME.get(), Some("thread"));
    let context = Context::new();
    runner
        .run_in_context(&context, async {
            assert_eq!(NAME.get(), None);
            NAME.set("elsewhere");
        })
        .unwrap();
    assert_eq!(context.get(&NAME), Some("elsewhere"));
    assert_eq!(runner.run(async { NAME.get() }).unwrap(), Some("first"));
    drop(runner);
    assert_eq!(Runner::new().run(async { NAME.get() }).unwrap(), Some("thread"));
}

/// Behaviour: RUN-10.
#[test]
fn a_runner_runs_whatever_is_a_future() {
    struct Custom(u32);
    impl Future for Custom {
        type Output = u32;
        fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<u32> {
            self.0 += 1;
            cx.waker().wake_by_ref();
            if self.0 == 3 { Poll::Ready(3) } else { Poll::Pending }
        }
    }
    let mut runner = Runner::new();
    let boxed: Pin<Box<dyn Future<Output = u32>>> = Box::pin(async { 1 });
    assert_eq!(runner.run(boxed).unwrap(), 1);
    let value: Ready<u32> = ready(2);
    assert_eq!(runner.run(value).unwrap(), 2);
    assert_eq!(runner.run(Custom(0)).unwrap(), 3);
    assert_eq!(runner.run(poll_fn(|_| Poll::Ready(4))).unwrap(), 4);
}

/// Behaviour: RUN-11.
#[test]
fn a_closed_runner_runs_nothing_and_closes_again() {
    let mut runner = Runner::new();
    runner.run(async {}).unwrap();
    assert!(runner.close().is_clean());
    assert!(runner.close().is_clean());
    let polled = Cell::new(false);
    let error = runner.run(async { polled.set(true) }).unwrap_err();
    assert!(matches!(error, RunError::Closed));
    assert_eq!(error.to_string(), "event loop is closed");
    assert!(!polled.get());

    let mut unused = Runner::default();
    assert!(unused.close().is_clean());
    assert!(matches!(unused.run(async {}), Err(RunError::Closed)));
}

#[test]
fn a_runner_whose_loop_was_closed_says_so() {
    let mut runner = Runner::new();
    runner.get_loop().unwrap().close().unwrap();
    assert!(matches!(runner.run(async {}), Err(RunError::Closed)));
    assert!(runner.close().is_clean());
}

#[test]
fn a_panic_in_one_run_leaves_the_runner_usable() {
    let mut runner = Runner::new();
    let panic = catch_unwind(AssertUnwindSafe(|| runner.run(async { panic!("first") })));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"first"));
    assert_eq!(runner.run(async { 2 }).unwrap(), 2);
}

#[test]
fn a_runner_inside_a_running_loop_runs_nothing() {
    let mut runner = Runner::new();
    let polled = Cell::new(false);
    testing::run(async {
        assert!(matches!(runner.run(async { polled.set(true) }), Err(RunError::Nested)));
        assert!(matches!(Config::new().run(async { polled.set(true) }), Err(RunError::Nested)));
    })
    .unwrap();
    assert!(!polled.get());
    runner.run(async { polled.set(true) }).unwrap();
    assert!(polled.get());
}

/// A hook whose phase takes a number of ticks, or never ends.
struct Phase {
    ticks: Option<usize>,
    grace: fn(&GracePeriods) -> Duration,
    log: Log<&'static str>,
}

impl CloseHook for Phase {
    fn tier(&self) -> u8 {
        4
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let (count, log) = (self.ticks, self.log.clone());
        Box::pin(async move {
            match count {
                Some(count) => ticks(count).await,
                None => pending().await,
            }
            log.push("ended");
        })
    }

    fn grace(&self, periods: &GracePeriods) -> Duration {
        (self.grace)(periods)
    }

    fn abandoned(&self) -> Vec<String> {
        vec!["one".to_owned(), "two".to_owned()]
    }
}

#[test]
fn dropping_a_runner_gives_upper_tiers_their_end() {
    let log = Log::new();
    let mut runner = Runner::new();
    let hook = Phase { ticks: Some(3), grace: |periods| periods.tasks, log: log.clone() };
    let event_loop = runner.get_loop().unwrap();
    event_loop.add_close_hook(Rc::new(hook));
    runner.run(async {}).unwrap();
    assert!(log.items().is_empty(), "a run ends nothing but its main");
    drop(runner);
    assert_eq!(log.take(), ["ended"]);
    assert!(event_loop.is_closed());
}

#[test]
fn the_report_of_an_end_names_what_was_abandoned() {
    let (event_loop, clock) = testing::virtual_loop(ClockMode::AutoJump).unwrap();
    let mut periods = GracePeriods::default();
    periods.executor = Duration::from_secs(42);
    let start = clock.now();
    let reported = Log::new();
    event_loop.set_exception_handler({
        let reported = reported.clone();
        move |_, context| reported.push(context.message().to_owned())
    });
    let hook = Phase { ticks: None, grace: |periods| periods.executor, log: Log::new() };
    event_loop.add_close_hook(Rc::new(hook));
    let mut runner =
        Config::new().loop_factory(move || Ok(event_loop.clone())).grace_periods(periods).runner();
    runner.run(async {}).unwrap();
    let report = runner.close();
    assert_eq!(report.abandoned(), ["one", "two"]);
    assert!(!report.is_clean() && !report.is_interrupted());
    assert_eq!(reported.take(), ["abandoned when the event loop shut down: one, two"]);
    assert_eq!(clock.now() - start, Duration::from_secs(42), "the period that the hook picked");
}

#[test]
fn a_tier_without_names_is_reported_by_its_number() {
    struct Nameless;
    impl CloseHook for Nameless {
        fn tier(&self) -> u8 {
            6
        }
        fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
            Box::pin(pending())
        }
        fn grace(&self, _: &GracePeriods) -> Duration {
            Duration::ZERO
        }
    }
    let mut runner = Runner::new();
    let event_loop = runner.get_loop().unwrap();
    event_loop.set_exception_handler(|_, _| {});
    event_loop.add_close_hook(Rc::new(Nameless));
    assert_eq!(runner.close().abandoned(), ["something of tier 6"]);
}

#[test]
fn a_runner_dropped_inside_another_running_loop_drops_what_it_cannot_await_and_says_so() {
    let log = Log::new();
    let mut runner = Runner::new();
    let event_loop = runner.get_loop().unwrap();
    let reported = Log::new();
    event_loop.set_exception_handler({
        let reported = reported.clone();
        move |_, context| reported.push(context.message().to_owned())
    });
    let hook = Phase { ticks: Some(0), grace: |periods| periods.tasks, log: log.clone() };
    event_loop.add_close_hook(Rc::new(hook));
    testing::run(async {
        assert!(!runner.close().is_clean());
        ticks(2).await;
    })
    .unwrap();
    assert!(event_loop.is_closed());
    assert_eq!(log.take(), [""; 0]);
    assert_eq!(reported.take(), ["the event loop could not shut down"]);
}

#[test]
fn a_runner_dropped_inside_its_own_loop_leaves_it_running_and_says_so() {
    let mut runner = Runner::new();
    let event_loop = runner.get_loop().unwrap();
    let reported = Log::new();
    event_loop.set_exception_handler({
        let reported = reported.clone();
        move |_, context| reported.push(context.message().to_owned())
    });
    event_loop.call_soon(move || drop(runner));
    event_loop.run_until_complete(ticks(3)).unwrap();
    assert_eq!(
        reported.take(),
        ["a runner was closed inside its own loop, which stays open and running"]
    );
    event_loop.close().unwrap();
}
