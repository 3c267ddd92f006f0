//! Where errors go that nobody awaits: the loop's exception handler.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;

use asyncio_coro::hooks;

use crate::event_loop::{EventLoop, Inner};
use crate::spans;

/// What went wrong, and where: the argument of an exception handler.
///
/// `Display` shows it as the default handler logs it: the message first, then one line a fact.
///
/// # Examples
///
/// ```
/// use asyncio_loop::ExceptionContext;
///
/// let context = ExceptionContext::new("exception was never retrieved").with_task("Task-7");
/// assert_eq!(context.to_string(), "exception was never retrieved\ntask: Task-7");
/// ```
#[derive(Debug)]
pub struct ExceptionContext {
    message: Cow<'static, str>,
    task: Option<Cow<'static, str>>,
    site: Option<&'static Location<'static>>,
    panic: Option<Box<dyn Any + Send>>,
    error: Option<Box<dyn Error>>,
    during: Option<Box<ExceptionContext>>,
}

impl ExceptionContext {
    /// Starts a context with what happened, lower-case and without a full stop.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { message, task: None, site: None, panic: None, error: None, during: None }
    }

    /// Adds the name of the task it happened in.
    pub fn with_task(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.task = Some(name.into());
        self
    }

    /// Adds the place where the task or callback was created.
    pub fn with_site(mut self, site: &'static Location<'static>) -> Self {
        self.site = Some(site);
        self
    }

    /// Adds what a panic carried.
    pub fn with_panic(mut self, payload: Box<dyn Any + Send>) -> Self {
        self.panic = Some(payload);
        self
    }

    /// Adds an error.
    pub fn with_error(mut self, error: impl Into<Box<dyn Error>>) -> Self {
        self.error = Some(error.into());
        self
    }

    /// Adds what was being reported when this happened.
    pub fn with_during(mut self, context: ExceptionContext) -> Self {
        self.during = Some(Box::new(context));
        self
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The name of the task it happened in.
    pub fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }

    /// Where the task or callback was created.
    pub fn site(&self) -> Option<&'static Location<'static>> {
        self.site
    }

    /// What the panic carried.
    pub fn panic(&self) -> Option<&(dyn Any + Send)> {
        self.panic.as_deref()
    }

    /// The panic's message, if it has one.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::ExceptionContext;
    ///
    /// let payload = std::panic::catch_unwind(|| panic!("no such file")).unwrap_err();
    /// let context = ExceptionContext::new("exception in callback").with_panic(payload);
    /// assert_eq!(context.panic_message(), Some("no such file"));
    /// ```
    pub fn panic_message(&self) -> Option<&str> {
        let payload = self.panic.as_deref()?;
        let text = payload.downcast_ref::<&'static str>().copied();
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    }

    /// The error.
    pub fn error(&self) -> Option<&(dyn Error + 'static)> {
        self.error.as_deref()
    }

    /// What was being reported when this happened: the context that an exception handler failed to deal with.
    pub fn during(&self) -> Option<&ExceptionContext> {
        self.during.as_deref()
    }

    /// What the default handler does.
    pub(crate) fn log(&self) {
        if !spans::report(self) {
            hooks::log_error(format_args!("{self}"));
        }
    }
}

impl fmt::Display for ExceptionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(task) = &self.task {
            write!(f, "\ntask: {task}")?;
        }
        if let Some(site) = self.site {
            write!(f, "\ncreated at: {site}")?;
        }
        if self.panic.is_some() {
            write!(f, "\npanic: {}", self.panic_message().unwrap_or("(not a message)"))?;
        }
        let mut cause = self.error();
        while let Some(error) = cause {
            write!(f, "\nerror: {error}")?;
            cause = error.source();
        }
        match &self.during {
            Some(during) => write!(f, "\nwhile reporting: {during}"),
            None => Ok(()),
        }
    }
}

impl EventLoop {
    /// Sets what is called with errors that nobody awaits, instead of a line in the [`log`] at level error.
    ///
    /// A handler that panics has both its panic and what it was given logged. One that wants the line in the log as well
    /// calls [`default_exception_handler`](Self::default_exception_handler).
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, testing};
    /// use std::{cell::RefCell, rc::Rc};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let seen = Rc::new(RefCell::new(String::new()));
    /// event_loop.set_exception_handler({
    ///     let seen = seen.clone();
    ///     move |_, context| *seen.borrow_mut() = context.panic_message().unwrap().to_owned()
    /// });
    /// event_loop.call_soon(|| panic!("no such file"));
    /// testing::run_once(&event_loop)?;
    /// assert_eq!(*seen.borrow(), "no such file");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_exception_handler(&self, handler: impl Fn(&EventLoop, &ExceptionContext) + 'static) {
        let previous = self.inner().exception_handler.replace(Some(Rc::new(handler)));
        drop(previous);
    }

    /// The exception handler that was set, if any.
    ///
    /// # Examples
    ///
    /// ```
    /// let event_loop = asyncio_loop::EventLoop::new()?;
    /// assert!(event_loop.exception_handler().is_none());
    /// event_loop.set_exception_handler(|_, context| eprintln!("{context}"));
    /// assert!(event_loop.exception_handler().is_some());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "get_exception_handler")]
    pub fn exception_handler(&self) -> Option<Rc<dyn Fn(&EventLoop, &ExceptionContext)>> {
        self.inner().exception_handler.borrow().clone()
    }

    /// Does with an error what is done where no handler was set: writes it to the [`log`] at level error, or to standard
    /// error where the program has set up no logger.
    ///
    /// # Panics
    ///
    /// When the logger does, or an error in the context that cannot be shown. Inside an exception handler that is caught.
    ///
    /// # Examples
    ///
    /// ```
    /// let event_loop = asyncio_loop::EventLoop::new()?;
    /// event_loop.set_exception_handler(|event_loop, context| {
    ///     if context.task() != Some("noisy") {
    ///         event_loop.default_exception_handler(context);
    ///     }
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn default_exception_handler(&self, context: &ExceptionContext) {
        context.log();
    }

    /// Goes back to the default: a line in the log.
    ///
    /// # Examples
    ///
    /// ```
    /// let event_loop = asyncio_loop::EventLoop::new()?;
    /// event_loop.set_exception_handler(|_, context| eprintln!("{context}"));
    /// event_loop.reset_exception_handler();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn reset_exception_handler(&self) {
        let previous = self.inner().exception_handler.take();
        drop(previous);
    }

    /// Reports an error that nobody awaits.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, ExceptionContext};
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let called = Rc::new(Cell::new(false));
    /// event_loop.set_exception_handler({ let called = called.clone(); move |_, _| called.set(true) });
    /// event_loop.call_exception_handler(ExceptionContext::new("connection lost twice"));
    /// assert!(called.get());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn call_exception_handler(&self, context: ExceptionContext) {
        self.inner().report(context);
    }
}

/// An exception handler set by the user.
pub(crate) type Handler = Rc<dyn Fn(&EventLoop, &ExceptionContext)>;

impl Inner {
    /// Gives a report to the handler, or logs it. Never unwinds.
    pub(crate) fn report(&self, context: ExceptionContext) {
        let handler = self.exception_handler.borrow().clone();
        let Some((handler, inner)) = handler.zip(self.this.upgrade()) else {
            return log_or(context, "exception in the default exception handler");
        };
        let event_loop = EventLoop::from_inner(inner);
        match catch_unwind(AssertUnwindSafe(|| handler(&event_loop, &context))) {
            Ok(()) => contain(|| drop(context)),
            Err(panic) => log_or(
                ExceptionContext::new("unhandled error in exception handler")
                    .with_panic(panic)
                    .with_during(context),
                "exception in the default exception handler while handling an unexpected error in a custom one",
            ),
        }
        contain(|| drop((handler, event_loop)));
    }

    /// Runs foreign code that must not unwind into the loop, a destructor mostly; a panic is reported.
    pub(crate) fn contain(&self, f: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
            let message = "panic while the event loop was closing";
            self.report(ExceptionContext::new(message).with_panic(panic));
        }
    }
}

/// Does what the default handler does; where that fails, because an error cannot be shown or the logger fails, logs that.
fn log_or(context: ExceptionContext, failed: &'static str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| context.log())) {
        contain(|| ExceptionContext::new(failed).with_panic(panic).log());
    }
    contain(|| drop(context));
}

/// Runs foreign code where a panic must not get out. What such a panic carries is dropped; if that panics too, what
/// *that* carries is leaked, or it could go on without end.
fn contain(f: impl FnOnce()) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(f)) else { return };
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(second);
    }
}
