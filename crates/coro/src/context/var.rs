//! `ContextVar`: the name of a value that each context has for itself, and the `Token` that takes a change back.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::vars::{Value, VarId};
use super::{Context, current};

/// A variable with a value for each [`Context`]: each task has its own, and a new one begins with those of its maker.
///
/// It is meant to be a `static`, and may be read and set on any thread; each thread has contexts of its own, so that values
/// need be neither `Send` nor `Sync`. (A `const` would be another variable at each use.)
///
/// # Examples
///
/// ```
/// use asyncio_coro::ContextVar;
///
/// static REQUEST: ContextVar<u64> = ContextVar::new("request");
///
/// assert_eq!(REQUEST.get(), None);
/// let token = REQUEST.set(7);
/// assert_eq!(REQUEST.get(), Some(7));
/// REQUEST.reset(token)?;
/// assert_eq!(REQUEST.get(), None);
/// # Ok::<(), asyncio_coro::context::ResetError<u64>>(())
/// ```
#[doc(alias = "task_local")]
pub struct ContextVar<T: 'static> {
    name: &'static str,
    default: Option<fn() -> T>,
    /// 0 until its first use.
    id: AtomicU64,
}

impl<T: 'static> ContextVar<T> {
    /// A variable without a default. The name is for who looks at a context; two variables may have the same.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        ContextVar { name, default: None, id: AtomicU64::new(0) }
    }

    /// A variable with a default, which is made anew each time that it is asked for in a context without a value.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::ContextVar;
    ///
    /// static LOCALE: ContextVar<String> = ContextVar::with_default("locale", || "en".to_owned());
    /// assert_eq!(LOCALE.get().as_deref(), Some("en"));
    /// ```
    #[must_use]
    pub const fn with_default(name: &'static str, default: fn() -> T) -> Self {
        ContextVar { name, default: Some(default), id: AtomicU64::new(0) }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// A clone of its value in the current context, else its default, else `None`.
    #[must_use]
    pub fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        match self.find() {
            Some(value) => Some(T::clone(&value)),
            None => self.default.map(|default| default()),
        }
    }

    /// Calls `look` with its value in the current context, else with its default, else with `None`.
    ///
    /// `look` may set the variable; what it was given stays as it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::ContextVar;
    ///
    /// static WORDS: ContextVar<Vec<String>> = ContextVar::new("words");
    ///
    /// WORDS.set(vec!["to".to_owned(), "be".to_owned()]);
    /// assert_eq!(WORDS.with(|words| words.unwrap().len()), 2);
    /// ```
    pub fn with<R>(&self, look: impl FnOnce(Option<&T>) -> R) -> R {
        match self.find() {
            Some(value) => look(Some(&value)),
            None => look(self.default.map(|default| default()).as_ref()),
        }
    }

    /// Gives it a value in the current context. The token takes that back: see [`reset`](Self::reset); dropping it keeps the
    /// new value and drops the old one.
    ///
    /// While the values of the thread are being destroyed at its end there is no current context, and nothing is kept.
    pub fn set(&self, value: T) -> Token<T> {
        let (var, value) = (self.id(), Rc::new(value));
        let context = current::materialise();
        let old = context.as_ref().and_then(|context| context.replace(var, self.name, Some(value)));
        let context = context.map_or(0, |context| context.id());
        Token { var, context, old, value: PhantomData }
    }

    /// Gives it back the value, or the lack of one, that it had before the `set` that the token is from. Whatever it was set
    /// to since is dropped. A token can be used once, and tokens in any order.
    ///
    /// # Errors
    ///
    /// With the token, having changed nothing:
    ///
    /// - [`WrongVariable`](ResetError::WrongVariable): the token is another variable's.
    /// - [`WrongContext`](ResetError::WrongContext): the token was made in another context than the current one.
    pub fn reset(&self, token: Token<T>) -> Result<(), ResetError<T>> {
        if token.var != self.id() {
            return Err(ResetError::WrongVariable(token));
        }
        match current::peek() {
            Some(context) if context.id() == token.context => {
                let now = context.replace(token.var, self.name, token.old);
                drop(now);
                Ok(())
            }
            _ => Err(ResetError::WrongContext(token)),
        }
    }

    /// Its value in the current context.
    fn find(&self) -> Option<Rc<T>> {
        current::peek().and_then(|context| self.find_in(&context))
    }

    /// Its value in `context`.
    pub(super) fn find_in(&self, context: &Context) -> Option<Rc<T>> {
        let value = context.0.vars.borrow().as_ref()?.get(self.id()).cloned();
        Some(downcast(value?))
    }

    fn id(&self) -> VarId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        match self.id.load(Ordering::Relaxed) {
            0 => {
                let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
                // Whichever thread was first has numbered it.
                let numbered =
                    self.id.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed);
                numbered.map_or_else(|winner| winner, |_| fresh)
            }
            id => id,
        }
    }
}

fn downcast<T: 'static>(value: Rc<dyn Any>) -> Rc<T> {
    value.downcast().expect("values are kept under the variable whose type they have")
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What [`ContextVar::set`] has replaced; for [`ContextVar::reset`].
pub struct Token<T: 'static> {
    var: VarId,
    /// The context's number: a token that kept the context would keep itself, if it were put there.
    context: u64,
    old: Option<Value>,
    value: PhantomData<Rc<T>>,
}

impl<T: 'static> Token<T> {
    /// A clone of the value that the variable had in this context before; `None` if it had none there.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::ContextVar;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// assert_eq!(USER.set("ada").old_value(), None);
    /// assert_eq!(USER.set("grace").old_value(), Some("ada"));
    /// ```
    #[must_use]
    pub fn old_value(&self) -> Option<T>
    where
        T: Clone,
    {
        let old = self.old.as_ref()?.downcast_ref::<T>();
        Some(old.expect("values are kept under the variable whose type they have").clone())
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("had_value", &self.old.is_some()).finish_non_exhaustive()
    }
}

/// Why a variable was not reset, with the token.
#[non_exhaustive]
pub enum ResetError<T: 'static> {
    /// The token was made in another context than the current one.
    WrongContext(Token<T>),
    /// The token is another variable's.
    WrongVariable(Token<T>),
}

impl<T> ResetError<T> {
    /// The token, to be used where it belongs.
    #[must_use]
    pub fn into_token(self) -> Token<T> {
        match self {
            ResetError::WrongContext(token) | ResetError::WrongVariable(token) => token,
        }
    }
}

impl<T> fmt::Display for ResetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResetError::WrongContext(_) => {
                "the token was made in another context; reset the variable in the task or callback that set it"
            }
            ResetError::WrongVariable(_) => "the token is another variable's",
        })
    }
}

impl<T> fmt::Debug for ResetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResetError::WrongContext(_) => "WrongContext",
            ResetError::WrongVariable(_) => "WrongVariable",
        })
    }
}

impl<T> Error for ResetError<T> {}
