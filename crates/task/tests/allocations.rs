//! What a task, a wake and a sleep allocate.

use std::future::{poll_fn, ready};
use std::task::Poll;
use std::time::Duration;

use asyncio_coro::{ContextVar, yield_now};
use asyncio_counting_allocator::{allocations, live_allocations};
use asyncio_task::{OwnedTaskGroup, Task, TaskGroup, create_task, gather, sleep, timeout};

async fn allocations_of(body: impl AsyncFnOnce()) -> usize {
    let before = allocations();
    body().await;
    allocations() - before
}

#[test]
fn a_task_is_one_allocation_and_awaiting_it_none() {
    asyncio_loop::run(async {
        let spawn_and_join = async || {
            let tasks: [Task<u32>; 8] = std::array::from_fn(|n| {
                create_task(async move {
                    yield_now().await;
                    n as u32
                })
            });
            for task in tasks {
                task.await.unwrap();
            }
        };
        // The registry and the ready queue grow once.
        spawn_and_join().await;
        assert_eq!(allocations_of(spawn_and_join).await, 8);
    })
    .unwrap();
}

#[test]
fn contexts_cost_a_task_nothing_until_one_is_made_on_the_thread() {
    static NUMBER: ContextVar<u32> = ContextVar::new("number");
    asyncio_loop::run(async {
        let spawn_and_join = async || {
            for _ in 0..1000 {
                create_task(async { NUMBER.get() }).await.unwrap();
            }
        };
        spawn_and_join().await;
        assert_eq!(allocations_of(spawn_and_join).await, 1000);
        NUMBER.set(7);
        spawn_and_join().await;
        assert_eq!(allocations_of(spawn_and_join).await, 2000, "its values are shared");
    })
    .unwrap();
}

#[test]
fn a_large_future_is_a_second_allocation() {
    asyncio_loop::run(async {
        let large = async || {
            let bytes = [1_u8; 4096];
            let task = create_task(async move {
                yield_now().await;
                bytes[17]
            });
            task.await.unwrap();
        };
        large().await;
        assert_eq!(allocations_of(large).await, 2);
    })
    .unwrap();
}

#[test]
fn a_child_of_a_group_is_three_allocations() {
    asyncio_loop::run(async {
        let group = async || {
            let children = TaskGroup::scope(async |group| {
                for _ in 0..1000 {
                    group.create_task(async {
                        yield_now().await;
                        Ok::<_, ()>(())
                    });
                }
                Ok(())
            });
            children.await.unwrap();
        };
        group().await;
        // The group's lists grow a few times.
        assert_eq!(allocations_of(group).await / 1000, 3);
    })
    .unwrap();
}

#[test]
fn gather_looks_at_each_member_only_when_it_was_woken() {
    asyncio_loop::testing::run(async {
        let one_by_one = async || {
            let members = (0..1000).map(|n| sleep(Duration::from_millis(n)));
            gather(members).await.unwrap();
        };
        one_by_one().await;
        // A task, and a waker for each look at one that has not ended; half a million if all were looked at each time.
        let count = allocations_of(one_by_one).await;
        assert!(count < 3000, "{count}");
    })
    .unwrap();
}

#[test]
fn wakes_sleeps_and_timeouts_allocate_nothing() {
    asyncio_loop::testing::run(async {
        let steady = async || {
            for n in 0..100_u32 {
                yield_now().await;
                sleep(Duration::from_millis(1)).await;
                timeout(Duration::from_secs(1), ready(n)).await.unwrap();
                timeout(Duration::from_secs(1), yield_now()).await.unwrap();
                let mut polled = false;
                poll_fn(|cx| {
                    if polled {
                        return Poll::Ready(());
                    }
                    polled = true;
                    let waker = cx.waker().clone();
                    waker.wake_by_ref();
                    Poll::Pending
                })
                .await;
            }
        };
        let task = create_task(async move {
            steady().await;
            allocations_of(steady).await
        });
        assert_eq!(task.await.unwrap(), 0);
    })
    .unwrap();
}

#[test]
fn children_that_have_ended_leave_nothing_behind_in_an_owned_group() {
    asyncio_loop::run(async {
        let group = OwnedTaskGroup::supervising(|_, _: &str| ());
        let serve = async |connections: usize| {
            for n in 0..connections {
                group.create_task(async move {
                    yield_now().await;
                    if n % 3 == 0 { Err("reset") } else { Ok(vec![n]) }
                });
                if n % 10 == 0 {
                    group.join().await.unwrap();
                }
            }
            group.join().await.unwrap();
        };
        serve(100).await;
        let before = live_allocations();
        serve(1_000).await;
        assert_eq!(live_allocations(), before);
    })
    .unwrap();
}
