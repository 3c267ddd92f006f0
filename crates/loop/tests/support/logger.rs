//! A logger that keeps what each thread logs, for the tests of what is logged.

use std::cell::{Cell, RefCell};
use std::sync::Once;

use log::{Level, LevelFilter, Log, Metadata, Record};

struct Capture;

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = (record.level(), record.args().to_string());
        LINES.with_borrow_mut(|lines| lines.push(line));
        if PANICS.get() > 0 {
            PANICS.set(PANICS.get() - 1);
            panic!("the disk is full");
        }
    }

    fn flush(&self) {}
}

/// Installs the logger, and forgets what this thread has logged so far.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Capture).unwrap();
        log::set_max_level(LevelFilter::Debug);
    });
    take();
}

/// What this thread has logged since the last call.
pub(crate) fn take() -> Vec<(Level, String)> {
    LINES.take()
}

/// Makes the logger panic after each of this thread's next `times` records.
pub(crate) fn panic_next(times: u32) {
    PANICS.set(times);
}
