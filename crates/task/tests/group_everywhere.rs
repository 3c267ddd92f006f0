//! Every wait of a group, cancelled at each of its suspension points: no child is left, and no cleanup skipped for a request.

mod support;

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

use asyncio_cancel_everywhere::{Case, on_loop};
use asyncio_coro::{catch_cancel, try_finally, yield_now};
use asyncio_task::{OwnedTaskGroup, StartError, TaskGroup, TaskStatus, all_tasks, sleep};
use support::{Outcome, millis};

/// Children that have begun, and those whose cleanup has run.
#[derive(Clone, Default)]
struct Count {
    begun: Rc<Cell<u32>>,
    cleaned: Rc<Cell<u32>>,
}

impl Count {
    async fn child(&self, sleeps: u32) -> Outcome {
        self.begun.set(self.begun.get() + 1);
        let body = async {
            for _ in 0..sleeps {
                sleep(millis(10)).await;
            }
        };
        // It waits for nothing: a request that finds it waiting would cut it.
        try_finally(body, async || self.cleaned.set(self.cleaned.get() + 1)).await;
        Ok(())
    }

    /// What must hold when the operation is over, however it ended.
    fn check<T>(&self, case: &Case<T>) {
        assert!(all_tasks().is_empty(), "{case}: {:?} are left", all_tasks());
        if !case.way.is_drop() {
            assert_eq!(self.begun.get(), self.cleaned.get(), "{case}");
        }
    }
}

#[test]
fn a_scope_that_is_cancelled_leaves_no_child_and_skips_no_cleanup() {
    let points = on_loop(
        async || {
            let count = Count::default();
            let inside = count.clone();
            let operation = async move {
                TaskGroup::scope(async |group| {
                    for sleeps in 1..4 {
                        group.create_task(inside.child(sleeps));
                    }
                    inside.child(2).await
                })
                .await
            };
            (count, operation)
        },
        async |count, case| {
            assert!(case.output.as_ref().is_none_or(Result::is_ok), "{case}");
            count.check(&case);
        },
    );
    assert!(points >= 4, "{points}");
}

#[test]
fn a_scope_in_which_a_child_fails_gives_that_error_or_is_cancelled_before() {
    on_loop(
        async || {
            let count = Count::default();
            let inside = count.clone();
            let operation = async move {
                TaskGroup::scope(async |group| -> Outcome {
                    group.create_task(inside.child(9));
                    group.create_task(async {
                        sleep(millis(15)).await;
                        Err::<(), _>("boom")
                    });
                    inside.child(9).await
                })
                .await
            };
            (count, operation)
        },
        async |count, case| {
            // The error is heard once it has happened, whatever is asked afterwards.
            if let Some(result) = &case.output {
                assert_eq!(result.as_ref().unwrap_err().errors(), ["boom"], "{case}");
            }
            count.check(&case);
        },
    );
}

#[test]
fn a_start_that_is_cancelled_leaves_no_child_and_skips_no_cleanup() {
    on_loop(
        async || {
            let count = Count::default();
            let inside = count.clone();
            let operation = async move {
                TaskGroup::scope(async |group| {
                    let start = group.start(async |status: TaskStatus<u16>| {
                        sleep(millis(10)).await;
                        yield_now().await;
                        status.started(8080);
                        inside.child(1).await
                    });
                    match start.await {
                        Ok((port, _)) => Ok(port),
                        Err(StartError::Join(error)) if error.is_cancelled() => Err("refused"),
                        Err(_) => Err("not started"),
                    }
                })
                .await
            };
            (count, operation)
        },
        async |count, case| {
            assert!(case.output.as_ref().is_none_or(|ended| *ended == Ok(8080)), "{case}");
            count.check(&case);
        },
    );
}

#[test]
fn join_leaves_the_children_alone() {
    on_loop(
        async || {
            let (group, count) = (Rc::new(OwnedTaskGroup::new()), Count::default());
            for sleeps in 1..3 {
                let inside = count.clone();
                group.create_task(async move { inside.child(sleeps).await });
            }
            group.create_task(async {
                let _ = catch_cancel(sleep(millis(50))).await;
                Err::<(), _>("last")
            });
            let joined = group.clone();
            ((group, count), async move { joined.join().await.unwrap_err().into_errors() })
        },
        async |(group, count), case| {
            let errors = match case.output {
                Some(errors) => errors,
                // Who gave up has taken nothing.
                None => group.join().await.unwrap_err().into_errors(),
            };
            assert_eq!(errors, ["last"]);
            assert_eq!((count.begun.get(), count.cleaned.get()), (2, 2));
        },
    );
}

#[test]
fn aclose_cancels_the_children_even_if_nobody_waits_for_them() {
    on_loop(
        async || {
            let (group, count) = (Rc::new(OwnedTaskGroup::<&str>::new()), Count::default());
            for _ in 0..2 {
                let inside = count.clone();
                group.create_task(async move {
                    inside.child(1).await?;
                    pending::<Outcome>().await
                });
            }
            sleep(millis(5)).await;
            let closed = group.clone();
            ((group, count), async move { closed.aclose().await })
        },
        async |(group, count), case| {
            assert_eq!(
                group.is_closed(),
                case.point > 0 || case.output.is_some() || case.way.is_request()
            );
            group.aclose().await.unwrap();
            assert_eq!((count.begun.get(), count.cleaned.get()), (2, 2));
            yield_now().await;
            assert!(all_tasks().is_empty());
        },
    );
}
