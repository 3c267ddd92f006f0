//! What a program hears of a loop that it forgot to close.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use asyncio_loop::EventLoop;
use log::{LevelFilter, Log, Metadata, Record};

/// Keeps what is logged, also by a thread that has ended.
struct Capture(Mutex<Vec<String>>);

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(format!("{}: {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

static LEAKED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
static CAPTURE: Capture = Capture(Mutex::new(Vec::new()));

#[test]
fn a_loop_that_leaks_is_reported_at_the_end_of_its_thread_in_debug_mode() {
    log::set_logger(&CAPTURE).unwrap();
    log::set_max_level(LevelFilter::Warn);
    for (debug, closes) in [(true, false), (true, true), (false, false)] {
        let leaks = move || {
            let event_loop = EventLoop::new().unwrap();
            event_loop.set_debug(debug);
            // As a transport does.
            let owner = event_loop.clone();
            event_loop.call_later(Duration::from_secs(3600), move || drop(owner));
            if closes {
                event_loop.close().unwrap();
            } else {
                // Kept where a leak checker finds it, since it leaks on purpose.
                let leaked = std::ptr::from_ref(Box::leak(Box::new(event_loop)));
                LEAKED.lock().unwrap().push(leaked.expose_provenance());
            }
            // One that is dropped is closed by that.
            EventLoop::new().unwrap().set_debug(debug);
        };
        thread::spawn(leaks).join().unwrap();
        let expected: &[&str] = if debug && !closes {
            &[
                "WARN: an event loop was not closed: 0 descriptors, 1 timers, 0 ready entries are left",
            ]
        } else {
            &[]
        };
        assert_eq!(std::mem::take(&mut *CAPTURE.0.lock().unwrap()), expected);
    }
}
