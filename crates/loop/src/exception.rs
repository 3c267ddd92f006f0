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
}

impl ExceptionContext {
    /// Starts a context with what happened, lower-case and without a full stop.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), task: None, site: None, panic: None, error: None }
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

    /// What the default handler does.
    pub(crate) fn log(&self) {
        hooks::log_error(format_args!("{self}"));
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
        Ok(())
    }
}

/// An exception handler set by the user.
pub(crate) type Handler = Rc<dyn Fn(&EventLoop, &ExceptionContext)>;

impl Inner {
    /// Gives a report to the handler, or logs it. Never unwinds.
    pub(crate) fn report(&self, context: ExceptionContext) {
        let handler = self.exception_handler.borrow().clone();
        let result = catch_unwind(AssertUnwindSafe(|| match handler.zip(self.this.upgrade()) {
            Some((handler, inner)) => handler(&EventLoop::from_inner(inner), &context),
            None => context.log(),
        }));
        if let Err(panic) = result {
            let failed = ExceptionContext::new("unhandled error in exception handler");
            contain(|| failed.with_panic(panic).log());
            contain(|| context.log());
        }
        contain(|| drop(context));
    }

    /// Runs foreign code that must not unwind into the loop, a destructor mostly; a panic is reported.
    pub(crate) fn contain(&self, f: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
            let message = "panic while the event loop was closing";
            self.report(ExceptionContext::new(message).with_panic(panic));
        }
    }
}

/// Runs foreign code where a panic must not get out. What such a panic carries is dropped; if that panics too, what
/// *that* carries is leaked, or it could go on without end.
fn contain(f: impl FnOnce()) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(f)) else { return };
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(second);
    }
}
