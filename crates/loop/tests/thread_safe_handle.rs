//! Handles of `call_soon_threadsafe`: cancelled from anywhere, before, while and after the callback runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use asyncio_loop::{EventLoop, ThreadSafeHandle, testing};

/// How long a test looks for something that must not happen.
const A_WHILE: Duration = Duration::from_millis(30);

/// Has another thread `ask` a handle while its callback runs, and answers what it said; it must not say it before the
/// callback has returned.
fn asked_while_it_runs<T: Send + 'static>(
    ask: impl FnOnce(&ThreadSafeHandle) -> T + Send + 'static,
) -> (T, ThreadSafeHandle) {
    let event_loop = EventLoop::new().unwrap();
    let (begun, has_begun) = mpsc::channel();
    let (answer, answers) = mpsc::channel();
    let (answers, returned) = (Arc::new(Mutex::new(answers)), Arc::new(AtomicBool::new(false)));
    let handle = event_loop.handle().call_soon_threadsafe({
        let (answers, returned) = (answers.clone(), returned.clone());
        move || {
            begun.send(()).unwrap();
            let early = answers.lock().unwrap().recv_timeout(A_WHILE);
            assert!(early.is_err(), "it was answered while the callback ran");
            returned.store(true, Ordering::SeqCst);
        }
    });
    let handle = handle.unwrap();
    let asked = handle.clone();
    let asker = thread::spawn(move || {
        has_begun.recv().unwrap();
        let said = ask(&asked);
        answer.send(()).unwrap();
        (said, returned.load(Ordering::SeqCst))
    });
    testing::run_once(&event_loop).unwrap();
    let (said, had_returned) = asker.join().unwrap();
    assert!(had_returned, "the callback had to return first");
    assert!(answers.lock().unwrap().try_recv().is_ok());
    (said, handle)
}

/// Behaviour: EVT-07.
#[test]
fn whoever_asks_while_the_callback_runs_waits_for_its_end() {
    let (said, handle) = asked_while_it_runs(|handle| handle.cancelled());
    assert!(!said && !handle.cancelled());
}

/// Behaviour: EVT-08.
#[test]
fn whoever_cancels_while_the_callback_runs_waits_for_its_end() {
    let ((), handle) = asked_while_it_runs(|handle| handle.cancel());
    assert!(handle.cancelled());
}

/// Behaviour: EVT-09.
#[test]
fn a_callback_can_cancel_itself() {
    let event_loop = EventLoop::new().unwrap();
    let (own, owns) = mpsc::channel::<ThreadSafeHandle>();
    let (done, is_done) = mpsc::channel();
    let handle = event_loop.handle().call_soon_threadsafe(move || {
        let own = owns.recv().unwrap();
        own.cancel();
        assert!(own.cancelled());
        done.send(()).unwrap();
    });
    let handle = handle.unwrap();
    own.send(handle.clone()).unwrap();
    testing::run_once(&event_loop).unwrap();
    is_done.try_recv().expect("it ran to its end");
    assert!(handle.cancelled());
}

/// Behaviour: EVT-10.
#[test]
fn a_callback_cancelled_by_another_thread_before_it_ran_never_runs() {
    struct Dropped(mpsc::Sender<thread::ThreadId>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let (sender, dropped) = mpsc::channel();
    let captured = Dropped(sender);
    let handle = event_loop.handle().call_soon_threadsafe(move || {
        let _captured = &captured;
        unreachable!("it was cancelled");
    });
    let handle = handle.unwrap();
    let canceller = thread::spawn(move || {
        handle.cancel();
        handle.cancel();
        assert!(handle.cancelled());
        thread::current().id()
    });
    let canceller = canceller.join().unwrap();
    assert_eq!(dropped.try_recv(), Ok(canceller), "it is dropped by who cancelled it");
    testing::run_once(&event_loop).unwrap();
    assert!(dropped.recv().is_err(), "once");
}

#[test]
fn a_cancel_after_the_callback_has_run_only_marks_it() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle().call_soon_threadsafe(|| ()).unwrap();
    testing::run_once(&event_loop).unwrap();
    assert!(!handle.cancelled());
    handle.cancel();
    assert!(handle.cancelled());
}

#[test]
fn a_callback_that_panics_lets_go_of_those_who_wait_for_it() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_exception_handler(|_, _| ());
    let (begun, has_begun) = mpsc::channel();
    let handle = event_loop.handle().call_soon_threadsafe(move || {
        begun.send(()).unwrap();
        panic!("no such luck");
    });
    let handle = handle.unwrap();
    let asker = thread::spawn(move || {
        has_begun.recv().unwrap();
        handle.cancelled()
    });
    testing::run_once(&event_loop).unwrap();
    assert!(!asker.join().unwrap());
}

#[test]
fn a_callback_that_a_closed_loop_drops_is_cancelled() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle().call_soon_threadsafe(|| unreachable!()).unwrap();
    event_loop.close().unwrap();
    assert!(handle.cancelled());
    let text = format!("{handle:?}");
    assert!(text.contains("cancelled: true") && text.contains(file!()), "{text}");
}
