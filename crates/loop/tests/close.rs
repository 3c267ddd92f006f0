//! Closing: everything alive is dropped on the loop's thread, outside any borrow, whatever it does then.

mod support;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use asyncio_loop::{
    CloseHook, Entry, EntryVTable, EventLoop, ExceptionContext, GracePeriods, IoHandler,
    LoopClosed, LoopHandle, Ready, RunError, Signal, SignalError, testing,
};
use support::{Log, on_each_selector};

/// Logs on which thread it was dropped.
struct Dropped(&'static str, Log<(&'static str, ThreadId)>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.1.push((self.0, thread::current().id()));
    }
}

/// What a callback does that must not run, but owns something.
fn never(dropped: Dropped) {
    unreachable!("{} ran", dropped.0);
}

impl IoHandler for Dropped {
    fn on_ready(self: Rc<Self>, _: Ready) {
        unreachable!("the loop never ran");
    }
}

#[test]
fn what_still_waits_is_dropped_here_and_does_not_run() {
    on_each_selector(|event_loop| {
        let log = Log::new();
        let dropped = |name| Dropped(name, log.clone());
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let registration = event_loop.register(ours.as_fd(), Rc::new(dropped("handler"))).unwrap();
        let callback = dropped("callback");
        let handle = event_loop.call_soon(move || never(callback));
        let timer = dropped("timer");
        let timer_handle = event_loop.call_later(Duration::from_secs(1), move || never(timer));
        event_loop.close().unwrap();
        let mut names = log.take();
        names.sort_by_key(|(name, _)| *name);
        let here = thread::current().id();
        assert_eq!(names, [("callback", here), ("handler", here), ("timer", here)]);
        assert!(handle.cancelled() && timer_handle.cancelled());
        registration.requeue(Ready::READ);
        drop(registration);
    });
}

#[test]
fn dropping_the_last_handle_closes_the_loop() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let handle = event_loop.handle();
    let callback = Dropped("callback", log.clone());
    event_loop.call_soon(move || never(callback));
    drop(event_loop);
    assert_eq!(log.take().len(), 1);
    assert!(handle.is_closed());
}

#[test]
fn a_destructor_may_use_the_closing_loop() {
    struct Again(Option<EventLoop>, Log<bool>);
    impl Drop for Again {
        fn drop(&mut self) {
            let event_loop = self.0.take().unwrap();
            let log = self.1.clone();
            let again = Dropped("again", Log::new());
            let handle = event_loop.call_soon(move || never(again));
            log.push(handle.cancelled());
            log.push(event_loop.call_later(Duration::ZERO, || {}).cancelled());
            log.push(event_loop.close().is_ok());
            // Taken, and then dropped by the close that goes on.
            log.push(event_loop.handle().call_soon_threadsafe(|| unreachable!()).is_ok());
            log.push(event_loop.is_closed() && !event_loop.is_running());
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let again = Again(Some(event_loop.clone()), log.clone());
    event_loop.call_soon(move || drop(again));
    event_loop.close().unwrap();
    assert_eq!(log.take(), [true; 5]);
}

#[test]
fn panicking_destructors_are_contained_and_reported() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("destructor");
        }
    }
    impl IoHandler for Bomb {
        fn on_ready(self: Rc<Self>, _: Ready) {}
    }
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let reported = Log::new();
    event_loop.set_exception_handler({
        let reported = reported.clone();
        move |_, context| reported.push(context.panic_message().unwrap().to_owned())
    });
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let registration = event_loop.register(ours.as_fd(), Rc::new(Bomb)).unwrap();
    let (one, two) = (Bomb, Bomb);
    event_loop.call_soon(move || drop(one));
    event_loop.call_later(Duration::from_secs(1), move || drop(two));
    let last = Dropped("last", log.clone());
    event_loop.call_soon(move || drop(last));
    event_loop.close().unwrap();
    assert_eq!(log.take().len(), 1);
    assert_eq!(reported.take(), ["destructor"; 3]);
    drop(registration);
}

#[test]
fn extensions_are_one_a_type_and_go_with_the_loop() {
    #[derive(Default)]
    struct Counter(Cell<u32>);
    let event_loop = EventLoop::new().unwrap();
    let counter = event_loop.extension::<Counter>();
    counter.0.set(4);
    assert_eq!(event_loop.extension::<Counter>().0.get(), 4);
    assert_eq!(event_loop.extension::<RefCell<Vec<u8>>>().borrow().len(), 0);
    assert_eq!(Rc::strong_count(&counter), 2);
    event_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&counter), 1);
}

/// A stand-in for a tier with tasks: wakes come from other threads, and only an entry that is run or dropped on the
/// loop's thread ends its task.
#[derive(Default)]
struct Tasks {
    live: Cell<usize>,
    wakes: RefCell<Vec<Arc<Task>>>,
    is_closed: Cell<bool>,
}

struct Task {
    handle: LoopHandle,
    is_scheduled: AtomicBool,
    is_live: AtomicBool,
    home: ThreadId,
    /// Touched on the loop's thread only.
    tasks: *const Tasks,
}

#[expect(unsafe_code, reason = "a stand-in for async-task's own")]
mod task {
    use super::*;

    // SAFETY: `tasks` is touched on the loop's thread only, where it lives longer than the loop.
    unsafe impl Send for Task {}
    // SAFETY: as above.
    unsafe impl Sync for Task {}

    static TASK: EntryVTable =
        EntryVTable { run: drop_task, drop: drop_task, describe: describe_task };

    unsafe fn describe_task(_: NonNull<()>) -> asyncio_loop::Work {
        asyncio_loop::Work::Other
    }

    unsafe fn drop_task(ptr: NonNull<()>) {
        // SAFETY: made raw in `wake`.
        let task = unsafe { Arc::from_raw(ptr.as_ptr().cast_const().cast::<Task>()) };
        if task.home != thread::current().id() {
            // A panic would be contained.
            std::process::abort();
        }
        task.is_scheduled.store(false, Ordering::SeqCst);
        if task.is_live.swap(false, Ordering::SeqCst) {
            // SAFETY: on the loop's thread, as asserted.
            let tasks = unsafe { &*task.tasks };
            tasks.live.set(tasks.live.get() - 1);
        }
    }

    impl Task {
        /// What a leak check would find otherwise.
        pub(super) fn take_back(self: &Arc<Self>) {
            // SAFETY: the count of the entry that was forgotten.
            unsafe { Arc::decrement_strong_count(Arc::as_ptr(self)) };
        }

        pub(super) fn wake(self: &Arc<Self>) {
            if !self.is_live.load(Ordering::SeqCst)
                || self.is_scheduled.swap(true, Ordering::SeqCst)
            {
                return;
            }
            // A push in flight: marked, and not yet in the queue.
            thread::yield_now();
            let handle = self.handle.clone();
            let raw = NonNull::new(Arc::into_raw(self.clone()).cast_mut().cast()).unwrap();
            // SAFETY: the pointer owns the count that `drop_task` takes back.
            handle.schedule(unsafe { Entry::new(raw, &TASK) });
        }
    }
}

impl CloseHook for Tasks {
    fn tier(&self) -> u8 {
        4
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(std::future::ready(()))
    }

    fn grace(&self, _: &GracePeriods) -> Duration {
        Duration::ZERO
    }

    fn wake_live(&self) -> usize {
        self.wakes.borrow().iter().for_each(Task::wake);
        self.live.get()
    }

    fn closed(&self) {
        self.is_closed.set(true);
    }
}

#[test]
fn a_storm_of_wakes_from_four_threads_leaves_nothing_alive_behind_a_close() {
    for round in 0..200 {
        let event_loop = EventLoop::new().unwrap();
        let tasks = Rc::new(Tasks::default());
        event_loop.add_close_hook(tasks.clone());
        let all: Vec<_> = (0..50)
            .map(|_| {
                Arc::new(Task {
                    handle: event_loop.handle(),
                    is_scheduled: AtomicBool::new(false),
                    is_live: AtomicBool::new(true),
                    home: thread::current().id(),
                    tasks: Rc::as_ptr(&tasks),
                })
            })
            .collect();
        tasks.live.set(all.len());
        *tasks.wakes.borrow_mut() = all.clone();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let all = all.clone();
                thread::spawn(move || {
                    for _ in 0..5 {
                        all.iter().for_each(Task::wake);
                    }
                })
            })
            .collect();
        for _ in 0..round % 3 {
            testing::run_once(&event_loop).unwrap();
        }
        event_loop.close().unwrap();
        assert_eq!(tasks.live.get(), 0);
        assert!(tasks.is_closed.get());
        for thread in threads {
            thread.join().unwrap();
        }
        // A wake that began when its task was alive, and came when the door was shut: an empty shell, forgotten.
        all.iter()
            .filter(|task| task.is_scheduled.load(Ordering::SeqCst))
            .for_each(|task| task.take_back());
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("bomb");
    }
}

/// A hook of which each method panics, and its drop.
struct Hostile(Bomb);

impl CloseHook for Hostile {
    fn tier(&self) -> u8 {
        9
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let held = Bomb;
        Box::pin(async move {
            std::future::pending::<()>().await;
            drop(held);
        })
    }

    fn grace(&self, _: &GracePeriods) -> Duration {
        panic!("grace")
    }

    fn abandoned(&self) -> Vec<String> {
        panic!("abandoned")
    }

    fn wake_live(&self) -> usize {
        panic!("wake_live")
    }

    fn closed(&self) {
        panic!("closed")
    }
}

#[test]
fn whatever_panics_while_a_loop_ends_the_end_comes() {
    struct Handler(Bomb);
    impl IoHandler for Handler {
        fn on_ready(self: Rc<Self>, _: Ready) {}
    }
    on_each_selector(|event_loop| {
        let reports = Rc::new(Cell::new(0));
        let (counter, bomb) = (reports.clone(), Bomb);
        event_loop.set_exception_handler(move |_, _| {
            let _held = &bomb;
            counter.set(counter.get() + 1);
            panic!("the exception handler, too");
        });
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let registration = event_loop.register(ours.as_fd(), Rc::new(Handler(Bomb))).unwrap();
        for signal in [Signal::SIGWINCH, Signal::SIGURG] {
            let bombs = (Bomb, Bomb, Bomb);
            event_loop.call_later(Duration::from_secs(3600), move || drop(bombs.0));
            event_loop
                .add_signal_handler(signal, move || {
                    let _held = &bombs.1;
                })
                .unwrap();
            event_loop.add_close_hook(Rc::new(Hostile(bombs.2)));
        }
        let entered = event_loop.clone();
        event_loop.extension::<RefCell<Option<Bomb>>>().replace(Some(Bomb));
        let result = testing::run_with(&event_loop, async move {
            let bombs = (Bomb, Bomb);
            entered.call_soon(move || drop(bombs.0));
            entered.handle().call_soon_threadsafe(move || drop(bombs.1)).unwrap();
        });
        result.unwrap();
        assert!(event_loop.is_closed());
        assert!(reports.get() >= 10, "{}", reports.get());
        drop(registration);
        event_loop.close().unwrap();
    });
}

#[test]
fn a_hook_that_a_destructor_brings_while_the_loop_is_being_closed_is_asked_and_told() {
    struct Told(Log<&'static str>);
    impl CloseHook for Told {
        fn tier(&self) -> u8 {
            4
        }
        fn wake_live(&self) -> usize {
            self.0.push("asked");
            0
        }
        fn closed(&self) {
            self.0.push("told");
        }
    }
    struct Brings(EventLoop, Log<&'static str>);
    impl Drop for Brings {
        fn drop(&mut self) {
            self.0.add_close_hook(Rc::new(Told(self.1.clone())));
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let brings = Brings(event_loop.clone(), log.clone());
    event_loop.call_soon(move || drop(brings));
    event_loop.close().unwrap();
    assert_eq!(log.take(), ["asked", "told"]);
    event_loop.add_close_hook(Rc::new(Told(log.clone())));
    assert_eq!(log.take(), ["told"], "here and now");
}

/// Behaviour: EVT-16.
#[test]
fn whatever_is_asked_of_a_closed_loop_has_an_answer() {
    struct Handler;
    impl IoHandler for Handler {
        fn on_ready(self: Rc<Self>, _: Ready) {
            unreachable!("it was never registered");
        }
    }
    on_each_selector(|event_loop| {
        let handle = event_loop.handle();
        event_loop.close().unwrap();
        event_loop.close().unwrap();
        assert!(event_loop.is_closed() && !event_loop.is_running() && handle.is_closed());
        assert!(matches!(event_loop.run_forever(), Err(RunError::Closed)));
        assert!(matches!(event_loop.run_until_complete(async {}), Err(RunError::Closed)));
        assert!(matches!(testing::run_once(&event_loop), Err(RunError::Closed)));
        assert!(matches!(testing::run_with(&event_loop, async {}), Err(RunError::Closed)));
        event_loop.stop();
        assert!(event_loop.call_soon(|| unreachable!()).cancelled());
        assert!(event_loop.call_later(Duration::ZERO, || unreachable!()).cancelled());
        assert!(event_loop.call_at(event_loop.time(), || unreachable!()).cancelled());
        let error = handle.call_soon_threadsafe(|| unreachable!()).unwrap_err();
        assert_eq!(error.to_string(), "event loop is closed");
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let error = event_loop.register(ours.as_fd(), Rc::new(Handler)).unwrap_err();
        assert!(error.get_ref().unwrap().is::<LoopClosed>());
        let error = event_loop.add_signal_handler(Signal::SIGWINCH, || {}).unwrap_err();
        assert!(matches!(error, SignalError::Closed(_)));
        assert!(!event_loop.remove_signal_handler(Signal::SIGWINCH));
        let key = event_loop.add_timer(event_loop.time(), std::task::Waker::noop());
        event_loop.cancel_timer(key);
        event_loop.set_exception_handler(|_, _| {});
        event_loop.call_exception_handler(ExceptionContext::new("still told"));
        event_loop.reset_exception_handler();
        event_loop.extension::<Cell<u32>>().set(1);
        drop(event_loop.external_work());
        assert!(!event_loop.lend_read_buffer().is_empty());
    });
}
