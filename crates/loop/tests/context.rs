//! In which context the loop runs what it was given: callbacks, handlers of descriptors, the main future, the handler of
//! exceptions.

mod support;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use asyncio_coro::{Context, ContextVar, copy_context};
use asyncio_loop::testing::{self, ClockMode, run_once};
use asyncio_loop::{EventLoop, IoHandler, Ready, RunError, get_running_loop};

use support::Log;

static NUMBER: ContextVar<u32> = ContextVar::new("number");

/// Sets the variable, and forgets what it was.
fn set(number: u32) {
    drop(NUMBER.set(number));
}

#[test]
fn a_callback_runs_in_a_copy_of_the_context_in_which_it_was_given() {
    let (event_loop, clock) = testing::virtual_loop(ClockMode::Frozen).unwrap();
    let log = Log::new();
    let callback = |set_to| {
        let log = log.clone();
        move || {
            log.push(NUMBER.get());
            set(set_to);
        }
    };
    set(1);
    event_loop.call_soon(callback(10));
    event_loop.call_soon(callback(20));
    event_loop.call_later(Duration::from_secs(1), callback(30));
    set(2);
    event_loop.call_at(event_loop.time(), callback(40));
    set(3);
    run_once(&event_loop).unwrap();
    clock.advance(Duration::from_secs(1));
    run_once(&event_loop).unwrap();
    assert_eq!(log.take(), [Some(1), Some(1), Some(2), Some(1)]);
    assert_eq!(NUMBER.get(), Some(3));
}

#[test]
fn a_callback_hands_its_context_on_to_what_it_gives_to_the_loop() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let (inner, sink) = (event_loop.clone(), log.clone());
    event_loop.call_soon(move || {
        set(1);
        inner.call_soon(move || sink.push(NUMBER.get()));
        set(2);
    });
    run_once(&event_loop).unwrap();
    run_once(&event_loop).unwrap();
    assert_eq!(log.take(), [Some(1)]);
}

#[test]
fn the_first_set_on_a_thread_may_be_in_a_callback_and_stays_there() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    for number in [1, 2] {
        let log = log.clone();
        event_loop.call_soon(move || {
            log.push((NUMBER.get(), copy_context().len()));
            set(number);
            assert_eq!(NUMBER.get(), Some(number));
        });
    }
    run_once(&event_loop).unwrap();
    assert_eq!(log.take(), [(None, 0), (None, 0)]);
    assert_eq!(NUMBER.get(), None);
}

#[test]
fn a_context_that_is_given_is_shared_by_callbacks() {
    let (event_loop, clock) = testing::virtual_loop(ClockMode::Frozen).unwrap();
    let context = Context::new();
    let add = |number| move || set(NUMBER.get().unwrap_or(0) * 10 + number);
    let soon = event_loop.call_soon_in(&context, add(1));
    let later = event_loop.call_later_in(&context, Duration::from_secs(1), add(2));
    let at = event_loop.call_at_in(context.clone(), event_loop.time(), add(3));
    assert!(soon.get_context().ptr_eq(&context) && later.get_context().ptr_eq(&context));
    run_once(&event_loop).unwrap();
    clock.advance(Duration::from_secs(1));
    run_once(&event_loop).unwrap();
    assert_eq!(context.get(&NUMBER), Some(132));
    assert_eq!(NUMBER.get(), None);
    assert!(at.get_context().ptr_eq(&context), "also when it has run");
}

#[test]
fn a_handle_leads_to_the_context_of_its_callback() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.call_soon(|| set(NUMBER.get().unwrap() + 1));
    handle.get_context().run(|| set(1));
    run_once(&event_loop).unwrap();
    assert_eq!(handle.get_context().get(&NUMBER), Some(2));
    assert!(!handle.get_context().ptr_eq(&event_loop.call_soon(|| ()).get_context()));
}

#[test]
fn a_callback_from_another_thread_begins_with_no_values() {
    let log = Log::new();
    let sink = log.clone();
    testing::run(async {
        set(1);
        let event_loop = get_running_loop().unwrap();
        let (handle, work) = (event_loop.handle(), event_loop.external_work());
        event_loop.call_soon(move || sink.push(NUMBER.get()));
        let seen = thread::spawn(move || {
            set(2);
            let (sender, receiver) = std::sync::mpsc::channel();
            let give = || {
                let sender = sender.clone();
                handle.call_soon_threadsafe(move || {
                    sender.send(NUMBER.get()).unwrap();
                    set(3);
                })
            };
            give().unwrap();
            give().unwrap();
            drop(work);
            receiver
        });
        let receiver = seen.join().unwrap();
        support::sleep(Duration::from_secs(1)).await;
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [None, None]);
        assert_eq!(NUMBER.get(), Some(1));
    })
    .unwrap();
    assert_eq!(log.take(), [Some(1)]);
}

#[test]
fn a_thread_safe_callback_of_the_loops_own_thread_runs_in_a_copy() {
    thread_local!(static SEEN: RefCell<Vec<Option<u32>>> = const { RefCell::new(Vec::new()) });
    let see = || SEEN.with_borrow_mut(|seen| seen.push(NUMBER.get()));
    testing::run(async move {
        let handle = get_running_loop().unwrap().handle();
        handle.call_soon_threadsafe(see).unwrap();
        set(1);
        handle
            .call_soon_threadsafe(move || {
                see();
                set(10);
            })
            .unwrap();
        let cancelled = handle.call_soon_threadsafe(|| unreachable!("it was cancelled")).unwrap();
        cancelled.cancel();
        set(2);
        support::sleep(Duration::from_secs(1)).await;
        assert_eq!(NUMBER.get(), Some(2));
        // Never run, and not leaked either: the address sanitizer would tell.
        handle.call_soon_threadsafe(see).unwrap();
    })
    .unwrap();
    assert_eq!(SEEN.take()[..2], [None, Some(1)]);
}

#[test]
fn the_handler_of_a_descriptor_runs_in_one_copy_of_the_context_of_its_registration() {
    struct Counts(Rc<Cell<u32>>);
    impl IoHandler for Counts {
        fn on_ready(self: Rc<Self>, ready: Ready) {
            if ready.is_readable() {
                set(NUMBER.get().unwrap_or(0) + 1);
                self.0.set(NUMBER.get().unwrap());
            }
        }
    }
    // Before anything was set on this thread, and after.
    for (expected, other) in [([1, 2], 100), ([101, 102], 200)] {
        let event_loop = EventLoop::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let seen = Rc::new(Cell::new(0));
        let registration =
            event_loop.register(ours.as_fd(), Rc::new(Counts(seen.clone()))).unwrap();
        set(other);
        for count in expected {
            theirs.write_all(b"x").unwrap();
            run_once(&event_loop).unwrap();
            assert_eq!(seen.get(), count);
        }
        assert_eq!(NUMBER.get(), Some(other));
        drop(registration);
    }
}

#[test]
fn the_main_future_has_a_copy_of_its_threads_context() {
    set(1);
    testing::run(async {
        assert_eq!(NUMBER.get(), Some(1));
        set(2);
        support::sleep(Duration::from_secs(1)).await;
        assert_eq!(NUMBER.get(), Some(2));
    })
    .unwrap();
    assert_eq!(NUMBER.get(), Some(1));
    let context = Context::new();
    context.run(|| testing::run(async { assert_eq!(NUMBER.get(), None) })).unwrap();
}

#[test]
fn the_exception_handler_runs_in_the_context_of_what_failed() {
    let event_loop = EventLoop::new().unwrap();
    let seen = Log::new();
    let sink = seen.clone();
    event_loop.set_exception_handler(move |_, _| sink.push(NUMBER.get()));
    event_loop.call_soon(|| {
        set(1);
        panic!("in a callback");
    });
    set(2);
    event_loop.call_soon(|| panic!("in a callback"));
    let context = Context::new();
    event_loop.call_soon_in(&context, || {
        set(3);
        panic!("in a callback");
    });
    run_once(&event_loop).unwrap();
    assert_eq!(seen.take(), [Some(1), Some(2), Some(3)]);
    assert_eq!(NUMBER.get(), Some(2));
}

#[test]
fn values_go_on_the_loops_thread_also_when_the_loop_is_closed() {
    static HELD: ContextVar<Rc<()>> = ContextVar::new("held");
    let (event_loop, _clock) = testing::virtual_loop(ClockMode::Frozen).unwrap();
    let value = Rc::new(());
    let context = Context::new();
    context.run(|| {
        HELD.set(value.clone());
        event_loop.call_soon(|| ());
        event_loop.call_later(Duration::from_secs(1), || ());
        let cancelled = event_loop.call_soon(|| ());
        cancelled.cancel();
        let main = event_loop.run_until_complete(async {
            event_loop.stop();
            pending::<()>().await;
        });
        assert!(matches!(main, Err(RunError::Stopped)));
        event_loop.call_soon(|| ());
    });
    drop(context);
    assert!(Rc::strong_count(&value) > 1);
    event_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn a_value_whose_destructor_panics_goes_to_the_exception_handler_and_the_loop_goes_on() {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            panic!("at the end");
        }
    }
    static LOUD: ContextVar<Loud> = ContextVar::new("loud");
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let sink = log.clone();
    event_loop.set_exception_handler(move |_, context| sink.push(context.message().to_owned()));
    event_loop.call_soon(|| drop(LOUD.set(Loud)));
    event_loop.call_soon(log.entry("next".to_owned()));
    run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["panic in a destructor: at the end", "next"]);
}
