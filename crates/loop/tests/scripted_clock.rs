//! A clock that follows a script, as the test loop of CPython's own tests does.

mod support;

use std::time::Duration;

use asyncio_loop::testing::{run_scripted, run_with, scripted_loop};
use asyncio_loop::{RunError, get_running_loop};
use support::{Log, sleep, ticks};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn each_timer_moves_the_clock_as_the_script_says() {
    let script = [(SECOND, SECOND / 2), (SECOND * 3, SECOND / 2), (SECOND * 4, SECOND * 3)];
    let elapsed = run_scripted(script, async {
        let event_loop = get_running_loop().unwrap();
        let start = event_loop.time();
        let log = Log::new();
        event_loop.call_later(SECOND, log.entry("first"));
        ticks(2).await;
        assert_eq!(event_loop.time() - start, SECOND / 2);
        assert!(log.items().is_empty());
        event_loop.call_at(start + SECOND * 3, log.entry("second"));
        ticks(3).await;
        assert_eq!(log.take(), ["first"]);
        sleep(SECOND * 3).await;
        assert_eq!(log.take(), ["second"]);
        event_loop.time() - start
    });
    assert_eq!(elapsed.unwrap(), SECOND * 4);
}

#[test]
fn timers_of_one_tick_are_expected_in_the_order_of_their_registration() {
    let script = [(SECOND * 2, SECOND), (SECOND, SECOND)];
    run_scripted(script, async {
        futures_lite::future::zip(sleep(SECOND * 2), sleep(SECOND)).await;
    })
    .unwrap();
}

#[test]
fn a_timer_that_is_not_as_expected_ends_the_run() {
    let result = run_scripted([(SECOND, SECOND)], sleep(SECOND * 2));
    let Err(RunError::OffScript(problem)) = result else { panic!("it kept to the script") };
    assert_eq!((problem.expected(), problem.found()), (Some(SECOND), Some(SECOND * 2)));
    assert_eq!(
        problem.to_string(),
        "the script expects a timer for 1s, and one for 2s was registered"
    );
}

#[test]
fn a_timer_after_the_end_of_the_script_ends_the_run() {
    let result = run_scripted([], sleep(SECOND));
    let Err(RunError::OffScript(problem)) = result else { panic!("it kept to the script") };
    assert_eq!((problem.expected(), problem.found()), (None, Some(SECOND)));
}

#[test]
fn a_script_that_is_not_used_up_is_an_error() {
    let (event_loop, script) = scripted_loop([(SECOND, SECOND), (SECOND, SECOND * 2)]).unwrap();
    run_with(&event_loop, sleep(SECOND)).unwrap();
    assert_eq!(script.elapsed(), SECOND);
    let problem = script.finish().unwrap_err();
    assert_eq!((problem.expected(), problem.found()), (Some(SECOND), None));
    drop(event_loop);
    script.finish().unwrap();
}
