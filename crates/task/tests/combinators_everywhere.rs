//! gather, wait, as_completed, shield, races, timeouts and clocks, cancelled at each of their suspension points.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use asyncio_cancel_everywhere::on_loop;
use asyncio_coro::{StreamExt, try_finally};
use asyncio_task::{
    ReturnWhen, Task, Timeout, all_tasks, as_completed, create_task, gather, gather_results,
    interval, shield, sleep, staggered_race, wait, wait_for,
};
use support::{here, secs};

/// How many works have begun and not ended.
#[derive(Clone, Default)]
struct Open(Rc<Cell<i32>>);

/// A work that has begun.
struct Begun(Open);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

impl Open {
    /// Takes so long, and as long again to clean up. (A request that comes while it cleans up cuts that short.)
    async fn work(self, seconds: u64) -> u64 {
        self.0.set(self.0.get() + 1);
        let _begun = Begun(self);
        let work = async {
            sleep(secs(seconds)).await;
            seconds
        };
        try_finally(work, async || sleep(secs(seconds)).await).await
    }

    /// When all that goes on has ended: nothing is open, and no task is left.
    async fn is_clean(&self) {
        sleep(secs(60)).await;
        assert_eq!(self.0.get(), 0);
        assert!(all_tasks().is_empty());
    }
}

#[test]
fn members_of_a_gather_clean_up_wherever_it_is_cancelled() {
    let points = on_loop(
        async || {
            let open = Open::default();
            (open.clone(), gather((open.clone().work(1), open.clone().work(2), async { 7 })))
        },
        async |open, case| {
            if case.way.is_request() {
                assert!(open.0.get() == 0 || case.output.is_some(), "all had ended by then");
            }
            open.is_clean().await;
            assert!(case.output.is_none_or(|values| values.unwrap() == (1, 2, 7)));
        },
    );
    assert!(points > 1);
    on_loop(
        async || {
            let open = Open::default();
            (open.clone(), gather_results([open.clone().work(1), open.work(2)]))
        },
        async |open, case| {
            open.is_clean().await;
            assert!(case.output.is_none_or(|values| values.len() == 2));
        },
    );
}

/// Where tasks are that somebody waits for, also when he is gone.
type Kept = Rc<RefCell<Vec<Task<u64>>>>;

#[test]
fn a_wait_loses_no_task_wherever_it_is_cancelled() {
    struct Lent(Vec<Task<u64>>, Kept);
    impl Drop for Lent {
        fn drop(&mut self) {
            self.1.borrow_mut().append(&mut self.0);
        }
    }
    for return_when in [ReturnWhen::FirstCompleted, ReturnWhen::AllCompleted] {
        on_loop(
            async || {
                let kept = Kept::default();
                let tasks = [1, 2].map(|n| create_task(Open::default().work(n))).into();
                let mut lent = Lent(tasks, kept.clone());
                (kept, async move {
                    let mut done = wait(&mut lent.0, secs(30), return_when).await;
                    lent.0.append(&mut done);
                })
            },
            async |kept, _| {
                let mut tasks = kept.take();
                tasks.sort_by_key(Task::id);
                let mut values = Vec::new();
                for task in tasks {
                    values.push(task.await.unwrap());
                }
                assert_eq!(values, [1, 2], "nobody was cancelled");
            },
        );
    }
}

#[test]
fn the_next_task_to_end_is_not_lost_wherever_its_wait_is_cancelled() {
    on_loop(
        async || {
            let ended = as_completed([2, 1].map(|n| create_task(Open::default().work(n))));
            let stream = Rc::new(RefCell::new(Some(ended.into_iter())));
            let nexts = stream.clone();
            (stream, async move {
                let next = nexts.borrow_mut().as_mut().unwrap().next().unwrap();
                next.await.await.unwrap()
            })
        },
        async |stream, case| {
            let rest = stream.take().unwrap();
            let mut values: Vec<_> = case.output.into_iter().collect();
            for next in rest {
                if values.len() < 2 {
                    values.push(next.await.await.unwrap());
                }
            }
            // One that was cancelled gave up its future, and not the task; the last one is left to itself.
            assert_eq!(values[0], 1);
            sleep(secs(60)).await;
            assert!(all_tasks().is_empty());
        },
    );
    on_loop(
        async || {
            let open = Open::default();
            let mut ended = as_completed([2, 1].map(|n| create_task(open.clone().work(n))));
            (open, async move {
                let mut values = Vec::new();
                while let Some(task) = ended.next().await {
                    values.push(task.await.unwrap());
                }
                values
            })
        },
        async |open, case| {
            open.is_clean().await;
            assert!(case.output.is_none_or(|values| values == [1, 2]));
        },
    );
}

#[test]
fn a_shielded_task_comes_through_wherever_the_shield_is_cancelled() {
    on_loop(
        async || {
            let open = Open::default();
            let task = create_task(open.clone().work(1));
            let handle = all_tasks().pop().unwrap();
            let mut task = task;
            ((open, handle), async move { shield(&mut task).await.unwrap() })
        },
        async |(open, handle), _| {
            open.is_clean().await;
            assert!(handle.done() && !handle.cancelled());
        },
    );
}

#[test]
fn attempts_of_a_race_clean_up_wherever_it_is_cancelled() {
    on_loop(
        async || {
            let open = Open::default();
            let attempts = [9, 1].map(|n| {
                let open = open.clone();
                async move || Ok::<_, ()>(open.work(n).await)
            });
            (open.clone(), async move { staggered_race(attempts, secs(2)).await.unwrap().value })
        },
        async |open, case| {
            assert_eq!(open.0.get(), 0);
            assert!(case.output.is_none_or(|value| value == 1));
            sleep(secs(60)).await;
            assert!(all_tasks().is_empty());
        },
    );
}

#[test]
fn a_timeout_unwinds_its_body_wherever_it_is_cancelled() {
    on_loop(
        async || {
            let open = Open::default();
            let body = open.clone();
            (open, async move {
                let timed = Timeout::scope(secs(3), async |limit| {
                    let task = create_task(body.clone().work(5));
                    limit.reschedule(here().time() + secs(4)).unwrap();
                    task.await.unwrap()
                });
                assert!(timed.await.is_err());
                wait_for(create_task(body.work(1)), secs(3)).await.unwrap().unwrap()
            })
        },
        async |open, case| {
            assert!(!case.way.is_request() || open.0.get() == 0 || case.output.is_some());
            open.is_clean().await;
        },
    );
}

#[test]
fn a_tick_is_not_lost_wherever_its_wait_is_cancelled() {
    on_loop(
        async || {
            let start = here().time();
            let clock = Rc::new(RefCell::new(interval(secs(1))));
            let given = Rc::new(Cell::new(0));
            let (ticking, count) = (clock.clone(), given.clone());
            ((clock, given, start), async move {
                for _ in 0..3 {
                    let tick = std::future::poll_fn(|cx| ticking.borrow_mut().poll_tick(cx));
                    tick.await;
                    count.set(count.get() + 1);
                }
            })
        },
        async |(clock, given, start), _| {
            let next = std::future::poll_fn(|cx| clock.borrow_mut().poll_tick(cx)).await;
            assert_eq!(next, start + given.get() * secs(1));
        },
    );
}
