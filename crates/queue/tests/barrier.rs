//! `Barrier`: rounds, cancellation, reset and abort.

mod driver;
mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::pin::pin;

use asyncio_queue::{Barrier, BarrierState, BrokenBarrierError};
use futures_lite::future::yield_now;
use support::{Log, Tasks, World, block_on, cancel_everywhere, poll};

fn barrier(parties: usize) -> Barrier {
    Barrier::new(parties).unwrap()
}

/// What came of each wait, in order.
#[derive(Default)]
struct Results(RefCell<Vec<Result<usize, BrokenBarrierError>>>);

impl Results {
    async fn wait(&self, barrier: &Barrier) {
        let result = barrier.wait().await;
        self.0.borrow_mut().push(result);
    }

    fn passed(&self) -> usize {
        self.0.borrow().iter().filter(|result| result.is_ok()).count()
    }

    fn broken(&self) -> usize {
        self.0.borrow().len() - self.passed()
    }
}

/// Behaviour: LCK-36.
#[test]
fn debug_shows_the_state_and_who_is_inside() {
    let barrier = barrier(2);
    let shows = |state: &str, inside| {
        let expected = format!("Barrier {{ state: {state}, parties: 2, inside: {inside}, .. }}");
        assert_eq!(format!("{barrier:?}"), expected);
    };
    shows("Filling", 0);
    let mut first = Box::pin(barrier.wait());
    assert!(poll(first.as_mut()).is_pending());
    shows("Filling", 1);
    assert_eq!((barrier.n_waiting(), barrier.parties(), barrier.broken()), (1, 2, false));
    assert!(poll(pin!(barrier.wait())).is_ready());
    shows("Draining", 1);
    assert_eq!(barrier.n_waiting(), 0);
    barrier.reset();
    shows("Resetting", 1);
    let mut outside = Box::pin(barrier.wait());
    assert!(poll(outside.as_mut()).is_pending());
    let statistics = barrier.statistics();
    assert_eq!((statistics.inside, statistics.outside, statistics.waits), (1, 1, 1));
    barrier.abort();
    shows("Broken", 1);
    drop((first, outside));
    shows("Broken", 0);
    assert!(barrier.broken());
}

/// Behaviour: LCK-37.
#[test]
fn a_barrier_of_no_parties_is_refused() {
    let error = Barrier::new(0).unwrap_err();
    assert_eq!(error.to_string(), "a barrier of 0 parties can never be passed");
}

/// Behaviour: LCK-38.
#[test]
fn the_parties_get_the_numbers_below_their_count_once_each() {
    let barrier = barrier(5);
    let results = Results::default();
    let mut tasks = Tasks::default();
    for _ in 0..5 {
        tasks.spawn(results.wait(&barrier));
    }
    tasks.settle();
    let numbers: BTreeSet<usize> = results.0.borrow().iter().map(|it| it.unwrap()).collect();
    assert_eq!(numbers, (0..5).collect());
    assert_eq!(barrier.statistics().state, BarrierState::Filling);
}

/// Behaviour: LCK-39.
#[test]
fn a_barrier_of_one_is_passed_at_once_and_again() {
    let barrier = barrier(1);
    assert_eq!(block_on(barrier.wait()), Ok(0));
    assert_eq!(block_on(barrier.wait()), Ok(0));
    assert!(!barrier.broken());
}

/// Behaviour: LCK-41.
#[test]
fn all_can_wait_twice_in_a_row() {
    let barrier = barrier(5);
    let (first, second) = (Results::default(), Results::default());
    let mut tasks = Tasks::default();
    for _ in 0..5 {
        tasks.spawn(async {
            first.wait(&barrier).await;
            second.wait(&barrier).await;
        });
    }
    tasks.settle();
    assert!(tasks.all_done());
    assert_eq!((first.passed(), second.passed()), (5, 5));
    let numbers: BTreeSet<usize> = second.0.borrow().iter().map(|it| it.unwrap()).collect();
    assert_eq!(numbers, (0..5).collect());
    assert_eq!(barrier.n_waiting(), 0);
}

/// Behaviour: LCK-42.
#[test]
fn all_but_the_last_to_leave_see_the_barrier_draining() {
    let barrier = barrier(4);
    let states = Log::default();
    let mut tasks = Tasks::default();
    for _ in 0..4 {
        tasks.spawn(async {
            barrier.wait().await.unwrap();
            states.borrow_mut().push(barrier.statistics().state);
        });
    }
    tasks.settle();
    let [draining @ .., last] = &states.borrow()[..] else { panic!("nobody has passed") };
    assert_eq!(draining, [BarrierState::Draining; 3]);
    assert_eq!(*last, BarrierState::Filling);
}

/// Behaviour: LCK-43.
#[test]
fn who_comes_back_while_it_drains_waits_for_the_next_round() {
    let barrier = barrier(3);
    let log = Log::default();
    let mut tasks = Tasks::default();
    for number in 0..3 {
        let (barrier, log) = (&barrier, &log);
        tasks.spawn(async move {
            barrier.wait().await.unwrap();
            log.borrow_mut().push((1, number));
            // The third has arrived last, is out first, and finds the other two still inside.
            if number == 2 {
                assert_eq!(barrier.statistics().state, BarrierState::Draining);
            }
            let index = barrier.wait().await.unwrap();
            log.borrow_mut().push((2, index));
        });
    }
    tasks.tick();
    assert_eq!(*log.borrow(), [(1, 2)]);
    assert_eq!(barrier.statistics().outside, 1);
    tasks.settle();
    assert!(tasks.all_done());
    assert_eq!(log.borrow()[..3], [(1, 2), (1, 0), (1, 1)]);
    let second: BTreeSet<usize> = log.borrow()[3..].iter().map(|&(_, index)| index).collect();
    assert_eq!(second, (0..3).collect());
}

/// Behaviour: LCK-44.
#[test]
fn a_cancelled_waiter_leaves_and_breaks_nothing() {
    let barrier = barrier(3);
    let results = Results::default();
    let mut tasks = Tasks::default();
    let first = tasks.spawn(results.wait(&barrier));
    tasks.spawn(results.wait(&barrier));
    tasks.settle();
    assert_eq!(barrier.n_waiting(), 2);
    tasks.cancel(first);
    assert_eq!((barrier.n_waiting(), barrier.broken()), (1, false));
    tasks.spawn(results.wait(&barrier));
    tasks.settle();
    assert_eq!(results.passed(), 0);
    tasks.spawn(results.wait(&barrier));
    tasks.settle();
    assert_eq!((results.passed(), results.broken()), (3, 0));
    // Nor does the cancelled one leave a gap in the numbers, or a number for two.
    assert_eq!(*results.0.borrow(), [Ok(2), Ok(0), Ok(1)]);
}

/// Behaviour: LCK-45.
#[test]
fn a_reset_of_an_empty_barrier_changes_nothing() {
    let barrier = barrier(2);
    barrier.reset();
    assert_eq!(barrier.statistics().state, BarrierState::Filling);
    assert_eq!((barrier.n_waiting(), barrier.broken()), (0, false));
}

/// Behaviour: LCK-46.
#[test]
fn a_reset_sends_those_who_wait_away_and_the_barrier_can_be_used() {
    let barrier = barrier(4);
    let results = Results::default();
    let mut tasks = Tasks::default();
    for _ in 0..3 {
        tasks.spawn(results.wait(&barrier));
    }
    tasks.settle();
    barrier.reset();
    assert_eq!(barrier.n_waiting(), 0);
    tasks.settle();
    assert_eq!((results.passed(), results.broken()), (0, 3));
    assert_eq!(barrier.statistics().state, BarrierState::Filling);
    for _ in 0..4 {
        tasks.spawn(results.wait(&barrier));
    }
    tasks.settle();
    assert_eq!((results.passed(), results.broken()), (4, 3));
}

/// Behaviour: LCK-47.
#[test]
fn a_reset_while_it_drains_breaks_it_for_those_who_are_not_out() {
    let barrier = barrier(5);
    let results = Results::default();
    let mut tasks = Tasks::default();
    for _ in 0..5 {
        tasks.spawn(async {
            results.wait(&barrier).await;
            if results.passed() == 3 {
                barrier.reset();
            }
        });
    }
    tasks.settle();
    assert!(tasks.all_done());
    assert_eq!((results.passed(), results.broken()), (3, 2));
    assert_eq!(barrier.statistics().state, BarrierState::Filling);
}

/// Behaviour: LCK-48.
#[test]
fn a_reset_while_some_wait_again_breaks_only_those_inside() {
    let barrier = barrier(5);
    let (first, second) = (Results::default(), Results::default());
    let mut tasks = Tasks::default();
    for _ in 0..5 {
        tasks.spawn(async {
            first.wait(&barrier).await;
            if first.0.borrow().len() == 3 {
                // Two are outside again, two are still inside.
                assert_eq!(barrier.statistics().outside, 2);
                barrier.reset();
            }
            second.wait(&barrier).await;
        });
    }
    tasks.settle();
    assert!(tasks.all_done());
    assert_eq!((first.passed(), first.broken()), (3, 2));
    assert_eq!((second.passed(), second.broken()), (5, 0));
}

/// Behaviour: LCK-49.
#[test]
fn those_whom_a_reset_broke_can_wait_again_with_a_newcomer() {
    let barrier = barrier(4);
    let results = Results::default();
    let mut tasks = Tasks::default();
    for _ in 0..3 {
        tasks.spawn(async {
            if barrier.wait().await.is_err() {
                results.wait(&barrier).await;
            }
        });
    }
    tasks.settle();
    barrier.reset();
    tasks.spawn(results.wait(&barrier));
    tasks.settle();
    assert!(tasks.all_done());
    assert_eq!((results.passed(), results.broken()), (4, 0));
}

/// Behaviour: LCK-50.
#[test]
fn a_reset_by_the_last_one_out_leaves_those_alone_who_wait_again() {
    let barrier = barrier(3);
    let (first, second) = (Results::default(), Results::default());
    let mut tasks = Tasks::default();
    for _ in 0..3 {
        tasks.spawn(async {
            first.wait(&barrier).await;
            if first.passed() == 3 {
                // All are out; two are outside, woken, and not yet counted.
                barrier.reset();
            }
            second.wait(&barrier).await;
        });
    }
    tasks.settle();
    assert!(tasks.all_done());
    assert_eq!((first.passed(), first.broken()), (3, 0));
    assert_eq!((second.passed(), second.broken()), (3, 0));
}

/// Behaviour: LCK-51.
#[test]
fn an_abort_breaks_it_for_all_until_a_reset() {
    let empty = barrier(2);
    empty.abort();
    assert!(empty.broken());
    let error = block_on(empty.wait()).unwrap_err();
    assert_eq!(error.to_string(), "barrier is broken");
    empty.reset();
    assert_eq!((empty.broken(), empty.statistics().state), (false, BarrierState::Filling));

    let barrier = barrier(4);
    let (first, second) = (Results::default(), Results::default());
    let mut tasks = Tasks::default();
    for _ in 0..4 {
        tasks.spawn(async {
            first.wait(&barrier).await;
            if first.0.borrow().len() == 2 {
                barrier.abort();
            }
            second.wait(&barrier).await;
        });
    }
    tasks.settle();
    assert!(tasks.all_done() && barrier.broken());
    assert_eq!((first.passed(), first.broken()), (2, 2));
    assert_eq!((second.passed(), second.broken()), (0, 4));
}

/// Behaviour: LCK-52.
#[test]
fn a_task_that_fails_can_abort_for_all_others() {
    let barrier = barrier(5);
    let results = Results::default();
    let failed = Cell::new(false);
    let mut tasks = Tasks::default();
    for number in 0..5 {
        let (barrier, results, failed) = (&barrier, &results, &failed);
        tasks.spawn(async move {
            yield_now().await;
            if number == 4 {
                failed.set(true);
                barrier.abort();
                return;
            }
            results.wait(barrier).await;
        });
    }
    tasks.settle();
    assert!(tasks.all_done() && failed.get() && barrier.broken());
    assert_eq!((results.passed(), results.broken()), (0, 4));
}

#[test]
fn a_wait_cancelled_anywhere_leaves_a_barrier_that_works() {
    let arrive: fn(&mut World<Barrier>) = |world| {
        let (barrier, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            barrier.wait().await.unwrap();
            log.borrow_mut().push(1);
        });
        world.tasks.tick();
    };
    cancel_everywhere(
        || barrier(3),
        |barrier, log| async move {
            barrier.wait().await.unwrap();
            log.borrow_mut().push(100);
            barrier.wait().await.unwrap();
            log.borrow_mut().push(100);
        },
        &[arrive, arrive, |world| world.tasks.tick(), arrive, arrive],
        |world, count| {
            world.tasks.settle();
            assert_eq!(world.tool.statistics().state, BarrierState::Filling);
            // Whoever is left inside is released by as many as are missing.
            while !world.tasks.all_done() {
                assert!(world.tool.n_waiting() > 0);
                let barrier = world.tool.clone();
                world.tasks.spawn(async move { _ = barrier.wait().await });
                world.tasks.settle();
            }
            let arrived = [0, 1, 2, 2, 3, 4][count];
            assert_eq!(world.log.borrow().iter().filter(|&&who| who == 1).count(), arrived);
        },
    );
}
