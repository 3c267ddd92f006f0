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
    CloseHook, Entry, EntryVTable, EventLoop, GracePeriods, IoHandler, LoopHandle, Ready, testing,
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
