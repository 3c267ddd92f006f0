//! `AsyncExitStack`: as many managers and cleanups as turn out to be needed, left in reverse order.
//!
//! Prior art: `contextlib.AsyncExitStack`. A manager that was entered stays in the stack and is *lent* to the body, which is
//! what a body of [`async_with`](crate::async_with) gets too. Leaving is one scope whose cleanup has many parts: a newer request cuts the
//! part that runs, and the next part begins.

mod lent;

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::hooks::{self, Report, SkipReason, TaskLabel};
use crate::node::{Above, CLEANING, HAS_CLEANUP, Node, REPORTED, STARTED, with_current_scope};
use crate::panics::{self, Payload};
use crate::scope::finally::{Cleanup, End, poll_cleanup};
use crate::scope::{AsyncContextManager, ExitReason};

/// A stack of managers and cleanups, to which more can be added while the body runs: Python's `AsyncExitStack`.
///
/// It is a manager itself, for [`async_with`](crate::async_with): when the body has ended, however it did, the exits run one
/// after the other, the newest first. Each is told how things stand: as the body ended, or [`Cancelled`](ExitReason::Cancelled)
/// or [`Panicked`](ExitReason::Panicked) after an exit before it was cut or panicked. The others run all the same, and the
/// newest panic goes on after the last. A newer request to cancel cuts the exit that is running, which is reported.
///
/// When a stack is dropped, the exits that are left in it do not run; each is reported, with the place where it was added.
///
/// ```
/// use asyncio_coro::{AsyncContextManager, AsyncExitStack, ExitReason, async_with};
/// use std::cell::RefCell;
///
/// struct Conn<'a>(u32, &'a RefCell<Vec<String>>);
///
/// impl AsyncContextManager for Conn<'_> {
///     type Entered = String;
///     async fn aenter(&mut self) -> String {
///         format!("connection {}", self.0)
///     }
///     async fn aexit(self, name: String, _how: ExitReason) {
///         self.1.borrow_mut().push(format!("{name} closed"));
///     }
/// }
/// # futures_lite::future::block_on(async {
/// let log = RefCell::default();
/// let opened = async_with(AsyncExitStack::new(), async |stack| {
///     let mut conns = Vec::new();
///     for number in 1..3 {
///         conns.push(stack.enter(Conn(number, &log)).await);
///     }
///     stack.callback(|| log.borrow_mut().push("last in, first out".into()));
///     conns[0].push('!');
///     conns.len()
/// });
/// assert_eq!(opened.await, 2);
/// assert_eq!(*log.borrow(), ["last in, first out", "connection 2 closed", "connection 1! closed"]);
/// # });
/// ```
#[doc(alias = "ExitStack")]
#[derive(Default)]
pub struct AsyncExitStack<'env> {
    /// The newest last.
    exits: RefCell<Vec<Exit<'env>>>,
}

/// One exit, and where it was added.
struct Exit<'env> {
    site: &'static Location<'static>,
    call: Box<dyn FnOnce(ExitReason) -> Exiting<'env> + 'env>,
}

type Exiting<'env> = Pin<Box<dyn Future<Output = ()> + 'env>>;

impl<'env> AsyncExitStack<'env> {
    /// An empty stack.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters `manager`, and lends what it gives; it is left when the stack is.
    ///
    /// # Cancel safety
    ///
    /// When this is cancelled, the manager has not been entered, and is dropped.
    ///
    /// For an example, see [`AsyncExitStack`].
    #[doc(alias = "enter_async_context")]
    #[track_caller]
    pub fn enter<M>(&self, manager: M) -> impl Future<Output = &mut M::Entered>
    where
        M: AsyncContextManager + 'env,
        M::Entered: 'env,
    {
        self.enter_at(Location::caller(), manager)
    }

    async fn enter_at<M>(&self, site: &'static Location<'static>, mut manager: M) -> &mut M::Entered
    where
        M: AsyncContextManager + 'env,
        M::Entered: 'env,
    {
        let entered = manager.aenter().await;
        self.lend(site, entered, |entered, how| Box::pin(manager.aexit(entered, how)))
    }

    /// Adds a cleanup that may await, and is told how things stand.
    ///
    /// ```
    /// use asyncio_coro::{AsyncExitStack, ExitReason, async_with, yield_now};
    /// # futures_lite::future::block_on(async {
    /// let seen = std::cell::Cell::new(None);
    /// async_with(AsyncExitStack::new(), async |stack| {
    ///     stack.push(async |how| {
    ///         yield_now().await;
    ///         seen.set(Some(how));
    ///     });
    /// })
    /// .await;
    /// assert_eq!(seen.get(), Some(ExitReason::Returned));
    /// # });
    /// ```
    #[doc(alias = "push_async_exit")]
    #[doc(alias = "push_async_callback")]
    #[track_caller]
    pub fn push(&self, exit: impl AsyncFnOnce(ExitReason) + 'env) {
        self.add(Location::caller(), |how| Box::pin(async move { exit(how).await }));
    }

    /// Adds a cleanup that does not wait.
    ///
    /// ```
    /// use asyncio_coro::AsyncExitStack;
    /// # futures_lite::future::block_on(async {
    /// let called = std::cell::Cell::new(false);
    /// let stack = AsyncExitStack::new();
    /// stack.callback(|| called.set(true));
    /// stack.aclose().await;
    /// assert!(called.get());
    /// # });
    /// ```
    #[track_caller]
    pub fn callback(&self, callback: impl FnOnce() + 'env) {
        self.add(Location::caller(), |_how| Box::pin(async move { callback() }));
    }

    /// Takes all exits out, for a stack that lives longer than this one's body: `async_with` then has nothing to leave.
    ///
    /// ```
    /// use asyncio_coro::{AsyncExitStack, async_with};
    /// # futures_lite::future::block_on(async {
    /// let closed = std::cell::Cell::new(0);
    /// let opened = async_with(AsyncExitStack::new(), async |stack| {
    ///     stack.callback(|| closed.set(closed.get() + 1));
    ///     // All went well: what was opened outlives the function that opened it.
    ///     stack.pop_all()
    /// })
    /// .await;
    /// assert_eq!(closed.get(), 0);
    /// opened.aclose().await;
    /// assert_eq!(closed.get(), 1);
    /// # });
    /// ```
    #[must_use = "a stack that is dropped does not run its exits"]
    pub fn pop_all(&mut self) -> Self {
        mem::take(self)
    }

    /// Runs the exits, the newest first, as after a body that returned.
    ///
    /// # Cancel safety
    ///
    /// A request made before this begins does not reach the exits. A newer one cuts the exit that is running; the others run,
    /// then the request goes on. When the future is dropped, what is left does not run, and is reported.
    ///
    /// # Panics
    ///
    /// With the panic of the last exit that panicked, after all have run.
    pub fn aclose(self) -> impl Future<Output = ()> + use<'env> {
        self.unwind(ExitReason::Returned)
    }

    /// How many exits there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exits.borrow().len()
    }

    /// Whether there is nothing to leave.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add(
        &self,
        site: &'static Location<'static>,
        call: impl FnOnce(ExitReason) -> Exiting<'env> + 'env,
    ) {
        self.exits.borrow_mut().push(Exit { site, call: Box::new(call) });
    }

    #[track_caller]
    fn unwind(mut self, how: ExitReason) -> Unwind<'env> {
        let left = mem::take(self.exits.get_mut());
        Unwind {
            exits: Some(Exits { left, running: None, how, panicked: None }),
            is_whole_exit: false,
            end: None,
            node: Node::new(HAS_CLEANUP | REPORTED, Location::caller()),
        }
    }
}

impl<'env> AsyncContextManager for AsyncExitStack<'env> {
    type Entered = AsyncExitStack<'env>;

    async fn aenter(&mut self) -> Self {
        self.pop_all()
    }

    async fn aexit(self, entered: Self, how: ExitReason) {
        let mut unwind = entered.unwind(how);
        unwind.is_whole_exit = true;
        unwind.await;
    }
}

impl Drop for AsyncExitStack<'_> {
    fn drop(&mut self) {
        skip(self.exits.get_mut());
    }
}

impl fmt::Debug for AsyncExitStack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncExitStack").field("len", &self.len()).finish_non_exhaustive()
    }
}

pin_project! {
    /// Runs the exits. The node reports nothing of its own: each exit does.
    struct Unwind<'env> {
        #[pin]
        exits: Option<Exits<'env>>,
        // The cleanup of the scope around it consists of this and nothing else.
        is_whole_exit: bool,
        end: Option<End<()>>,
        #[pin]
        node: Node,
    }
}

impl Future for Unwind<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let node = this.node.as_ref();
        if !node.base().has(STARTED) {
            node.begin_cleanup();
            *this.end = Some(End::Value(()));
            if *this.is_whole_exit {
                answer_for_scope_around(true);
            }
        }
        let polled = poll_cleanup(node, this.exits, this.end, cx);
        if polled.is_ready() && *this.is_whole_exit {
            // A manager that has a stack inside of it may have more to do.
            answer_for_scope_around(false);
        }
        polled
    }
}

/// The exits that are left to run, and the one that runs.
struct Exits<'env> {
    left: Vec<Exit<'env>>,
    running: Option<(&'static Location<'static>, Exiting<'env>)>,
    how: ExitReason,
    /// The newest panic of an exit.
    panicked: Option<Payload>,
}

impl Exits<'_> {
    /// The panic that an exit before it left behind is overtaken by the newer one.
    fn panicked(&mut self, payload: Payload) {
        self.how = ExitReason::Panicked;
        self.panicked.replace(payload).into_iter().for_each(panics::discard);
    }

    /// Drops the exit that runs, or what is left of it.
    fn end_running(&mut self) {
        let running = self.running.take();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(running))) {
            self.panicked(payload);
        }
    }
}

impl Cleanup<()> for Exits<'_> {
    fn poll_cleanup(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if this.running.is_none() {
                let Some(exit) = this.left.pop() else { break };
                let how = this.how;
                match catch_unwind(AssertUnwindSafe(|| (exit.call)(how))) {
                    Ok(exiting) => this.running = Some((exit.site, exiting)),
                    Err(payload) => this.panicked(payload),
                }
                continue;
            }
            let (_, exiting) = this.running.as_mut().expect("it is there");
            match catch_unwind(AssertUnwindSafe(|| exiting.as_mut().poll(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(())) => {}
                Err(payload) => this.panicked(payload),
            }
            this.end_running();
        }
        match this.panicked.take() {
            Some(payload) => resume_unwind(payload),
            None => Poll::Ready(()),
        }
    }

    fn on_cut(mut self: Pin<&mut Self>) -> bool {
        if let Some((site, _)) = &self.running {
            report(site, SkipReason::Cut);
        }
        if self.how != ExitReason::Panicked {
            self.how = ExitReason::Cancelled;
        }
        self.end_running();
        true
    }
}

impl Drop for Exits<'_> {
    fn drop(&mut self) {
        if let Some((site, _)) = &self.running {
            report(site, SkipReason::Cut);
        }
        self.end_running();
        skip(&mut self.left);
        if let Some(payload) = self.panicked.take() {
            panics::discard(payload);
        }
    }
}

/// Whether what is cut or skipped of the cleanup that is being polled has been reported, or will be, by the exits.
fn answer_for_scope_around(answers: bool) {
    with_current_scope(|scope| match scope {
        Above::Node(node) if node.base().has(CLEANING) && answers => node.base().set(REPORTED),
        Above::Node(node) if node.base().has(CLEANING) => node.base().clear(REPORTED),
        _ => {}
    });
}

/// Drops exits that will not run, the newest first. A panic in a destructor costs the others nothing, and goes on.
fn skip(exits: &mut Vec<Exit<'_>>) {
    let mut panicked = None;
    while let Some(exit) = exits.pop() {
        report(exit.site, SkipReason::Dropped);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(exit))) {
            panicked.replace(payload).into_iter().for_each(panics::discard);
        }
    }
    if let Some(payload) = panicked {
        if std::thread::panicking() {
            panics::discard(payload);
        } else {
            resume_unwind(payload);
        }
    }
}

fn report(site: &'static Location<'static>, reason: SkipReason) {
    let task = crate::current_task().map(|task| TaskLabel { id: task.id(), name: task.name() });
    hooks::report(Report::SkippedCleanup { task, site, reason });
}
