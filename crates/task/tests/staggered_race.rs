//! Attempts that overlap.

mod support;

use std::cell::Cell;
use std::future::{Ready, pending};

use asyncio_coro::{try_finally, yield_now};
use asyncio_task::{TaskLoopExt, create_task, eager_task_factory, sleep, staggered_race, timeout};
use support::{Log, here, run, secs, timed};

/// Behaviour: STG-01.
#[test]
fn without_attempts_nobody_wins() {
    run(async {
        let none: [fn() -> Ready<Result<(), String>>; 0] = [];
        let lost = staggered_race(none, None).await.unwrap_err();
        assert!(lost.errors.is_empty());
        assert_eq!(lost.to_string(), "there was nothing to attempt");
    });
}

/// Behaviour: STG-02, EAG-09.
#[test]
fn when_the_first_succeeds_the_second_is_never_begun() {
    run(async {
        for (is_eager, delay) in
            [(false, None), (false, Some(secs(1))), (true, None), (true, Some(secs(1)))]
        {
            if is_eager {
                here().set_task_factory(eager_task_factory);
            }
            let begun = Cell::new(0);
            let attempts = [7, 8].map(|n| {
                let begun = &begun;
                async move || {
                    begun.set(begun.get() + 1);
                    Ok::<_, String>(n)
                }
            });
            let won = staggered_race(attempts, delay).await.unwrap();
            assert_eq!((won.value, won.index, won.errors), (7, 0, vec![None]));
            assert_eq!(begun.get(), 1);
        }
    });
}

/// Behaviour: STG-04, EAG-09.
#[test]
fn when_the_first_hangs_the_second_begins_after_the_delay_and_the_first_cleans_up() {
    run(async {
        for is_eager in [false, true] {
            if is_eager {
                here().set_task_factory(eager_task_factory);
            }
            let log = Log::default();
            let attempts = [true, false].map(|hangs| {
                let log = &log;
                async move || {
                    if hangs {
                        try_finally(pending::<()>(), async || {
                            sleep(secs(1)).await;
                            log.push("the first has cleaned up");
                        })
                        .await;
                    }
                    Ok::<_, String>("second")
                }
            });
            let (won, elapsed) = timed(staggered_race(attempts, secs(5))).await;
            let won = won.unwrap();
            // Cancelled, it has no error.
            assert_eq!((won.value, won.index, won.errors), ("second", 1, vec![None, None]));
            assert_eq!(
                (log.take(), elapsed),
                (vec!["the first has cleaned up".to_owned()], secs(6))
            );
        }
    });
}

/// Behaviour: STG-05.
#[test]
fn when_all_fail_there_is_every_error() {
    run(async {
        let attempts = [1, 2].map(|n: u64| {
            async move || {
                sleep(secs(n)).await;
                Err::<(), _>(format!("error {n}"))
            }
        });
        let (lost, elapsed) = timed(staggered_race(attempts, secs(60))).await;
        let lost = lost.unwrap_err();
        assert_eq!(
            (&*lost.errors, elapsed),
            (&["error 1".to_owned(), "error 2".to_owned()][..], secs(3))
        );
        assert_eq!(lost.to_string(), "all 2 attempts failed; the last: error 2");
    });
}

/// Behaviour: STG-06.
#[test]
fn of_two_that_are_ready_in_one_tick_the_first_wins_alone() {
    run(async {
        let attempts = [2, 1].map(|n| {
            async move || {
                sleep(secs(n)).await;
                Ok::<_, String>(n)
            }
        });
        let won = staggered_race(attempts, secs(1)).await.unwrap();
        assert_eq!((won.value, won.index, won.errors), (2, 0, vec![None, None]));
    });
}

#[test]
fn a_failure_of_the_last_one_begun_begins_the_next_at_once() {
    run(async {
        let attempts = [Err("no"), Err("no, either"), Ok("yes")].map(|result| {
            async move || {
                yield_now().await;
                result
            }
        });
        let (won, elapsed) = timed(staggered_race(attempts, None)).await;
        let won = won.unwrap();
        assert_eq!((won.value, won.index), ("yes", 2));
        assert_eq!(won.errors, [Some("no"), Some("no, either"), None]);
        assert_eq!(elapsed, secs(0));
    });
}

#[test]
fn an_attempt_that_panics_takes_the_others_with_it() {
    run(async {
        let task = create_task(async {
            let attempts = [1, 2].map(|n| {
                async move || {
                    sleep(secs(1)).await;
                    assert!(n != 2, "number {n}");
                    pending::<Result<(), ()>>().await
                }
            });
            let _ = staggered_race(attempts, secs(1)).await;
        });
        assert!(task.await.unwrap_err().is_panic());
    });
}

#[test]
fn cancelled_from_outside_it_waits_for_the_cleanup_of_each() {
    run(async {
        let log = Log::default();
        let attempts = ["a", "b"].map(|name| {
            let log = &log;
            async move || {
                try_finally(pending::<Result<(), ()>>(), async || {
                    sleep(secs(1)).await;
                    log.push(name);
                })
                .await
            }
        });
        assert!(timeout(secs(5), staggered_race(attempts, secs(1))).await.is_err());
        assert_eq!(log.take(), ["a", "b"]);
    });
}
