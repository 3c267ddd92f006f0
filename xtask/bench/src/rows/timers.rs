//! Rows about time.

use std::cell::RefCell;
use std::future::{Future, poll_fn, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::Found;
use super::kit::Timers;

/// Polls once, so that the timer is there.
async fn arm<F: Future>(mut sleep: Pin<&mut F>) {
    poll_fn(|cx| {
        assert!(sleep.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Deadlines in an hour or more, in no order.
fn far(n: u64) -> Duration {
    Duration::from_secs(3_600) + Duration::from_micros(n.wrapping_mul(0x9E37_79B9) % 1_000_000_007)
}

async fn insert_and_drop<T: Timers>(n: u64) -> Found {
    let start = Instant::now();
    for n in 0..n {
        arm(pin!(T::sleep(far(n)))).await;
    }
    Found::since(start, n)
}

pub fn timer_insert_drop<T: Timers>(n: u64) -> Found {
    T::run(insert_and_drop::<T>(n))
}

const OUTSTANDING: u64 = 1_000_000;

async fn outstanding<T: Timers>() -> (Vec<Pin<Box<T::Sleep>>>, Duration) {
    let mut sleeps: Vec<_> = (0..OUTSTANDING).map(|n| Box::pin(T::sleep(far(n)))).collect();
    let start = Instant::now();
    for sleep in &mut sleeps {
        arm(sleep.as_mut()).await;
    }
    (sleeps, start.elapsed())
}

/// The same with a million others outstanding.
pub fn timer_insert_drop_1m<T: Timers>(n: u64) -> Found {
    T::run(async {
        let (sleeps, inserted) = outstanding::<T>().await;
        let mut found = insert_and_drop::<T>(n).await;
        found.values.push(("insert_ns", inserted.as_secs_f64() * 1e9 / OUTSTANDING as f64));
        for (name, value) in found.values {
            println!("{name} {value}");
        }
        std::mem::forget(sleeps);
        println!("operations {n}");
        std::process::exit(0)
    })
}

/// What firing costs: the processor's time for tasks that sleep some milliseconds each.
pub fn timer_fire<T: Timers>(n: u64) -> Found {
    T::run(async {
        let start = processor_time();
        let delay = |n: u64| Duration::from_micros(20_000 + n.wrapping_mul(0x9E37_79B9) % 20_000);
        let tasks: Vec<_> = (0..n)
            .map(|n| {
                T::spawn(async move {
                    T::sleep(delay(n)).await;
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        Found::lasted(processor_time() - start, n)
    })
}

fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it fills the struct.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How late sleeps end when 2 000 tasks sleep again and again.
pub fn lateness<T: Timers>(n: u64) -> Found {
    const SLEEPERS: u64 = 2_000;
    T::run(async {
        let late = Rc::new(RefCell::new(Vec::with_capacity(n as usize)));
        let tasks: Vec<_> = (0..SLEEPERS)
            .map(|sleeper| {
                let late = late.clone();
                T::spawn(async move {
                    for turn in 0..(n / SLEEPERS).max(1) {
                        let salt = (sleeper * 7_919 + turn * 104_729).wrapping_mul(0x9E37_79B9);
                        let delay = Duration::from_micros(50_000 + salt % 200_000);
                        let start = Instant::now();
                        T::sleep(delay).await;
                        late.borrow_mut().push(start.elapsed().saturating_sub(delay));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        let mut late = late.take();
        late.sort_unstable();
        let at = |part: f64| late[((late.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
        Found {
            operations: late.len() as u64,
            values: vec![("p50_us", at(0.5)), ("p99_us", at(0.99))],
        }
    })
}

/// A timeout that never comes to it.
pub fn timeout_ready<T: Timers>(n: u64) -> Found {
    T::run(async {
        let mut sum = 0;
        let start = Instant::now();
        for n in 0..n {
            sum += T::timeout(Duration::from_secs(1), ready(std::hint::black_box(n))).await;
        }
        std::hint::black_box(sum);
        Found::since(start, n)
    })
}
