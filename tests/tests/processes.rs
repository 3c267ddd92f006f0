//! Stories across tiers that need a process of their own: Ctrl-C, and the children of a fork.
#![expect(unsafe_code, reason = "fork")]

#[path = "../../crates/loop/tests/support/scenario.rs"]
mod scenario;

use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command, ExitCode, ExitStatus};
use std::sync::mpsc;
use std::time::Duration;

use asyncio::event_loop::{Config, GracePeriods, Runner};
use asyncio::executor::spawn_process;
use asyncio::future::Future;
use asyncio::{Exit, RunError, catch_cancel, create_task, run, to_thread, yield_now};
use scenario::{Kind, Row, Scenario, raise, say};

fn main() -> ExitCode {
    scenario::run_all(SCENARIOS)
}

/// What the parent expects of a child that checks everything itself.
const SUCCEEDS: fn(Scenario) = |scenario| assert_eq!(scenario.end().code(), Some(0));

const SCENARIOS: &[Row] = &[
    (
        // Behaviour: RUN-14.
        "ctrl_c_is_a_cancellation_inside_and_an_interruption_outside_busy_or_waiting",
        || {
            let mut runner = Runner::new();
            let mut was_cancelled = false;
            let busy = async {
                let caught = catch_cancel(async {
                    raise(Kind::INT);
                    loop {
                        yield_now().await;
                    }
                });
                was_cancelled = caught.await.is_err();
                std::future::pending::<()>().await;
            };
            // Main swallowed the cancellation and goes on; it is ended from inside, since a second Ctrl-C ends the process.
            let both = async {
                let main = asyncio::current_task().unwrap();
                asyncio::get_running_loop().unwrap().call_later(
                    Duration::from_millis(1),
                    move || {
                        main.cancel();
                    },
                );
                busy.await;
            };
            assert!(matches!(runner.run(both), Err(RunError::Cancelled(_))));
            assert!(was_cancelled);

            let busy = async {
                raise(Kind::INT);
                loop {
                    yield_now().await;
                }
            };
            assert!(matches!(runner.run(busy), Err(RunError::Interrupted(_))));

            let future = Future::<()>::new();
            let waits = future.clone();
            let waiting = async move {
                create_task(async { raise(Kind::INT) });
                waits.await
            };
            assert!(matches!(runner.run(waiting), Err(RunError::Interrupted(_))));
            assert!(
                future.cancelled(),
                "as asyncio does it: who is cancelled cancels what it awaits"
            );
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
    (
        "a_stuck_thread_is_abandoned_soon_after_ctrl_c_and_reported_by_name",
        || {
            let mut periods = GracePeriods::default();
            periods.executor_after_ctrl_c = Duration::from_millis(20);
            let result = Config::new().grace_periods(periods).run(async {
                asyncio::get_running_loop()
                    .unwrap()
                    .set_exception_handler(|_, context| say(context.message()));
                let (started, starts) = mpsc::channel();
                let stuck = to_thread(move || {
                    started.send(()).unwrap();
                    loop {
                        std::thread::park();
                    }
                });
                create_task(stuck);
                yield_now().await;
                starts.recv().unwrap();
                raise(Kind::INT);
                std::future::pending::<()>().await;
            });
            process::exit(i32::from(!matches!(result, Err(RunError::Interrupted(_)))))
        },
        |mut scenario| {
            let report = scenario.line();
            assert!(report.starts_with("abandoned when the event loop shut down: "), "{report}");
            assert!(report.contains("processes.rs"), "{report}");
            assert_eq!(scenario.end().code(), Some(0));
        },
    ),
    (
        "a_program_that_is_only_a_run_dies_by_sigint_after_its_tasks_have_cleaned_up",
        || {
            let result = run(async {
                create_task(asyncio::try_finally(std::future::pending::<()>(), async || {
                    yield_now().await;
                    say("cleaned up");
                }));
                yield_now().await;
                say("waiting");
                std::future::pending::<()>().await;
            });
            process::Termination::report(Exit::from(result))
        },
        |mut scenario| {
            scenario.expect("waiting");
            scenario.interrupt();
            scenario.expect("cleaned up");
            assert_eq!(scenario.end().signal(), Some(libc::SIGINT));
        },
    ),
    (
        // Behaviour: UNX-33.
        "the_child_of_a_fork_runs_a_loop_with_tasks_and_a_subprocess_of_its_own",
        || {
            run(async {
                create_task(std::future::pending::<()>());
                yield_now().await;
                // SAFETY: this process has one thread only, so all of it goes on in the child.
                let child = match unsafe { libc::fork() } {
                    0 => {
                        let code = run(async {
                            assert!(asyncio::all_tasks().is_empty(), "the parent's are not here");
                            let task = create_task(async {
                                let mut command = Command::new("sh");
                                let child = spawn_process(command.args(["-c", "exit 7"])).unwrap();
                                child.wait().await
                            });
                            task.await.unwrap()
                        });
                        // SAFETY: nothing is left to do, and a leak checker has no business here.
                        unsafe {
                            libc::_exit(if code.is_ok_and(|code| code == 7) { 33 } else { 1 })
                        }
                    }
                    child => child,
                };
                assert!(child > 0);
                let mut status = 0;
                // SAFETY: the pointer is to one number.
                let waited = unsafe { libc::waitpid(child, &mut status, 0) };
                assert_eq!(waited, child);
                assert_eq!(ExitStatus::from_raw(status).code(), Some(33));
                assert_eq!(asyncio::all_tasks().len(), 1);
            })
            .unwrap();
            ExitCode::SUCCESS
        },
        SUCCEEDS,
    ),
];
