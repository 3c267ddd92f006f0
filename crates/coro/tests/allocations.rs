//! Scopes allocate nothing, neither when they end at once nor when they wait and clean up.

mod driver;

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use asyncio_coro::{
    Deadline, catch_cancel, deadline_scope, generator, try_finally, with, yield_now,
};
use asyncio_counting_allocator::allocations_of;

use driver::{TestClock, TestTask, yield_times};

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_of(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn scopes_that_wait_and_end_allocate_nothing() {
    let _clock = TestClock::install();
    let count = allocations_of(|| {
        let scopes = async {
            let inner = try_finally(yield_now(), async || yield_now().await);
            let timed = deadline_scope(Deadline::After(Duration::from_secs(1)), inner);
            catch_cancel(timed).await.unwrap().unwrap();
            with(7, async |_| yield_now().await, async |_| ()).await;
        };
        let mut scopes = pin!(scopes);
        assert!(driver::poll_up_to(scopes.as_mut(), 10).is_some());
    });
    assert_eq!(count, 0);
}

#[test]
fn a_deadline_that_passes_allocates_for_the_wakers_it_calls_at_most() {
    let clock = TestClock::install();
    let count = allocations_of(|| {
        let deadline = Deadline::At(clock.at(Duration::ZERO));
        let cleaned = try_finally(pending::<()>(), async || yield_now().await);
        let mut timed = pin!(deadline_scope(deadline, cleaned));
        assert!(driver::poll_up_to(timed.as_mut(), 10).is_some_and(|end| end.is_err()));
    });
    // The inner scope's waker is moved out into a list, once.
    assert!(count <= 2, "{count}");
}

#[test]
fn a_task_with_a_deadline_allocates_nothing_from_step_to_step() {
    let _clock = TestClock::install();
    let mut task =
        TestTask::new(deadline_scope(Deadline::After(Duration::from_secs(1)), yield_times(1000)));
    assert!(task.step().is_none());
    let count = allocations_of(|| {
        for _ in 0..100 {
            assert!(task.step().is_none());
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn a_scopes_node_is_104_bytes() {
    use std::future::Pending;
    let body = size_of::<Option<Pending<()>>>().next_multiple_of(8);
    assert_eq!(size_of::<asyncio_coro::CatchCancel<Pending<()>>>(), 104 + body);
}

#[test]
fn a_generator_is_two_allocations_and_an_item_none() {
    let mut numbers = None;
    let made = allocations_of(|| {
        numbers = Some(generator(async |y| {
            for n in 0..100 {
                y.yield_(n).await;
            }
        }));
    });
    assert_eq!(made, 2);
    let mut numbers = numbers.unwrap();
    let count = allocations_of(|| {
        for _ in 0..100 {
            let mut next = pin!(numbers.next());
            assert!(driver::poll_up_to(next.as_mut(), 1).is_some());
        }
    });
    assert_eq!(count, 0);
}
