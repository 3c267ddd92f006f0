//! Timers: order against a naive model, wakers, and very many of them.

mod support;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

use asyncio_loop::{EventLoop, get_running_loop, testing};
use support::{Log, on_each_selector};

/// Behaviour: BEV-16, BEV-18, BEV-19.
#[test]
fn timers_agree_with_a_sorted_map_under_random_use() {
    for seed in 1..30 {
        let mut random = Random(seed);
        let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::Frozen).unwrap();
        let start = event_loop.time();
        let log = Log::new();
        // The model: deadline and number of what is to come.
        let mut model = BTreeMap::new();
        let mut handles = Vec::new();
        let mut time = 0;
        for number in 0..2_000_u64 {
            match random.below(10) {
                0..6 => {
                    // Few different deadlines, so that many are equal.
                    let when = random.below(200);
                    let at = start + Duration::from_millis(when);
                    handles.push((event_loop.call_at(at, log.entry(number)), when, number));
                    model.insert((when, number), ());
                }
                6..8 if !handles.is_empty() => {
                    let index = random.below(handles.len() as u64) as usize;
                    let (handle, when, number) = handles.swap_remove(index);
                    handle.cancel();
                    model.remove(&(when, number));
                }
                _ => {
                    let by = random.below(5);
                    time += by;
                    clock.advance(Duration::from_millis(by));
                    testing::run_once(&event_loop).unwrap();
                    let mut due = Vec::new();
                    while let Some(first) = model.first_entry().filter(|e| e.key().0 <= time) {
                        due.push(first.remove_entry().0.1);
                    }
                    assert_eq!(log.take(), due, "seed {seed}");
                }
            }
        }
        clock.advance(Duration::from_secs(10));
        testing::run_once(&event_loop).unwrap();
        assert_eq!(log.take(), model.into_keys().map(|(_, number)| number).collect::<Vec<_>>());
    }
}

#[test]
fn a_million_outstanding_timers_are_fine() {
    let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::Frozen).unwrap();
    let woken = Arc::new(Count::default());
    let waker = Waker::from(woken.clone());
    let mut random = Random(7);
    let start = event_loop.time();
    let keys: Vec<_> = (0..1_000_000)
        .map(|_| event_loop.add_timer(start + Duration::from_millis(random.below(60_000)), &waker))
        .collect();
    for key in keys.iter().skip(1).step_by(2) {
        event_loop.cancel_timer(*key);
    }
    for _ in 0..60 {
        clock.advance(Duration::from_secs(1));
        testing::run_once(&event_loop).unwrap();
    }
    assert_eq!(woken.0.load(Ordering::Relaxed), 500_000);
    assert_eq!(Arc::strong_count(&woken), 2, "no timer keeps its waker");
}

#[test]
fn a_stale_key_does_not_cancel_the_next_timer_of_its_slot() {
    let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::Frozen).unwrap();
    let woken = Arc::new(Count::default());
    let waker = Waker::from(woken.clone());
    let stale = event_loop.add_timer(event_loop.time(), &waker);
    testing::run_once(&event_loop).unwrap();
    let cancelled = event_loop.add_timer(event_loop.time(), &waker);
    event_loop.cancel_timer(cancelled);
    event_loop.add_timer(event_loop.time() + Duration::from_secs(1), &waker);
    event_loop.cancel_timer(stale);
    event_loop.cancel_timer(cancelled);
    clock.advance(Duration::from_secs(1));
    testing::run_once(&event_loop).unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
}

#[test]
fn a_fired_timer_whose_turn_has_not_come_can_still_be_cancelled() {
    let (event_loop, _clock) = testing::virtual_loop(testing::ClockMode::Frozen).unwrap();
    let woken = Arc::new(Count::default());
    let waker = Waker::from(woken.clone());
    let key = Rc::new(std::cell::Cell::new(None));
    let now = event_loop.time();
    event_loop.call_at(now, {
        let (event_loop, key, waker) = (event_loop.clone(), key.clone(), waker.clone());
        move || {
            event_loop.cancel_timer(key.get().unwrap());
            // Its slot is still named by its entry, so this one must not get it.
            event_loop.add_timer(now, &waker);
        }
    });
    key.set(Some(event_loop.add_timer(now, &waker)));
    testing::run_once(&event_loop).unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    testing::run_once(&event_loop).unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

#[test]
fn a_deadline_that_no_clock_shows_means_never() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let never = event_loop.call_later(Duration::MAX, log.entry("never"));
    event_loop.call_later(Duration::from_secs(400 * 365 * 24 * 3600), log.entry("hardly"));
    event_loop.call_later(Duration::from_millis(1), {
        let event_loop = event_loop.clone();
        move || event_loop.stop()
    });
    event_loop.run_forever().unwrap();
    assert!(never.when() > event_loop.time());
    assert!(log.items().is_empty());
}

#[test]
fn deadlines_from_a_nanosecond_to_ten_years_are_kept_to_the_nanosecond() {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let mut delays: Vec<_> = (0..18).map(|n| Duration::from_nanos(10_u64.pow(n))).collect();
    delays.push(year * 10);
    testing::run(async move {
        let event_loop = get_running_loop().unwrap();
        for delay in delays {
            let start = event_loop.time();
            support::sleep(delay).await;
            assert_eq!(event_loop.time() - start, delay);
        }
    })
    .unwrap();
    // By the system's clock a wait lasts a day at most, which nobody notices.
    on_each_selector(|event_loop| {
        event_loop.call_later(year * 10, || unreachable!());
        let stopper = event_loop.clone();
        event_loop.call_later(Duration::from_nanos(1), move || stopper.stop());
        event_loop.run_forever().unwrap();
        event_loop.close().unwrap();
    });
}

#[test]
fn a_deadline_that_comes_up_before_the_one_that_is_waited_for_is_kept() {
    on_each_selector(|event_loop| {
        let (begin, begun) = mpsc::channel();
        let handle = event_loop.handle();
        let thread = thread::spawn(move || {
            begun.recv().unwrap();
            // Most likely the loop waits for the far one by then.
            for _ in 0..10 {
                thread::yield_now();
            }
            let soon = || {
                let event_loop = get_running_loop().unwrap();
                event_loop.clone().call_later(Duration::from_millis(1), move || event_loop.stop());
            };
            handle.call_soon_threadsafe(soon).unwrap();
        });
        event_loop.call_later(Duration::from_secs(600), || unreachable!());
        event_loop.call_soon(move || begin.send(()).unwrap());
        event_loop.run_forever().unwrap();
        thread.join().unwrap();
        event_loop.close().unwrap();
    });
}

#[test]
fn many_short_real_timers_all_fire_in_order() {
    on_each_selector(|event_loop| {
        let log = Log::new();
        let now = event_loop.time();
        for n in (0..50).rev() {
            event_loop.call_at(now + Duration::from_micros(100 * n), log.entry(n));
        }
        // Earlier ones come and go meanwhile, so the earliest deadline moves both ways.
        for n in 0..50 {
            event_loop.call_at(now + Duration::from_micros(90 * n), {
                let event_loop = event_loop.clone();
                move || {
                    let cancelled = event_loop.call_later(Duration::from_micros(10), || panic!());
                    event_loop.call_soon(move || cancelled.cancel());
                }
            });
        }
        event_loop.set_exception_handler(|_, _| {});
        event_loop.call_at(now + Duration::from_millis(6), {
            let event_loop = event_loop.clone();
            move || event_loop.stop()
        });
        event_loop.run_forever().unwrap();
        assert_eq!(log.take(), (0..50).collect::<Vec<_>>());
    });
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Marsaglia's xorshift: enough to shuffle a test, and the same at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
