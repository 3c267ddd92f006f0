//! The loop's future: a result that will exist, for any number of awaiters and callbacks.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::IntoFuture;
use std::mem;
use std::panic::{self, AssertUnwindSafe, Location};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use asyncio_coro::CancelledError;
use asyncio_coro::context::Captured;
use asyncio_coro::scope::LeafScope;
use asyncio_loop::{EventLoop, ExceptionContext, get_running_loop};

use crate::awaiting::{Awaiting, WaitDone};
use crate::error::{InvalidStateError, ResultError};
use crate::exception::ErrorOf;
use crate::report;
use crate::subscribers::{CallbackId, Subscribers};

/// A result that will exist: asyncio's `Future`.
///
/// A cheap handle (`Rc`); clones are the same future. It belongs to one thread; between threads
/// use a [`concurrent::Future`](crate::concurrent::Future).
///
/// A future made while a loop runs belongs to that loop: its done callbacks go through the loop's
/// [`call_soon`](EventLoop::call_soon), never inline. One made without a loop uses the loop that
/// runs when it completes, and where there is none (under another runtime) its callbacks run
/// inline, inside [`set_result`](Self::set_result) or [`cancel`](Self::cancel).
///
/// # Awaiting
///
/// `future.await` and `(&future).await` give `Result<T, CancelledError>`, to any number of tasks,
/// each with a clone of the result. Awaiters and callbacks are served in the order in which they
/// came. As in asyncio, cancelling a task that awaits a future *cancels the future*, for everybody
/// who waits for it; [`wait_done`](Self::wait_done) does not, and needs no `Clone`.
///
/// # Cancel safety
///
/// Dropping an await loses nothing: the result stays in the future. An await that is dropped by
/// other means than cancellation does not cancel the future.
///
/// # Panics
///
/// - An await panics when the result was [taken](Self::take_result) away before it was resumed.
/// - An await panics when the future belongs to one loop, another one runs, and the future is not done: asyncio's "attached
///   to a different loop". It would mostly wait for ever. (Two loops on one thread can meet one after the other.)
///
/// # Examples
///
/// ```
/// use asyncio_future::Future;
///
/// let future = Future::new();
/// future.set_result("spam").unwrap();
/// assert_eq!(asyncio_loop::run(async { future.await }).unwrap(), Ok("spam"));
/// ```
pub struct Future<T> {
    pub(crate) inner: Rc<Inner<T>>,
}

pub(crate) struct Inner<T> {
    pub(crate) phase: Cell<Phase>,
    /// Set before `phase` says that there is a result, empty again once taken.
    pub(crate) value: RefCell<Option<T>>,
    /// Empty once `phase` is not `Pending`.
    pub(crate) subscribers: RefCell<Subscribers<Subscriber<T>>>,
    pub(crate) event_loop: Option<EventLoop>,
    /// What the request to cancel had to say.
    message: RefCell<Option<Arc<str>>>,
    /// While an exception is in `value` that nobody has retrieved: how to get it out.
    pub(crate) unretrieved: Cell<Option<ErrorOf<T>>>,
    /// Where the future was made.
    pub(crate) site: &'static Location<'static>,
    /// Its text is being written: a result that contains its own future must not be shown in itself.
    pub(crate) is_shown: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Finished,
    /// As `Finished`, by `set_exception`.
    Failed,
    Cancelled,
}

pub(crate) enum Subscriber<T> {
    Callback(Callback<T>),
    Awaiter(Waker),
}

/// A done callback, where it was added, and the context it is to run in.
pub(crate) struct Callback<T> {
    function: Box<dyn FnOnce(&Future<T>)>,
    pub(crate) site: &'static Location<'static>,
    context: Captured,
}

impl<T> Future<T> {
    /// A pending future; it belongs to the loop that runs now, if one does.
    ///
    /// # Examples
    ///
    /// ```
    /// let future = asyncio_future::Future::<u8>::new();
    /// assert!(!future.done() && !future.cancelled());
    /// ```
    #[doc(alias = "create_future")]
    #[track_caller]
    pub fn new() -> Self {
        Self::with_loop(get_running_loop().ok(), Location::caller())
    }

    /// A pending future that belongs to `event_loop`, which need not run yet.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_future::Future;
    /// use asyncio_loop::EventLoop;
    ///
    /// let event_loop = EventLoop::new().unwrap();
    /// let future = Future::new_in(&event_loop);
    /// future.set_result(1).unwrap();
    /// assert_eq!(event_loop.run_until_complete(async { future.await }).unwrap(), Ok(1));
    /// event_loop.close().unwrap();
    /// ```
    #[track_caller]
    pub fn new_in(event_loop: &EventLoop) -> Self {
        Self::with_loop(Some(event_loop.clone()), Location::caller())
    }

    /// Sets the result and schedules awaiters and callbacks.
    ///
    /// # Errors
    ///
    /// The value, when the future has a result already or was cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// let future = asyncio_future::Future::new();
    /// assert!(future.set_result(1).is_ok());
    /// assert_eq!(future.set_result(2).unwrap_err().into_inner(), 2);
    /// assert_eq!(future.result(), Ok(1));
    /// ```
    pub fn set_result(&self, value: T) -> Result<(), InvalidStateError<T>>
    where
        T: 'static,
    {
        self.set(value, Phase::Finished)
    }

    /// Cancels it: `false` if it was done already. Awaiters get a [`CancelledError`].
    ///
    /// # Examples
    ///
    /// ```
    /// let future = asyncio_future::Future::<u8>::new();
    /// assert!(future.cancel() && future.cancelled() && future.done());
    /// assert!(!future.cancel());
    /// assert!(future.set_result(1).unwrap_err().is_cancelled());
    /// ```
    pub fn cancel(&self) -> bool
    where
        T: 'static,
    {
        self.cancel_because(None)
    }

    /// Cancels it, as [`cancel`](Self::cancel) does, and says why: awaiters find the message in their [`CancelledError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_future::{Future, ResultError};
    ///
    /// let future = Future::<u8>::new();
    /// assert!(future.cancel_with("no longer needed"));
    /// let Err(ResultError::Cancelled(error)) = future.result() else { panic!() };
    /// assert_eq!(error.message(), Some("no longer needed"));
    /// ```
    #[doc(alias = "msg")]
    pub fn cancel_with(&self, message: impl fmt::Display) -> bool
    where
        T: 'static,
    {
        let message = (!self.done()).then(|| message.to_string().into());
        self.cancel_because(message)
    }

    /// Whether it has a result or was cancelled.
    pub fn done(&self) -> bool {
        self.inner.phase.get() != Phase::Pending
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.inner.phase.get() == Phase::Cancelled
    }

    /// A clone of the result.
    ///
    /// # Errors
    ///
    /// - [`ResultError::Pending`]: not done yet.
    /// - [`ResultError::Cancelled`]: it was cancelled.
    /// - [`ResultError::Taken`]: [`take_result`](Self::take_result) was called before.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_future::{Future, ResultError};
    ///
    /// let future = Future::new();
    /// assert_eq!(future.result(), Err(ResultError::Pending));
    /// future.set_result(3).unwrap();
    /// assert_eq!((future.result(), future.result()), (Ok(3), Ok(3)));
    /// ```
    pub fn result(&self) -> Result<T, ResultError>
    where
        T: Clone,
    {
        self.with_result(T::clone)
    }

    /// Looks at the result where it is.
    ///
    /// # Errors
    ///
    /// As [`result`](Self::result).
    ///
    /// # Examples
    ///
    /// ```
    /// let future = asyncio_future::Future::new();
    /// future.set_result(String::from("eggs")).unwrap();
    /// assert_eq!(future.with_result(|eggs| eggs.len()), Ok(4));
    /// ```
    pub fn with_result<R>(&self, look: impl FnOnce(&T) -> R) -> Result<R, ResultError> {
        self.check_result()?;
        self.inner.unretrieved.set(None);
        // The one borrow inside which code of the user runs. It is shared: `look` may look again,
        // and all else asks `phase` first; only `take_result` has to be refused meanwhile.
        match &*self.inner.value.borrow() {
            Some(value) => Ok(look(value)),
            None => Err(ResultError::Taken),
        }
    }

    /// Takes the result out; nobody can get at it afterwards.
    ///
    /// # Errors
    ///
    /// As [`result`](Self::result), and [`ResultError::Borrowed`] from inside a
    /// [`with_result`](Self::with_result) of the same future.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_future::{Future, ResultError};
    ///
    /// let future = Future::new();
    /// future.set_result(Box::new(1)).unwrap();
    /// assert_eq!(future.take_result(), Ok(Box::new(1)));
    /// assert_eq!(future.take_result(), Err(ResultError::Taken));
    /// ```
    pub fn take_result(&self) -> Result<T, ResultError> {
        self.check_result()?;
        self.inner.unretrieved.set(None);
        let mut value = self.inner.value.try_borrow_mut().map_err(|_| ResultError::Borrowed)?;
        value.take().ok_or(ResultError::Taken)
    }

    /// Calls `callback` with this future once it is done: through the loop's `call_soon`, in
    /// registration order; scheduled at once if it is done already. Without any loop: inline.
    ///
    /// It runs in a copy of the context of this call. Panics of callbacks go to the loop's exception
    /// handler, in that context and with the place of this call. Without a loop the others are
    /// called, then the first panic goes on in whoever completed the future.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let future = asyncio_future::Future::new();
    /// let seen = Rc::new(Cell::new(0));
    /// let sink = Rc::clone(&seen);
    /// future.add_done_callback(move |future| sink.set(future.result().unwrap()));
    /// future.set_result(5).unwrap();
    /// assert_eq!(seen.get(), 5); // no loop runs here, so it was called inline
    /// ```
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&Self) + 'static) -> CallbackId
    where
        T: 'static,
    {
        self.add_callback(Box::new(callback), Captured::copy(), Location::caller())
    }

    /// As [`add_done_callback`](Self::add_done_callback), in `context` itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::{Context, ContextVar};
    ///
    /// static WHO: ContextVar<&str> = ContextVar::new("who");
    /// let context = Context::new();
    /// let future = asyncio_future::Future::new();
    /// future.add_done_callback_in(&context, |_| drop(WHO.set("the callback")));
    /// future.set_result(()).unwrap();
    /// assert_eq!((context.get(&WHO), WHO.get()), (Some("the callback"), None));
    /// ```
    #[track_caller]
    pub fn add_done_callback_in(
        &self,
        context: impl Into<Captured>,
        callback: impl FnOnce(&Self) + 'static,
    ) -> CallbackId
    where
        T: 'static,
    {
        self.add_callback(Box::new(callback), context.into(), Location::caller())
    }

    /// Forgets a callback; `false` if it has been scheduled, or removed before.
    ///
    /// # Examples
    ///
    /// ```
    /// let future = asyncio_future::Future::<u8>::new();
    /// let id = future.add_done_callback(|_| unreachable!());
    /// assert!(future.remove_done_callback(id));
    /// assert!(!future.remove_done_callback(id));
    /// future.cancel();
    /// ```
    pub fn remove_done_callback(&self, id: CallbackId) -> bool {
        self.unsubscribe(id)
    }

    /// Waits until the future is done, and leaves the result where it is.
    ///
    /// Unlike `.await` on the future itself it needs no `Clone`, and cancelling the task that
    /// waits does not cancel the future.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it takes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # asyncio_loop::run(async {
    /// let future = asyncio_future::Future::new();
    /// let setter = future.clone();
    /// asyncio_loop::get_running_loop().unwrap().call_soon(move || setter.set_result(7).unwrap());
    /// future.wait_done().await;
    /// assert_eq!(future.take_result(), Ok(7));
    /// # }).unwrap();
    /// ```
    pub fn wait_done(&self) -> WaitDone<T> {
        WaitDone::new(self.clone())
    }

    /// The loop it belongs to, if it was made for one.
    pub fn get_loop(&self) -> Option<EventLoop> {
        self.inner.event_loop.clone()
    }

    /// Whether `other` is a handle on this very future.
    ///
    /// # Examples
    ///
    /// ```
    /// let future = asyncio_future::Future::<u8>::new();
    /// assert!(future.is(&future.clone()) && !future.is(&asyncio_future::Future::new()));
    /// ```
    pub fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.inner, &other.inner)
    }

    fn with_loop(event_loop: Option<EventLoop>, site: &'static Location<'static>) -> Self {
        let inner = Inner {
            phase: Cell::new(Phase::Pending),
            value: RefCell::new(None),
            subscribers: RefCell::new(Subscribers::new()),
            event_loop,
            message: RefCell::new(None),
            unretrieved: Cell::new(None),
            site,
            is_shown: Cell::new(false),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Sets the result; `phase` says of which kind.
    pub(crate) fn set(&self, value: T, phase: Phase) -> Result<(), InvalidStateError<T>>
    where
        T: 'static,
    {
        if self.done() {
            return Err(InvalidStateError::new(value, self.cancelled()));
        }
        // Empty so far, so nothing of the user's is dropped inside this borrow.
        *self.inner.value.borrow_mut() = Some(value);
        self.finish(phase);
        Ok(())
    }

    pub(crate) fn cancel_because(&self, message: Option<Arc<str>>) -> bool
    where
        T: 'static,
    {
        if self.done() {
            // As asyncio has it: who cancels a failed future does not want to hear of its failure.
            self.inner.unretrieved.set(None);
            return false;
        }
        *self.inner.message.borrow_mut() = message;
        self.finish(Phase::Cancelled);
        true
    }

    fn add_callback(
        &self,
        function: Box<dyn FnOnce(&Self)>,
        context: Captured,
        site: &'static Location<'static>,
    ) -> CallbackId
    where
        T: 'static,
    {
        let callback = Callback { function, site, context };
        let mut subscribers = self.inner.subscribers.borrow_mut();
        if !self.done() {
            return subscribers.add(Subscriber::Callback(callback));
        }
        let id = subscribers.skip_id();
        drop(subscribers);
        match self.home() {
            Some(event_loop) => self.call_soon(&event_loop, callback),
            None => callback.call(self),
        }
        id
    }

    /// Whether whoever runs now may wait for it: no other loop than its own, if it has one.
    pub(crate) fn is_at_home(&self) -> bool {
        match &self.inner.event_loop {
            // Of the loops of one thread one runs at most.
            Some(home) => home.is_running() || get_running_loop().is_err(),
            None => true,
        }
    }

    /// Has `waker` woken when the future is done; `id` is what an earlier call returned.
    pub(crate) fn subscribe(&self, waker: &Waker, id: Option<CallbackId>) -> CallbackId {
        let known = id.is_some_and(|id| {
            let mut subscribers = self.inner.subscribers.borrow_mut();
            matches!(subscribers.get_mut(id), Some(Subscriber::Awaiter(old)) if old.will_wake(waker))
        });
        if let (true, Some(id)) = (known, id) {
            return id;
        }
        // Cloned and dropped outside the borrow: both are code of the user's.
        let new = Subscriber::Awaiter(waker.clone());
        let mut subscribers = self.inner.subscribers.borrow_mut();
        let (id, old) = match id.and_then(|id| Some((id, subscribers.get_mut(id)?))) {
            Some((id, place)) => (id, Some(mem::replace(place, new))),
            None => (subscribers.add(new), None),
        };
        drop(subscribers);
        drop(old);
        id
    }

    pub(crate) fn unsubscribe(&self, id: CallbackId) -> bool {
        let subscriber = self.inner.subscribers.borrow_mut().remove(id);
        subscriber.is_some()
    }

    fn check_result(&self) -> Result<(), ResultError> {
        match self.inner.phase.get() {
            Phase::Pending => Err(ResultError::Pending),
            Phase::Cancelled => {
                let message = self.inner.message.borrow().clone();
                Err(ResultError::Cancelled(CancelledError::__with_message(message)))
            }
            Phase::Finished | Phase::Failed => Ok(()),
        }
    }

    fn finish(&self, phase: Phase)
    where
        T: 'static,
    {
        self.inner.phase.set(phase);
        let subscribers =
            mem::replace(&mut *self.inner.subscribers.borrow_mut(), Subscribers::new());
        if subscribers.len() == 0 {
            return;
        }
        let home = self.home();
        let mut panicked = None;
        for subscriber in subscribers {
            let serve = AssertUnwindSafe(|| match (subscriber, &home) {
                (Subscriber::Awaiter(waker), _) => waker.wake(),
                (Subscriber::Callback(callback), Some(home)) => self.call_soon(home, callback),
                (Subscriber::Callback(callback), None) => callback.call(self),
            });
            panicked = panicked.or(panic::catch_unwind(serve).err());
        }
        if let Some(payload) = panicked {
            panic::resume_unwind(payload);
        }
    }

    fn call_soon(&self, event_loop: &EventLoop, callback: Callback<T>)
    where
        T: 'static,
    {
        let (future, Callback { function, site, context }) = (self.clone(), callback);
        // A closed loop drops the callback, as it does with all that is still queued in it.
        drop(event_loop.call_soon_in(context, move || {
            let called = panic::catch_unwind(AssertUnwindSafe(|| function(&future)));
            if let Err(payload) = called {
                let context = ExceptionContext::new("exception in done callback of a future");
                report::send(context.with_site(site).with_panic(payload));
            }
        }));
    }

    fn home(&self) -> Option<EventLoop> {
        self.inner.event_loop.clone().or_else(|| get_running_loop().ok())
    }
}

impl<T> Callback<T> {
    fn call(self, future: &Future<T>) {
        let Self { function, context, .. } = self;
        context.run(|| function(future));
    }
}

impl<T> Clone for Future<T> {
    fn clone(&self) -> Self {
        Self { inner: Rc::clone(&self.inner) }
    }
}

impl<T> Default for Future<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone + 'static> IntoFuture for Future<T> {
    type Output = Result<T, CancelledError>;
    type IntoFuture = LeafScope<Awaiting<T>>;

    #[track_caller]
    fn into_future(self) -> Self::IntoFuture {
        LeafScope::new(Awaiting::new(self))
    }
}

impl<T: Clone + 'static> IntoFuture for &Future<T> {
    type Output = Result<T, CancelledError>;
    type IntoFuture = LeafScope<Awaiting<T>>;

    #[track_caller]
    fn into_future(self) -> Self::IntoFuture {
        self.clone().into_future()
    }
}
