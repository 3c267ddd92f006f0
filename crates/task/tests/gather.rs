//! Gathering: order, first error, cancellation in both directions.

mod support;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::rc::Rc;

use asyncio_coro::{catch_cancel, try_finally, yield_now};
use asyncio_task::{
    GatherError, all_tasks, create_task, current_task, gather, gather_results, sleep, try_gather,
};
use support::{Log, reports, run, secs, timed};

/// Behaviour: TSK-89.
#[test]
fn gather_gives_values_in_the_order_of_the_arguments() {
    run(async {
        let (values, elapsed) = timed(gather([3, 1, 2].map(|n| async move {
            sleep(secs(n)).await;
            n
        })))
        .await;
        assert_eq!((values.unwrap(), elapsed), (vec![3, 1, 2], secs(3)));
        assert!(gather(Vec::<std::future::Ready<()>>::new()).await.unwrap().is_empty());
    });
}

#[test]
fn gather_starts_its_tasks_at_the_call() {
    run(async {
        let log = Log::default();
        let both = gather(["a", "b"].map(|name| {
            let events = log.clone();
            async move { events.push(name) }
        }));
        yield_now().await;
        assert_eq!(log.take(), ["a", "b"]);
        both.await.unwrap();
    });
}

/// Behaviour: TSK-90.
#[test]
fn the_first_error_ends_try_gather_at_once_and_the_others_go_on() {
    run(async {
        let log = Log::default();
        let (error, elapsed) = timed(try_gather([3, 1, 2].map(|n| {
            let events = log.clone();
            async move {
                sleep(secs(n)).await;
                events.push(format!("{n} ended"));
                if n == 3 { Ok(n) } else { Err(n) }
            }
        })))
        .await;
        assert!(matches!(error, Err(GatherError::Failed(1))));
        assert_eq!(elapsed, secs(1));
        sleep(secs(5)).await;
        assert_eq!(log.take(), ["1 ended", "2 ended", "3 ended"]);
    });
}

#[test]
fn the_first_panic_ends_gather_at_once_and_later_ones_are_reported() {
    run(async {
        let reports = reports();
        let (error, elapsed) = timed(gather([2, 1].map(|n| async move {
            sleep(secs(n)).await;
            panic!("number {n}");
        })))
        .await;
        let error = error.map(|_: Vec<()>| ()).unwrap_err();
        assert_eq!(error.into_panic().downcast_ref::<String>().unwrap(), "number 1");
        assert_eq!(elapsed, secs(1));
        sleep(secs(5)).await;
        let reports = reports.take();
        assert_eq!(reports.len(), 1);
        assert!(reports[0].contains("number 2"), "{}", reports[0]);
    });
}

#[test]
fn of_two_panics_in_one_tick_gather_gives_the_first_and_the_other_is_reported() {
    run(async {
        let reports = reports();
        let error = gather([1, 2].map(|n| async move {
            if n > 0 {
                panic!("number {n}");
            }
        }))
        .await
        .unwrap_err();
        assert_eq!(error.into_panic().downcast_ref::<String>().unwrap(), "number 1");
        let reports = reports.take();
        assert_eq!(reports.len(), 1);
        assert!(reports[0].contains("number 2"), "{}", reports[0]);
    });
}

/// Behaviour: TSK-92.
#[test]
fn a_cancelled_member_is_an_error_of_gather_and_does_not_cancel_who_awaits_it() {
    run(async {
        let tasks = [(); 2].map(|()| create_task(sleep(secs(1))));
        tasks[1].cancel();
        let error = try_gather(tasks).await.unwrap_err();
        assert!(matches!(error, GatherError::Failed(error) if error.is_cancelled()));
    });
}

/// Behaviour: TSK-97.
#[test]
fn cancelling_who_awaits_gather_cancels_all_members_and_waits_for_them() {
    run(async {
        let log = Log::default();
        let members = log.clone();
        let outer = create_task(async move {
            let both = gather([1, 2].map(|n| {
                let events = members.clone();
                try_finally(pending::<()>(), async move || {
                    sleep(secs(n)).await;
                    events.push(format!("member {n} ended"));
                })
            }));
            both.await.unwrap();
        });
        yield_now().await;
        yield_now().await;
        outer.cancel();
        let (ended, elapsed) = timed(outer).await;
        assert!(ended.unwrap_err().is_cancelled());
        assert_eq!(elapsed, secs(2));
        assert_eq!(log.take(), ["member 1 ended", "member 2 ended"]);
        assert!(all_tasks().is_empty());
    });
}

#[test]
fn cancelling_who_awaits_gather_cancels_it_even_if_all_members_refuse() {
    run(async {
        let outer = create_task(gather([1, 2].map(|n| async move {
            catch_cancel(pending::<()>()).await.unwrap_err();
            sleep(secs(n)).await;
        })));
        sleep(secs(1)).await;
        outer.cancel();
        let (ended, elapsed) = timed(outer).await;
        assert!(ended.unwrap_err().is_cancelled());
        assert_eq!(elapsed, secs(2));
    });
}

#[test]
fn a_panic_of_a_member_while_gather_is_cancelled_is_given_when_all_have_ended() {
    run(async {
        let outer = create_task(async {
            let member = |n: u64| async move {
                catch_cancel(pending::<()>()).await.unwrap_err();
                sleep(secs(n)).await;
                assert!(n != 1, "not now");
            };
            gather([1, 2].map(member)).await.unwrap_err().is_panic()
        });
        sleep(secs(1)).await;
        outer.cancel();
        let (ended, elapsed) = timed(outer).await;
        assert!(ended.unwrap());
        assert_eq!(elapsed, secs(2));
    });
}

/// Behaviour: TSK-98.
#[test]
fn a_request_that_comes_when_all_members_are_done_is_too_late() {
    run(async {
        let outer = create_task(async { gather([ready(1), ready(2)]).await.unwrap() });
        yield_now().await;
        yield_now().await;
        outer.cancel();
        assert_eq!(outer.await.unwrap(), [1, 2]);
    });
}

/// Behaviour: TSK-83.
#[test]
fn cancelling_a_gather_of_shields_leaves_the_tasks_running() {
    run(async {
        let log = Log::default();
        let outer = create_task(gather([1, 2].map(|n| {
            let events = log.clone();
            async move {
                let mut task = create_task(async move {
                    sleep(secs(n)).await;
                    events.push(format!("{n}"));
                });
                asyncio_task::shield(&mut task).await
            }
        })));
        for _ in 0..3 {
            yield_now().await;
        }
        outer.cancel();
        assert!(outer.await.unwrap_err().is_cancelled());
        sleep(secs(5)).await;
        assert_eq!(log.take(), ["1", "2"]);
    });
}

#[test]
fn a_gather_is_polled_once_for_many_members_that_end_in_one_tick() {
    run(async {
        let polls = Rc::new(Cell::new(0));
        let count = polls.clone();
        let mut all = Box::pin(gather((0..1000).map(|_| sleep(secs(1)))));
        poll_fn(move |cx| {
            count.set(count.get() + 1);
            all.as_mut().poll(cx)
        })
        .await
        .unwrap();
        // At first, when the last one has ended, and in the tick after that.
        assert_eq!(polls.get(), 3);
    });
}

/// Behaviour: TSK-89.
#[test]
fn a_tuple_gives_a_tuple_of_up_to_twelve_values_of_their_own_types() {
    run(async {
        let late = |n: u64| async move {
            sleep(secs(n)).await;
            n
        };
        assert_eq!(gather((late(3),)).await.unwrap(), (3,));
        let (all, elapsed) =
            timed(gather((late(2), async { "two" }, ready(Rc::new(2)), create_task(ready(())))))
                .await;
        let (number, text, counted, task) = all.unwrap();
        assert_eq!((number, text, *counted, task.unwrap(), elapsed), (2, "two", 2, (), secs(2)));
        let twelve = (
            late(1),
            late(2),
            late(3),
            late(4),
            late(5),
            late(6),
            late(7),
            late(8),
            late(9),
            late(10),
            late(11),
            ready('l'),
        );
        let twelve = gather(twelve).await.unwrap();
        assert_eq!((twelve.0, twelve.10, twelve.11), (1, 11, 'l'));
    });
}

/// Behaviour: TSK-90.
#[test]
fn the_first_error_of_a_tuple_ends_it_at_once() {
    run(async {
        let (failed, elapsed) = timed(try_gather((
            async {
                sleep(secs(5)).await;
                Ok::<_, String>(1)
            },
            async {
                sleep(secs(1)).await;
                Err::<&str, _>(String::from("second"))
            },
        )))
        .await;
        assert!(matches!(failed, Err(GatherError::Failed(text)) if text == "second"));
        assert_eq!(elapsed, secs(1));
        let (number, text) =
            try_gather((async { Ok::<_, ()>(1) }, async { Ok("one") })).await.unwrap();
        assert_eq!((number, text), (1, "one"));
        assert!(gather((ready(1), async { assert_eq!(1, 2) })).await.unwrap_err().is_panic());
    });
}

/// Behaviour: TSK-92.
#[test]
fn gather_results_waits_for_all_and_has_a_result_for_each() {
    run(async {
        let reports = reports();
        let member = |n: u64| async move {
            sleep(secs(n)).await;
            assert!(n != 1, "number {n}");
            n
        };
        let (results, elapsed) = timed(gather_results([2, 1, 3].map(member))).await;
        assert_eq!((results.len(), elapsed), (3, secs(3)));
        assert_eq!((results[0].as_ref().unwrap(), results[2].as_ref().unwrap()), (&2, &3));
        assert!(results[1].as_ref().unwrap_err().is_panic());

        let stops = create_task(async { current_task().unwrap().cancel() });
        let (fine, cancelled) = gather_results((ready(7), stops)).await;
        assert_eq!(fine.unwrap(), 7);
        assert!(cancelled.unwrap().unwrap_err().is_cancelled());
        assert!(reports.take().is_empty());
    });
}

/// Behaviour: TSK-99.
#[test]
fn who_awaits_gather_results_is_cancelled_with_the_message_all_the_same() {
    run(async {
        let seen = Log::default();
        let members = seen.clone();
        let outer = create_task(async move {
            let member = |refuses: bool| {
                let seen = members.clone();
                async move {
                    let error = catch_cancel(pending::<()>()).await.unwrap_err();
                    seen.push(error.message().unwrap());
                    if !refuses {
                        current_task().unwrap().cancel();
                        yield_now().await;
                    }
                }
            };
            gather_results([member(true), member(false)]).await.len()
        });
        yield_now().await;
        yield_now().await;
        outer.cancel_with("closing time");
        assert_eq!(outer.await.unwrap_err().cancel_message(), Some("closing time"));
        assert_eq!(seen.take(), ["closing time", "closing time"]);
    });
}

#[test]
fn a_gather_that_has_given_its_error_cancels_nobody_any_more() {
    run(async {
        let log = Log::default();
        let events = log.clone();
        let outer = create_task(async move {
            let _ = try_gather([2, 1].map(|n| {
                let events = events.clone();
                async move {
                    sleep(secs(n)).await;
                    events.push(format!("{n} ended"));
                    if n == 1 { Err(()) } else { Ok(()) }
                }
            }))
            .await;
            pending::<()>().await;
        });
        sleep(secs(1)).await;
        yield_now().await;
        yield_now().await;
        outer.cancel(); // in the tick between the error and who awaits it
        assert!(outer.await.unwrap_err().is_cancelled());
        sleep(secs(5)).await;
        assert_eq!(log.take(), ["1 ended", "2 ended"]);
    });
}

#[test]
#[should_panic(expected = "gather: no running event loop")]
fn gather_needs_a_running_loop() {
    drop(gather([ready(1)]));
}

#[test]
fn to_ask_what_a_gather_waits_for_changes_nothing() {
    run(async {
        let outer = create_task(async {
            let (first, elapsed) = timed(try_gather([1, 9].map(|n| async move {
                sleep(secs(n)).await;
                Err::<(), _>(n)
            })))
            .await;
            assert!(matches!(first, Err(GatherError::Failed(1))));
            elapsed
        });
        yield_now().await;
        let waiting = all_tasks().into_iter().find(|task| task.id() == outer.id()).unwrap();
        assert_eq!(waiting.awaits().len(), 2);
        assert_eq!(outer.await.unwrap(), secs(1));
    });
}
