//! Context variables: values that follow the flow of a program, each task having its own.
//!
//! A [`ContextVar`] names a value, a [`Context`] is a set of such values, and at any time one context is current: the running
//! task's, else that of the running callback, else the thread's. A task begins with a copy of the context in which it was
//! made, and a callback runs in a copy of the one in which it was registered; so what is set reaches what is started
//! later, and nothing that runs beside it.
//!
//! Copying shares all values until one of the two sets another. Until somebody on a thread first sets a variable or makes a
//! context, all contexts of the thread are empty, nobody makes one, and whoever would copy one looks at a flag instead.

mod captured;
mod current;
mod in_context;
mod var;
mod vars;

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::rc::Rc;

pub use captured::Captured;
pub use in_context::InContext;
pub use var::{ContextVar, ResetError, Token};
use vars::{VarId, Vars};

pub(crate) use current::Slot;

/// A set of values of [`ContextVar`]s.
///
/// This is a handle: a clone of it leads to the same context, while [`copy`](Context::copy) makes one of its own with the
/// same values. It belongs to its thread, as its values need not be `Send`.
///
/// # Examples
///
/// ```
/// use asyncio_coro::{Context, ContextVar, copy_context};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// let context = copy_context();
/// context.run(|| USER.set("grace"));
/// assert_eq!(context.get(&USER), Some("grace"));
/// assert_eq!(USER.get(), Some("ada"));
/// assert_eq!(Context::new().run(|| USER.get()), None);
/// ```
#[derive(Clone)]
pub struct Context(pub(crate) Rc<Inner>);

pub(crate) struct Inner {
    /// Unique on this thread: by it a token knows its context.
    id: u64,
    /// None while empty. Shared with the contexts that were copied from this one, until one of them changes. Values are read
    /// and dropped outside the borrow, as that runs the code of whoever owns them.
    vars: RefCell<Option<Rc<Vars>>>,
}

/// A copy of the current context: what is set in the one is not seen in the other. It costs one small allocation.
///
/// # Examples
///
/// ```
/// use asyncio_coro::{ContextVar, copy_context};
///
/// static DEPTH: ContextVar<u32> = ContextVar::new("depth");
///
/// DEPTH.set(1);
/// let copy = copy_context();
/// DEPTH.set(2);
/// assert_eq!(copy.get(&DEPTH), Some(1));
/// ```
#[must_use]
pub fn copy_context() -> Context {
    Context::with(current::peek().and_then(|current| current.vars()))
}

impl Context {
    /// An empty context.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(asyncio_coro::Context::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with(None)
    }

    /// The current context itself: what is set in it later is seen here, and what [`run`](Context::run) sets here is seen
    /// there. While the values of the thread are being destroyed at its end there is no current context, and this is an
    /// empty one.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::{Context, ContextVar};
    ///
    /// static DEPTH: ContextVar<u32> = ContextVar::new("depth");
    ///
    /// let current = Context::current();
    /// DEPTH.set(2);
    /// assert_eq!(current.get(&DEPTH), Some(2));
    /// ```
    #[must_use]
    pub fn current() -> Self {
        current::materialise().unwrap_or_default()
    }

    /// A context of its own with the same values: what is set in the one is not seen in the other.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::{Context, ContextVar};
    ///
    /// static DEPTH: ContextVar<u32> = ContextVar::new("depth");
    ///
    /// let first = Context::new();
    /// first.run(|| DEPTH.set(1));
    /// let second = first.copy();
    /// second.run(|| DEPTH.set(2));
    /// assert_eq!((first.get(&DEPTH), second.get(&DEPTH)), (Some(1), Some(2)));
    /// ```
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::with(self.vars())
    }

    /// Runs `f` with this context as the current one; afterwards, also after a panic, the previous one is current again.
    ///
    /// What `f` sets stays in this context. A task that runs inside of `f` has its own. A context may be entered while it is
    /// entered already: it is then current in the inner call as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let context = Context::new();
    /// context.run(|| USER.set("ada"));
    /// assert_eq!(USER.get(), None);
    /// assert_eq!(context.run(|| USER.get()), Some("ada"));
    /// ```
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        let _entered = current::enter(self.clone());
        f()
    }

    /// A future that is polled and dropped with this context as the current one: what a task has by itself, for a future
    /// that is part of a task, or has none around it.
    ///
    /// # Cancel safety
    ///
    /// As `future`'s own; it is dropped in the context, too.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::{Context, ContextVar, yield_now};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// futures_lite::future::block_on(async {
    ///     let context = Context::new();
    ///     let session = context.run_in(async {
    ///         USER.set("ada");
    ///         yield_now().await;
    ///         USER.get()
    ///     });
    ///     assert_eq!(session.await, Some("ada"));
    ///     assert_eq!(USER.get(), None);
    /// });
    /// ```
    pub fn run_in<F: Future>(&self, future: F) -> InContext<F> {
        InContext::new(self.clone(), future)
    }

    /// The value of `var` in this context; `None` where it has none, even if the variable has a default.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::{Context, ContextVar};
    ///
    /// static DEPTH: ContextVar<u32> = ContextVar::with_default("depth", || 0);
    ///
    /// let context = Context::new();
    /// assert_eq!(context.get(&DEPTH), None);
    /// context.run(|| DEPTH.set(1));
    /// assert_eq!(context.get(&DEPTH), Some(1));
    /// ```
    #[must_use]
    pub fn get<T: Clone>(&self, var: &ContextVar<T>) -> Option<T> {
        var.find_in(self).map(|value| T::clone(&value))
    }

    /// How many variables have a value in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.vars.borrow().as_ref().map_or(0, |vars| vars.len())
    }

    /// Whether no variable has a value in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the variables that have a value in it, in the order in which the variables were first used.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let context = Context::new();
    /// context.run(|| USER.set("ada"));
    /// assert_eq!(context.names(), ["user"]);
    /// ```
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0.vars.borrow().as_ref().map_or_else(Vec::new, |vars| vars.names().collect())
    }

    /// Whether both handles lead to one context.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::Context;
    ///
    /// let context = Context::new();
    /// assert!(context.ptr_eq(&context.clone()));
    /// assert!(!context.ptr_eq(&context.copy()));
    /// ```
    #[must_use]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    fn with(vars: Option<Rc<Vars>>) -> Self {
        Context(Rc::new(Inner { id: current::next_id(), vars: RefCell::new(vars) }))
    }

    fn id(&self) -> u64 {
        self.0.id
    }

    /// What it holds, shared until somebody sets a variable.
    fn vars(&self) -> Option<Rc<Vars>> {
        self.0.vars.borrow().clone().filter(|vars| vars.len() > 0)
    }

    /// Gives a variable a value, or takes it away, and gives back the one it had, for the caller to drop.
    fn replace(
        &self,
        var: VarId,
        name: &'static str,
        value: Option<vars::Value>,
    ) -> Option<vars::Value> {
        let mut vars = self.0.vars.borrow_mut();
        // To copy the set is to count its values once more; neither that nor giving up the copy runs anybody's code.
        match value {
            Some(value) => Rc::make_mut(vars.get_or_insert_default()).insert(var, name, value),
            None => Rc::make_mut(vars.as_mut()?).remove(var),
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows the names of its variables; their values may be of any type, and a secret.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("names", &self.names()).finish_non_exhaustive()
    }
}
