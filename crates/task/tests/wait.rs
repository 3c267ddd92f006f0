//! Waiting for some or all of a list of tasks.

mod support;

use std::future::pending;
use std::time::Duration;

use asyncio_coro::{catch_cancel, yield_now};
use asyncio_task::{ReturnWhen, Task, TaskGroup, create_task, sleep, wait};
use support::{millis, reports, run, secs, timed};

fn sleepers<const N: usize>(delays: [u64; N]) -> Vec<Task<u64>> {
    let sleeper = |n| async move {
        sleep(millis(n)).await;
        n
    };
    delays.into_iter().map(|n| create_task(sleeper(n))).collect()
}

async fn values(tasks: Vec<Task<u64>>) -> Vec<u64> {
    let mut values = Vec::new();
    for task in tasks {
        assert!(task.done());
        values.push(task.await.unwrap());
    }
    values
}

/// Behaviour: TSK-53.
#[test]
fn wait_for_all_takes_as_long_as_the_longest_and_no_time_when_they_are_done() {
    run(async {
        let mut tasks = sleepers([100, 150]);
        let (done, elapsed) = timed(wait(&mut tasks, None, ReturnWhen::AllCompleted)).await;
        assert_eq!((elapsed, tasks.len()), (millis(150), 0));
        tasks = done;
        let (done, elapsed) = timed(wait(&mut tasks, None, ReturnWhen::AllCompleted)).await;
        assert_eq!((elapsed, values(done).await), (Duration::ZERO, vec![100, 150]));
        assert!(wait(&mut tasks, None, ReturnWhen::AllCompleted).await.is_empty());
    });
}

/// Behaviour: TSK-56.
#[test]
fn wait_for_the_first_leaves_the_others_running() {
    run(async {
        let mut tasks = sleepers([10_000, 100]);
        let (done, elapsed) = timed(wait(&mut tasks, None, ReturnWhen::FirstCompleted)).await;
        assert_eq!((elapsed, values(done).await), (millis(100), vec![100]));
        assert!(!tasks[0].done());
        let done = wait(&mut tasks, None, ReturnWhen::AllCompleted).await;
        assert_eq!(values(done).await, [10_000]);
    });
}

/// Behaviour: TSK-57.
#[test]
fn members_that_end_in_the_tick_of_the_first_are_done_too() {
    run(async {
        let mut tasks = sleepers([100, 100, 200]);
        let done = wait(&mut tasks, None, ReturnWhen::FirstCompleted).await;
        assert_eq!((values(done).await, tasks.len()), (vec![100, 100], 1));
    });
}

/// Behaviour: TSK-58, TSK-59.
#[test]
fn wait_for_a_panic_ends_at_one_and_not_at_a_cancellation() {
    run(async {
        let _reports = reports();
        let bomb = |delay| async move {
            sleep(secs(delay)).await;
            panic!("boom");
        };
        let cancelled = create_task(pending::<()>());
        cancelled.cancel();
        let mut tasks = vec![cancelled, create_task(bomb(1)), create_task(sleep(secs(9)))];
        let (done, elapsed) = timed(wait(&mut tasks, None, ReturnWhen::FirstPanic)).await;
        assert_eq!((done.len(), tasks.len(), elapsed), (2, 1, secs(1)));
        assert!(done[0].cancelled());
        for (task, is_panic) in done.into_iter().zip([false, true]) {
            assert_eq!(task.await.unwrap_err().is_panic(), is_panic);
        }
        let (done, elapsed) = timed(wait(&mut tasks, None, ReturnWhen::FirstPanic)).await;
        assert_eq!((done.len(), elapsed), (1, secs(8)));
    });
}

/// Behaviour: TSK-60, TSK-61.
#[test]
fn a_timeout_of_wait_cancels_nothing_and_counts_who_is_done_by_then() {
    run(async {
        let mut tasks = sleepers([150, 100]);
        let (done, elapsed) = timed(wait(&mut tasks, millis(110), ReturnWhen::AllCompleted)).await;
        assert_eq!((elapsed, values(done).await), (millis(110), vec![100]));
        assert_eq!((tasks.len(), tasks[0].cancelling()), (1, 0));
        let mut tasks = sleepers([100, 150]);
        yield_now().await;
        let done = wait(&mut tasks, millis(100), ReturnWhen::AllCompleted).await;
        assert_eq!(values(done).await, [100]);
    });
}

/// Behaviour: TSK-63.
#[test]
fn cancelling_who_waits_leaves_the_members_running_and_in_their_list() {
    run(async {
        let waiting = create_task(async {
            let mut tasks = sleepers([1000]);
            let cut = catch_cancel(wait(&mut tasks, None, ReturnWhen::AllCompleted)).await;
            assert!(cut.is_err());
            assert_eq!((tasks.len(), tasks[0].cancelling()), (1, 0));
            wait(&mut tasks, None, ReturnWhen::AllCompleted).await.len()
        });
        yield_now().await;
        yield_now().await;
        waiting.cancel();
        assert_eq!(waiting.await.unwrap(), 1);
    });
}

#[test]
fn wait_takes_children_of_a_group_as_well() {
    let data = [1, 2];
    let ended = run(TaskGroup::scope(async |group| {
        let mut tasks: Vec<_> = data
            .iter()
            .map(|n| {
                group.create_task(async move {
                    sleep(secs(*n)).await;
                    Ok::<_, ()>(n)
                })
            })
            .collect();
        let done = wait(&mut tasks, None, ReturnWhen::FirstCompleted).await;
        for task in done {
            assert_eq!(task.await.unwrap(), &1);
        }
        Ok(tasks.len())
    }));
    assert_eq!(ended, Ok(1));
}

#[test]
fn without_tasks_there_is_nothing_to_wait_for() {
    run(async {
        let mut none: Vec<Task<()>> = Vec::new();
        for when in [ReturnWhen::FirstCompleted, ReturnWhen::FirstPanic, ReturnWhen::AllCompleted] {
            assert!(wait(&mut none, None, when).await.is_empty());
        }
    });
}

/// Behaviour: TSK-62.
#[test]
fn tasks_that_come_from_an_iterator_are_collected_and_waited_for() {
    run(async {
        let ended = timed(async {
            let mut tasks = (1..=3)
                .map(|n| {
                    create_task(async move {
                        sleep(secs(n)).await;
                        n
                    })
                })
                .collect();
            let done = wait(&mut tasks, None, ReturnWhen::AllCompleted).await;
            assert!(tasks.is_empty());
            values(done).await
        })
        .await;
        assert_eq!(ended, (vec![1, 2, 3], secs(3)));
    });
}
