//! What safe code may do at the worst moment: inside its own destructor, handler or callback, from a thread that knows
//! nothing, or never. Most of it is for AddressSanitizer to watch.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_coro::task::TaskRef;
use asyncio_coro::{current_task, yield_now};
use asyncio_loop::{
    CloseHook, EventLoop, ExternalWork, GracePeriods, IoHandler, LoopHandle, Ready, Registration,
    RunError, get_running_loop, run, testing,
};
use support::{Log, on_each_selector, ticks};

/// Runs a closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn the_last_handle_of_a_loop_may_be_dropped_inside_its_own_callback() {
    on_each_selector(|event_loop| {
        let log = Log::new();
        let slot = Rc::new(RefCell::new(None));
        event_loop.call_soon({
            let (slot, log) = (slot.clone(), log.clone());
            move || {
                drop(slot.take());
                let event_loop = get_running_loop().unwrap();
                event_loop.call_soon(log.entry("still turning"));
                event_loop.stop();
            }
        });
        let runner = event_loop.clone();
        *slot.borrow_mut() = Some(event_loop);
        runner.run_forever().unwrap();
        assert!(slot.borrow().is_none());
        testing::run_once(&runner).unwrap();
        assert_eq!(log.take(), ["still turning"]);
    });
}

#[test]
fn another_loop_may_be_closed_and_dropped_inside_a_callback() {
    on_each_selector(|other| {
        let log = Log::new();
        run(async {
            let outer = get_running_loop().unwrap();
            // What goes down with the other loop talks to both.
            let goodbye = OnDrop({
                let (outer, log) = (outer.clone(), log.clone());
                let other = other.handle();
                move || {
                    outer.call_soon(log.entry("from a destructor"));
                    assert!(get_running_loop().unwrap().handle().same_loop(&outer.handle()));
                    assert!(other.is_current() && !outer.handle().is_current());
                    outer.handle().call_soon_threadsafe(|| ()).unwrap();
                }
            });
            let (ours, _theirs) = UnixStream::pair().unwrap();
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            other.add_timer(other.time(), &waker);
            other.call_soon(move || drop(goodbye));
            let key = outer.add_timer(outer.time(), &waker);
            let registration = other.register(ours.as_fd(), Rc::new(Nothing)).unwrap();
            drop(other);
            drop(registration);
            outer.cancel_timer(key);
            ticks(2).await;
        })
        .unwrap();
        assert_eq!(log.take(), ["from a destructor"]);
    });
}

struct Nothing;

impl IoHandler for Nothing {
    fn on_ready(self: Rc<Self>, _: Ready) {}
}

#[test]
fn a_loop_may_be_run_while_another_one_is_being_dropped() {
    let log = Log::new();
    let dying = EventLoop::new().unwrap();
    let ran = OnDrop({
        let (log, dying) = (log.clone(), dying.handle());
        move || {
            let inner = run(async {
                ticks(3).await;
                assert!(!dying.is_current());
                dying.call_soon_threadsafe(|| unreachable!("it is being closed")).unwrap();
                7
            });
            log.push(inner.unwrap());
            assert!(dying.is_current() && get_running_loop().is_err());
        }
    });
    dying.call_soon(move || drop(ran));
    drop(dying);
    assert_eq!(log.take(), [7]);
}

#[test]
fn two_loops_alternate_on_one_thread_and_wake_each_other() {
    let loops = [EventLoop::new().unwrap(), testing::portable_loop().unwrap()];
    let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
    let steps = Cell::new(0);
    for round in 0..200 {
        let (here, there) = (&loops[round % 2], &loops[(round + 1) % 2]);
        let stale = wakers.take();
        there.call_soon(|| ());
        let polls = Cell::new(0);
        here.run_until_complete(poll_fn(|cx| {
            stale.iter().for_each(Waker::wake_by_ref);
            wakers.borrow_mut().push(cx.waker().clone());
            there.add_timer(there.time(), cx.waker());
            here.add_timer(here.time(), cx.waker());
            cx.waker().wake_by_ref();
            polls.set(polls.get() + 1);
            steps.set(steps.get() + 1);
            if polls.get() == 3 { Poll::Ready(()) } else { Poll::Pending }
        }))
        .unwrap();
        wakers.borrow_mut().extend(stale.into_iter().take(20));
    }
    assert_eq!(steps.get(), 600, "a stale wake is nobody else's");
}

#[test]
fn what_outlives_its_loop_is_harmless_on_every_thread() {
    let (mut waker, mut task): (Option<Waker>, Option<TaskRef>) = (None, None);
    let (mut handle, mut work): (Option<LoopHandle>, Option<ExternalWork>) = (None, None);
    let (mut timer, mut callback) = (None, None);
    run(async {
        let event_loop = get_running_loop().unwrap();
        waker = Some(poll_fn(|cx| Poll::Ready(cx.waker().clone())).await);
        task = current_task();
        handle = Some(event_loop.handle());
        work = Some(event_loop.external_work());
        timer = Some(event_loop.call_later(Duration::from_secs(60), || unreachable!()));
        let queued = event_loop.call_soon(|| ());
        callback = Some(queued);
    })
    .unwrap();
    let task = task.unwrap();
    assert!(!task.cancel(), "it has ended");
    assert_eq!(task.name(), format!("Task-{}", task.id()));
    timer.unwrap().cancel();
    callback.unwrap().cancel();
    let waker = waker.unwrap();
    let clone = waker.clone();
    thread::spawn(move || {
        clone.wake_by_ref();
        clone.wake();
        assert!(handle.unwrap().call_soon_threadsafe(|| ()).is_err());
        drop(work);
    })
    .join()
    .unwrap();
    waker.wake();
    drop(task);
}

#[test]
fn a_leaked_loop_disturbs_nobody() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.call_soon(|| ());
    event_loop.run_until_complete(async { ticks(1).await }).unwrap();
    let handle = event_loop.handle();
    // Forgotten, but not for leak checkers.
    static KEPT: AtomicPtr<EventLoop> = AtomicPtr::new(ptr::null_mut());
    KEPT.store(Box::into_raw(Box::new(event_loop)), Ordering::SeqCst);
    assert!(handle.call_soon_threadsafe(|| unreachable!("nobody runs it")).is_ok());
    assert_eq!(run(async { 1 }).unwrap(), 1);
}

#[test]
fn a_thread_may_end_with_a_live_loop_in_its_thread_local_storage() {
    thread_local! {
        static LOOP: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = dropped.clone();
    thread::spawn(move || {
        LOOP.with(|slot| {
            let event_loop = EventLoop::new().unwrap();
            // Both hooks of tier 1 are in thread-local storage as well, and are made after the loop's.
            event_loop.run_until_complete(async { ticks(2).await }).unwrap();
            let counted = OnDrop(move || _ = count.fetch_add(1, Ordering::SeqCst));
            event_loop.call_soon(move || drop(counted));
            let timer = OnDrop(|| ());
            event_loop.call_later(Duration::from_secs(1), move || drop(timer));
            *slot.borrow_mut() = Some(event_loop);
        });
    })
    .join()
    .unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

/// A handler that owns its registration, and lets it and its descriptor go while it is being called.
struct LetsGo {
    owned: RefCell<Option<(Registration, UnixStream)>>,
    panics: bool,
    calls: Cell<u32>,
}

impl IoHandler for LetsGo {
    fn on_ready(self: Rc<Self>, _: Ready) {
        self.calls.set(self.calls.get() + 1);
        let (registration, stream) = self.owned.take().unwrap();
        registration.requeue(Ready::READ);
        drop(registration);
        drop(stream);
        if self.panics {
            panic!("meant to");
        }
    }
}

#[test]
fn a_handler_may_drop_its_registration_and_its_descriptor_and_then_panic() {
    on_each_selector(|event_loop| {
        for panics in [false, true] {
            let (ours, _theirs) = UnixStream::pair().unwrap();
            let handler =
                Rc::new(LetsGo { owned: RefCell::default(), panics, calls: Cell::new(0) });
            let weak = Rc::downgrade(&handler);
            let registration = event_loop.register(ours.as_fd(), handler.clone()).unwrap();
            *handler.owned.borrow_mut() = Some((registration, ours));
            event_loop.set_exception_handler(|_, _| ());
            testing::run_once(&event_loop).unwrap();
            testing::run_once(&event_loop).unwrap();
            assert_eq!(handler.calls.get(), 1);
            drop(handler);
            assert!(weak.upgrade().is_none(), "nothing is left of it");
        }
    });
}

#[test]
fn a_handler_that_owns_its_registration_goes_with_the_loop() {
    on_each_selector(|event_loop| {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let handler =
            Rc::new(LetsGo { owned: RefCell::default(), panics: false, calls: Cell::new(0) });
        let registration = event_loop.register(ours.as_fd(), handler.clone()).unwrap();
        *handler.owned.borrow_mut() = Some((registration, ours));
        let weak = Rc::downgrade(&handler);
        drop(handler);
        drop(event_loop);
        assert!(weak.upgrade().is_none());
    });
}

#[test]
fn a_main_future_whose_destructor_uses_the_loop_may_do_so() {
    on_each_selector(|event_loop| {
        let log = Log::new();
        let result = event_loop.run_until_complete(async {
            let running = get_running_loop().unwrap();
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            let _guard = OnDrop({
                let (log, running) = (log.clone(), running.clone());
                move || {
                    assert!(matches!(run(async {}), Err(RunError::Nested)));
                    assert!(running.close().is_err());
                    waker.wake_by_ref();
                    running.add_timer(running.time(), &waker);
                    running.call_soon(log.entry("queued"));
                    running.stop();
                }
            });
            running.stop();
            pending::<()>().await;
        });
        assert!(matches!(result, Err(RunError::Stopped)));
        event_loop.run_until_complete(ticks(3)).unwrap();
        assert_eq!(log.take(), ["queued"]);
    });
}

#[test]
fn a_close_ends_although_threads_go_on_sending_until_they_are_refused() {
    on_each_selector(|event_loop| {
        let started = Arc::new(AtomicUsize::new(0));
        let dropped = Arc::new(AtomicUsize::new(0));
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (handle, started, dropped) =
                    (event_loop.handle(), started.clone(), dropped.clone());
                thread::spawn(move || {
                    let mut sent = 0;
                    loop {
                        let counted = Counted(dropped.clone());
                        sent += 1;
                        if handle.call_soon_threadsafe(move || drop(counted)).is_err() {
                            return sent;
                        }
                        if sent == 1 {
                            started.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                })
            })
            .collect();
        while started.load(Ordering::SeqCst) < 3 {
            thread::yield_now();
        }
        event_loop.close().unwrap();
        let sent: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(dropped.load(Ordering::SeqCst), sent);
    });
}

#[test]
fn two_panicking_extensions_do_not_end_the_process() {
    #[derive(Default)]
    struct First;
    #[derive(Default)]
    struct Second;
    impl Drop for First {
        fn drop(&mut self) {
            panic!("first");
        }
    }
    impl Drop for Second {
        fn drop(&mut self) {
            panic!("second");
        }
    }
    let log = Log::new();
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_exception_handler({
        let log = log.clone();
        move |_, context| log.push(context.panic_message().unwrap().to_owned())
    });
    drop(event_loop.extension::<First>());
    drop(event_loop.extension::<Second>());
    event_loop.close().unwrap();
    assert_eq!(log.take(), ["first", "second"]);
}

/// A hook whose phase does what a closure says.
struct Phase<F>(u8, Duration, F);

impl<F: Fn() -> A, A: Future<Output = ()> + 'static> CloseHook for Phase<F> {
    fn tier(&self) -> u8 {
        self.0
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin((self.2)())
    }

    fn grace(&self, _: &GracePeriods) -> Duration {
        self.1
    }
}

#[test]
fn a_tier_that_is_first_used_while_another_one_shuts_down_gets_its_phase() {
    let log = Log::new();
    run(async {
        let tasks = Phase(4, Duration::from_secs(5), {
            let log = log.clone();
            move || {
                let log = log.clone();
                async move {
                    log.push("tasks");
                    let executor = Phase(3, Duration::from_secs(5), {
                        let log = log.clone();
                        move || {
                            log.push("executor");
                            ready(())
                        }
                    });
                    get_running_loop().unwrap().add_close_hook(Rc::new(executor));
                }
            }
        });
        let last = Phase(2, Duration::from_secs(5), {
            let log = log.clone();
            move || {
                log.push("last");
                ready(())
            }
        });
        let event_loop = get_running_loop().unwrap();
        event_loop.add_close_hook(Rc::new(last));
        event_loop.add_close_hook(Rc::new(tasks));
    })
    .unwrap();
    assert_eq!(log.take(), ["tasks", "executor", "last"]);
}

#[test]
fn under_a_clock_that_stands_still_a_shutdown_ends_by_the_systems_clock() {
    for mode in [testing::ClockMode::Frozen, testing::ClockMode::AutoJump] {
        for is_busy in [false, true] {
            let (event_loop, _clock) = testing::virtual_loop(mode).unwrap();
            let log = Log::new();
            event_loop.set_exception_handler({
                let log = log.clone();
                move |_, context| log.push(context.message().to_owned())
            });
            let start = Instant::now();
            // A job that never returns, as far as this loop will ever know.
            let work = event_loop.external_work();
            let never = Phase(4, Duration::from_millis(20), move || async move {
                if !is_busy {
                    pending::<()>().await;
                }
                loop {
                    yield_now().await;
                }
            });
            event_loop.add_close_hook(Rc::new(never));
            testing::run_with(&event_loop, async {}).unwrap();
            assert!(start.elapsed() >= Duration::from_millis(20));
            assert_eq!(log.take().len(), 1, "what was abandoned is reported");
            drop(work);
        }
    }
}

#[test]
fn wakes_and_callbacks_from_threads_while_loops_come_and_go_reach_nobody_twice() {
    let (sender, receiver) = mpsc::channel::<(Waker, LoopHandle)>();
    let stop = Arc::new(AtomicBool::new(false));
    let waking = thread::spawn({
        let stop = stop.clone();
        move || {
            let mut known = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                known.extend(receiver.try_iter());
                for (waker, handle) in &known {
                    Waker::wake_by_ref(waker);
                    let _ = handle.call_soon_threadsafe(|| ());
                }
                if known.len() > 20 {
                    known.drain(..10);
                }
            }
        }
    });
    for _ in 0..300 {
        run(async {
            let handle = get_running_loop().unwrap().handle();
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            sender.send((waker, handle)).unwrap();
            ticks(3).await;
        })
        .unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    waking.join().unwrap();
}

#[test]
fn a_loop_that_a_destructor_closes_at_the_end_of_its_thread_is_closed_in_order() {
    struct ClosedAtTheEnd(EventLoop);
    impl Drop for ClosedAtTheEnd {
        fn drop(&mut self) {
            self.0.close().expect("it does not run");
        }
    }
    thread_local!(static LAST: RefCell<Option<ClosedAtTheEnd>> = const { RefCell::new(None) });
    let thread = thread::spawn(|| {
        // First of all thread-locals, so that it is the last to be destroyed, behind those of the tiers.
        LAST.with_borrow_mut(|last| assert!(last.is_none()));
        let event_loop = EventLoop::new().unwrap();
        assert_eq!(event_loop.run_until_complete(async { 7 }).unwrap(), 7);
        event_loop.call_soon(|| unreachable!("nobody runs it any more"));
        LAST.set(Some(ClosedAtTheEnd(event_loop)));
    });
    thread.join().unwrap();
}
