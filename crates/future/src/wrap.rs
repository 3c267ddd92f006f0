//! From a thread's future to the loop's.
//!
//! The loop's future is `!Send`, so the thread that completes the source cannot hold it. It sends a
//! number to the loop, and there the number is looked up in a table of the loop's. What is still in
//! that table when the loop closes is dropped with it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future;
use std::mem;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use asyncio_loop::{EventLoop, NoRunningLoop, get_running_loop};

use crate::concurrent;
use crate::future::Future;

/// Makes a future of the running loop out of one between threads.
///
/// The result arrives on the loop's thread, one turn of the loop or more after the source has it.
/// Cancelling the wrapper cancels the source, unless work on that has begun; a source that is
/// cancelled cancels the wrapper. A source that panicked cancels the wrapper too, and its panic
/// goes to the loop's exception handler. Once the loop is closed the result is dropped.
///
/// To await a [`concurrent::Future`] once, await it directly; wrap it to have several awaiters, or
/// callbacks on the loop's thread.
///
/// # Errors
///
/// [`NoRunningLoop`], when no loop runs on this thread.
///
/// # Examples
///
/// ```
/// use asyncio_future::{concurrent, wrap_future};
///
/// let answer = asyncio_loop::run(async {
///     let (promise, source) = concurrent::promise();
///     std::thread::spawn(move || promise.set_result(42).unwrap());
///     let wrapper = wrap_future(source).unwrap();
///     (&wrapper).await.unwrap() + (&wrapper).await.unwrap()
/// });
/// assert_eq!(answer.unwrap(), 84);
/// ```
#[track_caller]
pub fn wrap_future<T: Send + 'static>(
    source: concurrent::Future<T>,
) -> Result<Future<T>, NoRunningLoop> {
    let event_loop = get_running_loop()?;
    let wrapper = Future::new_in(&event_loop);
    let wrapped = Wrapped::of(&event_loop);

    let id = wrapped.next.get();
    wrapped.next.set(id + 1);

    let handle = event_loop.handle();
    source.add_done_callback(move |_| {
        // Refused by a closed loop: then nobody waits for the wrapper any more.
        let _ = handle.call_soon_threadsafe(move || complete(id));
    });

    let pair = Pair { source: RefCell::new(Some(source)), wrapper: wrapper.clone() };
    wrapped.live.borrow_mut().insert(id, Rc::new(pair));

    let table = Rc::downgrade(&wrapped);
    wrapper.add_done_callback(move |wrapper| {
        // Still in the table only if the source is not done: it was the wrapper that ended first.
        let pair = table.upgrade().and_then(|table| table.take(id));
        if let (Some(pair), true) = (pair, wrapper.cancelled()) {
            pair.cancel_source();
        }
    });
    Ok(wrapper)
}

/// On the loop's thread: the source with this number is done.
fn complete(id: u64) {
    let event_loop = get_running_loop().expect("a loop that calls back is running");
    // Gone if the wrapper was cancelled meanwhile.
    if let Some(pair) = Wrapped::of(&event_loop).take(id) {
        pair.complete();
    }
}

/// The wrappers of one loop whose source is not done. It holds futures of the loop that holds it, a circle that the loop
/// breaks when it is closed.
#[derive(Default)]
struct Wrapped {
    live: RefCell<HashMap<u64, Rc<dyn Complete>>>,
    next: Cell<u64>,
}

impl Wrapped {
    fn of(event_loop: &EventLoop) -> Rc<Self> {
        event_loop.extension()
    }

    fn take(&self, id: u64) -> Option<Rc<dyn Complete>> {
        self.live.borrow_mut().remove(&id)
    }
}

struct Pair<T> {
    source: RefCell<Option<concurrent::Future<T>>>,
    wrapper: Future<T>,
}

trait Complete {
    fn complete(&self);
    fn cancel_source(&self);
}

impl<T: Send + 'static> Complete for Pair<T> {
    fn complete(&self) {
        let Some(source) = self.source.take() else { return };
        // Dropped on unwinding too: the poll goes on with the panic of who computed the result.
        let cancel = CancelOnDrop(&self.wrapper);
        let poll = future::Future::poll(pin!(source), &mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(value)) = poll else { return };
        mem::forget(cancel);
        // Refused if it was cancelled in this very turn: then the value is dropped here.
        let _ = self.wrapper.set_result(value);
    }

    fn cancel_source(&self) {
        if let Some(source) = self.source.take() {
            source.cancel();
        }
    }
}

struct CancelOnDrop<'a, T: 'static>(&'a Future<T>);

impl<T: 'static> Drop for CancelOnDrop<'_, T> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
