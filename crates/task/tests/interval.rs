//! Clocks that tick: in step, late, reset.

mod support;

use std::time::Duration;

use asyncio_coro::StreamExt;
use asyncio_task::{
    Interval, MissedTickBehavior, create_task, interval, interval_at, sleep, timeout,
};
use support::{here, run, secs};

/// The times of the next ticks, in seconds since `start`, and what the clock shows then.
async fn ticks<const N: usize>(clock: &mut Interval, start: std::time::Instant) -> [(u64, u64); N] {
    let mut seen = [(0, 0); N];
    for tick in &mut seen {
        let due = clock.tick().await;
        *tick = ((due - start).as_secs(), (here().time() - start).as_secs());
    }
    seen
}

#[test]
fn the_first_tick_comes_at_once_and_work_between_ticks_does_not_push_them_back() {
    run(async {
        let start = here().time();
        let mut clock = interval(secs(10));
        assert_eq!(clock.period(), secs(10));
        for n in 0..3 {
            assert_eq!(clock.tick().await, start + n * secs(10));
            sleep(secs(7)).await;
        }
        assert_eq!(clock.next().await, Some(start + secs(30)));
    });
}

#[test]
fn an_interval_can_start_later() {
    run(async {
        let start = here().time();
        let mut clock = interval_at(start + secs(5), secs(10));
        assert_eq!(ticks(&mut clock, start).await, [(5, 5), (15, 15)]);
    });
}

#[test]
fn missed_ticks_are_given_delayed_or_skipped() {
    run(async {
        for (behavior, expected) in [
            (MissedTickBehavior::Burst, [(10, 35), (20, 35), (30, 35), (40, 40)]),
            (MissedTickBehavior::Delay, [(10, 35), (45, 45), (55, 55), (65, 65)]),
            (MissedTickBehavior::Skip, [(10, 35), (40, 40), (50, 50), (60, 60)]),
        ] {
            let start = here().time();
            let mut clock = interval(secs(10));
            clock.set_missed_tick_behavior(behavior);
            assert_eq!(clock.missed_tick_behavior(), behavior);
            clock.tick().await;
            sleep(secs(35)).await;
            assert_eq!(ticks(&mut clock, start).await, expected, "{behavior:?}");
        }
    });
}

#[test]
fn a_tick_that_is_late_by_whole_periods_is_skipped_to_the_next_one() {
    run(async {
        let start = here().time();
        let mut clock = interval(secs(10));
        clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
        clock.tick().await;
        sleep(secs(30)).await;
        assert_eq!(ticks(&mut clock, start).await, [(10, 30), (40, 40)]);
    });
}

#[test]
fn a_reset_counts_anew() {
    run(async {
        let start = here().time();
        let mut clock = interval(secs(10));
        clock.tick().await;
        sleep(secs(4)).await;
        clock.reset();
        assert_eq!(ticks(&mut clock, start).await, [(14, 14)]);
        clock.reset_after(secs(1));
        assert_eq!(ticks(&mut clock, start).await, [(15, 15), (25, 25)]);
        sleep(secs(1)).await;
        clock.reset_immediately();
        assert_eq!(ticks(&mut clock, start).await, [(26, 26), (36, 36)]);
        clock.reset_at(start + secs(40));
        assert_eq!(ticks(&mut clock, start).await, [(40, 40), (50, 50)]);
    });
}

#[test]
fn a_tick_that_is_cancelled_is_given_to_who_asks_next() {
    run(async {
        let start = here().time();
        let mut clock = interval(secs(10));
        clock.tick().await;
        assert!(timeout(secs(4), clock.tick()).await.is_err());
        assert_eq!(ticks(&mut clock, start).await, [(10, 10)]);
    });
}

#[test]
fn a_period_of_zero_does_not_starve_the_others() {
    run(async {
        let other = create_task(async {
            sleep(Duration::ZERO).await;
            "ran"
        });
        let mut clock = interval(Duration::ZERO);
        let mut turns = 0;
        while !other.done() {
            clock.tick().await;
            turns += 1;
            assert!(turns < 10);
        }
        assert_eq!(other.await.unwrap(), "ran");
    });
}

#[test]
fn a_tick_beyond_the_clock_never_comes() {
    run(async {
        let mut clock = interval(Duration::MAX);
        clock.tick().await;
        assert!(timeout(secs(1000), clock.tick()).await.is_err());
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        clock.reset();
        assert!(timeout(secs(1000), clock.tick()).await.is_err());
    });
}

#[test]
#[should_panic(expected = "interval")]
fn an_interval_ticks_inside_a_loop_only() {
    interval(secs(1)).reset();
}
