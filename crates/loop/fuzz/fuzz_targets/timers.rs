//! The timers of a loop against a naive model: whatever is added, cancelled and waited for, what fires is what a sorted
//! list says, in its order.
#![no_main]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use asyncio_loop::testing::{ClockMode, run_once, virtual_loop};
use asyncio_loop::{EventLoop, TimerHandle, TimerKey};
use libfuzzer_sys::fuzz_target;

/// What is done, decoded from three bytes each.
#[derive(Debug, Clone, Copy)]
enum Operation {
    /// `call_at`, this long from now, or this long ago.
    Call { delay: i64 },
    /// `add_timer`.
    Wake { delay: i64 },
    /// Cancels one of those that were ever made, perhaps for the second time.
    Cancel { which: usize },
    /// Cancels from inside a callback of the same tick.
    CancelInside { which: usize },
    /// Moves the clock and runs a tick.
    Advance { by: u64 },
}

impl Operation {
    fn decode(bytes: &[u8]) -> Self {
        let number = u16::from_le_bytes([bytes[1], bytes[2]]);
        // Short delays often, so that many are equal; and long ones, up to years.
        let delay = match number % 4 {
            0 => i64::from(number >> 10),
            1 => -i64::from(number >> 12),
            2 => i64::from(number) << 4,
            _ => i64::from(number) << (number % 41),
        };
        match bytes[0] % 8 {
            0 | 1 => Self::Call { delay },
            2 | 3 => Self::Wake { delay },
            4 | 5 => Self::Cancel { which: number.into() },
            6 => Self::CancelInside { which: number.into() },
            // The sum of all stays within what the model can count.
            _ => Self::Advance { by: delay.unsigned_abs().min(1 << 50) },
        }
    }
}

/// The numbers of what has fired.
type Fired = Arc<Mutex<Vec<usize>>>;

struct Notes(usize, Fired);

impl Wake for Notes {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

#[derive(Clone)]
enum Made {
    Call(TimerHandle),
    Wake(TimerKey),
}

impl Made {
    fn cancel(&self, event_loop: &EventLoop) {
        match self {
            Self::Call(handle) => handle.cancel(),
            Self::Wake(key) => event_loop.cancel_timer(*key),
        }
    }
}

/// The model: what is to fire, by nanoseconds from the start and number.
#[derive(Default)]
struct Model {
    waiting: Vec<(i64, usize)>,
    now: i64,
}

impl Model {
    fn add(&mut self, delay: i64, number: usize) {
        self.waiting.push((self.now + delay, number));
    }

    fn cancel(&mut self, number: usize) {
        self.waiting.retain(|(_, waiting)| *waiting != number);
    }

    fn advance(&mut self, by: u64) -> Vec<usize> {
        self.now += by as i64;
        self.waiting.sort();
        let due = self.waiting.partition_point(|(when, _)| *when <= self.now);
        self.waiting.drain(..due).map(|(_, number)| number).collect()
    }
}

fn shifted(when: Instant, by: i64) -> Instant {
    let distance = Duration::from_nanos(by.unsigned_abs());
    if by < 0 { when - distance } else { when + distance }
}

fuzz_target!(|data: &[u8]| {
    let (event_loop, clock) = virtual_loop(ClockMode::Frozen).unwrap();
    let fired = Fired::default();
    let made = Rc::new(RefCell::new(Vec::<Made>::new()));
    let mut model = Model::default();
    for operation in data.chunks_exact(3).map(Operation::decode) {
        let number = made.borrow().len();
        match operation {
            Operation::Call { delay } => {
                let fired = fired.clone();
                let when = shifted(event_loop.time(), delay);
                let handle = event_loop.call_at(when, move || fired.lock().unwrap().push(number));
                made.borrow_mut().push(Made::Call(handle));
                model.add(delay, number);
            }
            Operation::Wake { delay } => {
                let waker = Waker::from(Arc::new(Notes(number, fired.clone())));
                let key = event_loop.add_timer(shifted(event_loop.time(), delay), &waker);
                made.borrow_mut().push(Made::Wake(key));
                model.add(delay, number);
            }
            Operation::Cancel { which } if number > 0 => {
                let timer = made.borrow()[which % number].clone();
                timer.cancel(&event_loop);
                model.cancel(which % number);
            }
            Operation::CancelInside { which } if number > 0 => {
                // It runs before the timers of its tick, which are already queued then.
                let (inside, made) = (event_loop.clone(), made.clone());
                event_loop.call_soon(move || {
                    let timer = made.borrow()[which % number].clone();
                    timer.cancel(&inside);
                });
                model.cancel(which % number);
            }
            Operation::Advance { by } => {
                clock.advance(Duration::from_nanos(by));
                run_once(&event_loop).unwrap();
                let due = model.advance(by);
                assert_eq!(*fired.lock().unwrap(), due);
                fired.lock().unwrap().clear();
            }
            Operation::Cancel { .. } | Operation::CancelInside { .. } => {}
        }
    }
    event_loop.close().unwrap();
    assert!(fired.lock().unwrap().is_empty(), "closing fires nothing");
    made.borrow_mut().clear();
    assert_eq!(Arc::strong_count(&fired), 1, "nothing is kept");
});
