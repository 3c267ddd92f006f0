//! `JoinError`: why a task has no value to give.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use asyncio_coro::CancelledError;
use asyncio_coro::task::{LocalInfo, TaskId, TaskRef};

/// Why awaiting a [`Task`](crate::Task) gave no value: it was cancelled, or it panicked.
///
/// ```
/// use asyncio_task::create_task;
/// asyncio_loop::run(async {
///     let task = create_task(std::future::pending::<()>());
///     task.cancel();
///     let error = task.await.unwrap_err();
///     assert!(error.is_cancelled() && !error.is_panic());
///     assert!(error.to_string().ends_with("was cancelled"));
/// })?;
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
pub struct JoinError {
    /// One pointer wide, so that a `Result` of a small value stays small.
    inner: Box<Inner>,
}

struct Inner {
    task: Identity,
    reason: Reason,
}

/// What names a task in an error or a report, when the task itself may be gone.
pub(crate) struct Identity {
    pub(crate) id: TaskId,
    /// Empty until somebody asks, for a task that was given no name: most errors of cancelled tasks are never read.
    name: OnceLock<String>,
    pub(crate) site: &'static Location<'static>,
}

impl Identity {
    pub(crate) fn name(&self) -> &str {
        self.name.get_or_init(|| self.id.default_name())
    }
}

impl From<LocalInfo<'_>> for Identity {
    fn from(task: LocalInfo<'_>) -> Self {
        let (info, name) = (task.info(), task.given_name());
        Self {
            id: info.id(),
            name: name.map_or_else(OnceLock::new, OnceLock::from),
            site: info.site(),
        }
    }
}

impl From<&TaskRef> for Identity {
    fn from(task: &TaskRef) -> Self {
        Self::from(task.local())
    }
}

/// What happened instead of a value.
pub(crate) enum Reason {
    Cancelled(CancelledError),
    /// The lock only makes the error `Sync`; nobody ever waits for it.
    Panicked(Mutex<Box<dyn Any + Send>>),
    /// A child of a group failed; the group has its error.
    Failed,
    /// The task awaited itself.
    Itself,
}

impl JoinError {
    pub(crate) fn new(task: Identity, reason: Reason) -> Self {
        Self { inner: Box::new(Inner { task, reason }) }
    }

    /// The task was cancelled by a request that said this.
    pub(crate) fn cancelled(task: Identity, message: Option<Arc<str>>) -> Self {
        Self::new(task, Reason::Cancelled(CancelledError::__with_message(message)))
    }

    pub(crate) fn panicked(task: Identity, payload: Box<dyn Any + Send>) -> Self {
        Self::new(task, Reason::Panicked(Mutex::new(payload)))
    }

    /// The identity and payload of a panic.
    pub(crate) fn split_panic(self) -> Option<(Identity, Box<dyn Any + Send>)> {
        match self.inner.reason {
            Reason::Panicked(payload) => Some((
                self.inner.task,
                payload.into_inner().unwrap_or_else(PoisonError::into_inner),
            )),
            _ => None,
        }
    }

    /// The child of a group failed.
    pub(crate) fn is_failed(&self) -> bool {
        matches!(self.inner.reason, Reason::Failed)
    }

    /// Says whether the task was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.inner.reason, Reason::Cancelled(_))
    }

    /// What whoever cancelled the task had to say; see [`Task::cancel_with`](crate::Task::cancel_with).
    #[must_use]
    pub fn cancel_message(&self) -> Option<&str> {
        match &self.inner.reason {
            Reason::Cancelled(cancelled) => cancelled.message(),
            _ => None,
        }
    }

    /// Says whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.inner.reason, Reason::Panicked(_))
    }

    /// What the task panicked with, for [`resume_unwind`](std::panic::resume_unwind) or a look inside. The panic of a
    /// group's child goes on out of the group; its handle's error has the panic's text in its place.
    ///
    /// # Panics
    ///
    /// Panics if the task did not panic; [`try_into_panic`](Self::try_into_panic) gives the error back instead.
    ///
    /// ```
    /// use asyncio_task::create_task;
    /// asyncio_loop::run(async {
    ///     let error = create_task(async { panic!("no such luck") }).await.unwrap_err();
    ///     assert_eq!(error.into_panic().downcast_ref(), Some(&"no such luck"));
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    #[must_use]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("into_panic called on another error: {error}"),
        }
    }

    /// What the task panicked with.
    ///
    /// # Errors
    ///
    /// Gives the error back if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        let Inner { task, reason } = *self.inner;
        match reason {
            Reason::Panicked(payload) => {
                Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
            reason => Err(Self { inner: Box::new(Inner { task, reason }) }),
        }
    }

    /// The task's number.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.inner.task.id
    }

    /// The task's name when it ended.
    #[must_use]
    pub fn name(&self) -> &str {
        self.inner.task.name()
    }

    /// Where the task was created.
    #[must_use]
    pub fn site(&self) -> &'static Location<'static> {
        self.inner.task.site
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { task, reason } = &*self.inner;
        let (name, site) = (task.name(), task.site);
        match reason {
            Reason::Cancelled(cancelled) => write!(f, "task {name} was {cancelled}"),
            Reason::Panicked(payload) => {
                let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
                write!(f, "task {name}, created at {site}, panicked: {}", message(&**payload))
            }
            Reason::Failed => write!(f, "task {name} failed; its group has the error"),
            Reason::Itself => write!(f, "task {name} cannot await itself"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        io::Error::other(error)
    }
}

/// The text of a panic, where it has one.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a value that is no text"
    }
}
