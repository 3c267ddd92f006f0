//! Ctrl-C, in child processes: each scenario runs on the main thread of a process of its own.

#[path = "support/scenario.rs"]
mod scenario;

use std::future::{Future, pending};
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::process::{ExitCode, Termination};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use asyncio_coro::{current_task, yield_now};
use asyncio_loop::{
    CloseHook, Config, EventLoop, Exit, GracePeriods, RunError, Runner, get_running_loop, run,
    testing,
};

use scenario::{Kind, Row, say};

const SIGINT: i32 = 2;

fn main() -> ExitCode {
    scenario::run_all(SCENARIOS)
}

/// Name, what the child does, and what the parent does and expects.
const SCENARIOS: &[Row] = &[
    (
        "the_first_ctrl_c_cancels_main_whose_cleanup_runs_and_the_process_dies_by_sigint",
        || {
            let result = run(async {
                let guard = SayOnDrop("main dropped");
                say("waiting");
                pending::<()>().await;
                drop(guard);
            });
            // Still alive after the unwinding, so that `main` can drop and flush.
            say("after run");
            Exit::from(result).report()
        },
        |mut scenario| {
            scenario.expect("waiting");
            scenario.interrupt();
            scenario.expect("main dropped");
            scenario.expect("after run");
            assert_eq!(scenario.end().signal(), Some(SIGINT));
        },
    ),
    (
        // Behaviour: BEV-22.
        "an_interruption_is_the_result_of_run_and_reported_to_nobody_else",
        || {
            let event_loop = EventLoop::new().unwrap();
            event_loop.set_exception_handler(|_, context| say(context.message()));
            let result = testing::run_with(&event_loop, async {
                raise();
                pending::<()>().await;
            });
            assert!(matches!(result, Err(RunError::Interrupted(_))));
            drop(event_loop);
            ExitCode::SUCCESS
        },
        |scenario| assert_eq!(scenario.end().code(), Some(0)),
    ),
    (
        "ctrl_c_reaches_a_main_that_is_always_busy",
        || {
            let result = run(async {
                say("busy");
                loop {
                    yield_now().await;
                }
            });
            say(if matches!(result, Err(RunError::Interrupted(_))) { "interrupted" } else { "?" });
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("busy");
            scenario.interrupt();
            scenario.expect("interrupted");
            assert_eq!(scenario.end().code(), Some(0), "the result may be dealt with");
        },
    ),
    (
        "the_portable_selector_is_interrupted_too",
        || {
            let event_loop = testing::portable_loop().unwrap();
            let result = testing::run_with(&event_loop, async {
                say("waiting");
                pending::<()>().await;
            });
            Exit::from(result).report()
        },
        |mut scenario| {
            scenario.expect("waiting");
            scenario.interrupt();
            assert_eq!(scenario.end().signal(), Some(SIGINT));
        },
    ),
    (
        // Behaviour: XTR-18.
        "a_second_ctrl_c_kills_even_inside_a_busy_callback",
        || {
            let _ = run(async {
                get_running_loop().unwrap().call_soon(|| {
                    raise();
                    say("still alive");
                    raise();
                    say("unreachable");
                });
                pending::<()>().await;
            });
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("still alive");
            assert_eq!(scenario.end().signal(), Some(SIGINT));
        },
    ),
    (
        "ctrl_c_while_the_loop_shuts_down_ends_the_waiting",
        || {
            let result = run(async {
                get_running_loop().unwrap().add_close_hook(Rc::new(Never));
                "the value"
            });
            say(if matches!(result, Err(RunError::Interrupted(_))) { "interrupted" } else { "?" });
            Exit::from(result.map(drop)).report()
        },
        |mut scenario| {
            scenario.expect("shutting down");
            scenario.interrupt();
            scenario.expect("interrupted");
            assert_eq!(scenario.end().signal(), Some(SIGINT));
        },
    ),
    (
        // Behaviour: RUN-15.
        "a_main_cancelled_by_somebody_else_as_well_is_cancelled_and_not_interrupted",
        || {
            let result = run(async {
                let main = current_task().unwrap();
                get_running_loop().unwrap().call_soon(move || {
                    main.cancel();
                    raise();
                });
                pending::<()>().await;
            });
            say(&format!("{result:?}"));
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("Err(Cancelled(CancelledError { message: None }))");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "a_ctrl_c_that_comes_as_main_ends_is_not_forgotten",
        || {
            let result = run(async {
                raise();
                "the value"
            });
            say(&format!("{result:?}"));
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("Err(Interrupted(Interrupted(())))");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "a_main_that_catches_the_cancellation_returns_its_value",
        || {
            let result = run(async {
                let caught = asyncio_coro::catch_cancel(async {
                    say("waiting");
                    pending::<()>().await;
                });
                caught.await.is_err()
            });
            say(&format!("{result:?}"));
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("waiting");
            scenario.interrupt();
            scenario.expect("Ok(true)");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "cleanup_that_awaits_runs_to_its_end_after_the_first_ctrl_c",
        || {
            let result = run(asyncio_coro::try_finally(
                async {
                    say("waiting");
                    pending::<()>().await;
                },
                async || {
                    for _ in 0..10 {
                        yield_now().await;
                    }
                    say("cleaned up");
                },
            ));
            Exit::from(result).report()
        },
        |mut scenario| {
            scenario.expect("waiting");
            scenario.interrupt();
            scenario.expect("cleaned up");
            assert_eq!(scenario.end().signal(), Some(SIGINT));
        },
    ),
    (
        "the_previous_disposition_is_back_after_run",
        || {
            run(async {}).unwrap();
            say("done");
            raise();
            say("unreachable");
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("done");
            assert_eq!(scenario.end().signal(), Some(SIGINT));
        },
    ),
    (
        // Behaviour: RUN-16.
        "a_program_that_ignores_sigint_goes_on_doing_so",
        || {
            scenario::handle(libc::SIGINT, libc::SIG_IGN);
            let result = run(async {
                raise();
                for _ in 0..10 {
                    yield_now().await;
                }
                "the value"
            });
            say(result.unwrap());
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("the value");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "other_threads_do_not_look_after_sigint",
        || {
            thread::spawn(|| {
                let _ = run(async {
                    say("waiting");
                    pending::<()>().await;
                });
            })
            .join()
            .unwrap();
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("waiting");
            scenario.interrupt();
            assert_eq!(scenario.end().signal(), Some(SIGINT));
        },
    ),
    (
        "run_until_complete_leaves_ctrl_c_alone",
        || {
            let event_loop = EventLoop::new().unwrap();
            let _ = event_loop.run_until_complete(async {
                say("waiting");
                let _guard = SayOnDrop("dropped");
                pending::<()>().await;
            });
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("waiting");
            scenario.interrupt();
            assert_eq!(scenario.end().signal(), Some(SIGINT));
        },
    ),
    (
        "ctrl_c_while_the_loop_is_being_closed_is_not_lost",
        || {
            let result = run(async {
                let late = OnDrop(raise);
                get_running_loop().unwrap().call_later(Duration::from_secs(60), || drop(late));
            });
            say(if matches!(result, Err(RunError::Interrupted(_))) { "interrupted" } else { "?" });
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("interrupted");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "a_run_that_is_told_to_leave_ctrl_c_alone_does_so",
        || {
            let _ = Config::new().ctrl_c(false).run(async {
                say("waiting");
                let _guard = SayOnDrop("dropped");
                pending::<()>().await;
            });
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("waiting");
            scenario.interrupt();
            assert_eq!(scenario.end().signal(), Some(SIGINT));
        },
    ),
    (
        "after_ctrl_c_threads_are_waited_for_no_longer_than_the_shorter_period",
        || {
            let mut periods = GracePeriods::default();
            periods.executor = Duration::from_secs(3600);
            periods.executor_after_ctrl_c = Duration::from_millis(1);
            let result = Config::new().grace_periods(periods).run(async {
                get_running_loop().unwrap().add_close_hook(Rc::new(Never));
                raise();
                pending::<()>().await;
            });
            Exit::from(result).report()
        },
        |mut scenario| {
            scenario.expect("shutting down");
            assert_eq!(scenario.end().signal(), Some(SIGINT), "an hour is not over");
        },
    ),
    (
        "an_interrupted_runner_runs_again_and_its_close_is_in_a_hurry",
        || {
            let mut periods = GracePeriods::default();
            periods.executor = Duration::from_secs(3600);
            periods.executor_after_ctrl_c = Duration::from_millis(1);
            let mut runner = Config::new().grace_periods(periods).runner();
            for _ in 0..2 {
                let result = runner.run(async {
                    raise();
                    pending::<()>().await;
                });
                assert!(matches!(result, Err(RunError::Interrupted(_))));
            }
            let late = runner.run(async { raise() });
            assert!(matches!(late, Err(RunError::Interrupted(_))), "as main ends");
            assert!(matches!(runner.run(async { 7 }), Ok(7)));
            runner.get_loop().unwrap().add_close_hook(Rc::new(Never));
            let report = runner.close();
            assert_eq!(report.abandoned(), ["something of tier 4"]);
            assert!(!report.is_interrupted());
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("shutting down");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "ctrl_c_while_a_runner_is_being_closed_ends_the_waiting",
        || {
            let mut runner = Runner::new();
            runner.run(async {}).unwrap();
            runner.get_loop().unwrap().add_close_hook(Rc::new(Never));
            let report = runner.close();
            assert!(report.is_interrupted() && !report.is_clean());
            assert_eq!(report.abandoned(), ["something of tier 4"]);
            say("closed");
            raise();
            say("unreachable");
            ExitCode::SUCCESS
        },
        |mut scenario| {
            scenario.expect("shutting down");
            scenario.interrupt();
            scenario.expect("closed");
            assert_eq!(scenario.end().signal(), Some(SIGINT), "SIGINT was given back");
        },
    ),
    (
        "a_runner_that_is_closed_inside_a_run_leaves_ctrl_c_to_that_run",
        || {
            let result = run(async {
                let mut runner = Runner::new();
                runner.get_loop().unwrap();
                assert!(runner.close().is_clean());
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
        "another_error_of_run_is_printed_and_exits_with_one",
        || {
            let result = run(async {
                get_running_loop().unwrap().stop();
                pending::<()>().await;
            });
            Exit::from(result).report()
        },
        |scenario| assert_eq!(scenario.end().code(), Some(1)),
    ),
];

struct SayOnDrop(&'static str);

impl Drop for SayOnDrop {
    fn drop(&mut self) {
        say(self.0);
    }
}

struct OnDrop(fn());

impl Drop for OnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn raise() {
    scenario::raise(Kind::INT);
}

/// A hook whose phase never ends, with the grace of the executor: minutes by default.
struct Never;

impl CloseHook for Never {
    fn tier(&self) -> u8 {
        4
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        say("shutting down");
        Box::pin(pending())
    }

    fn grace(&self, periods: &GracePeriods) -> Duration {
        periods.executor
    }
}
