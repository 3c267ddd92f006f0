//! `Captured`: the context that something is to run in later.

use std::fmt;

use super::Context;
use super::current::{self, Slot, get_or_make, in_use, look, peek};

/// The context that a callback or a task is to run in, held by whoever runs it. 8 bytes.
///
/// As long as no context exists on this thread, making, using and dropping one is a test of a flag each.
///
/// # Examples
///
/// ```
/// use asyncio_coro::{ContextVar, context::Captured};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// let registered_in = Captured::copy();
/// USER.set("grace");
/// assert_eq!(registered_in.run(|| USER.get()), Some("ada"));
/// ```
#[derive(Default)]
pub struct Captured(Slot);

impl Captured {
    /// A copy of the current context, as it is now.
    #[inline]
    #[must_use]
    pub fn copy() -> Self {
        if in_use() { Self::copy_in_use() } else { Self::empty() }
    }

    fn copy_in_use() -> Self {
        let vars = peek().and_then(|current| current.vars());
        vars.map_or_else(Self::empty, |vars| Context::with(Some(vars)).into())
    }

    /// A context of its own, which is empty.
    #[must_use]
    pub const fn empty() -> Self {
        Captured(Slot::new(None))
    }

    /// Runs `f` in the context. What it sets is there the next time, too.
    #[inline]
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        if in_use() {
            return self.context().run(f);
        }
        let _unused = Unused(&self.0);
        f()
    }

    /// Whether it has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        look(&self.0).is_none_or(|context| context.is_empty())
    }

    /// The context itself.
    #[must_use]
    pub fn context(&self) -> Context {
        get_or_make(&self.0)
    }

    pub(crate) fn slot(&self) -> &Slot {
        &self.0
    }

    pub(crate) fn into_inner(self) -> Option<Context> {
        self.0.into_inner()
    }
}

/// Nothing was entered, since no place on this thread held a context. What the current place holds when this is dropped was
/// put there meanwhile, and was meant for this slot.
struct Unused<'a>(&'a Slot);

impl Drop for Unused<'_> {
    #[inline]
    fn drop(&mut self) {
        if in_use() {
            current::move_to(self.0);
        }
    }
}

/// That context itself, shared with whoever has it.
impl From<Context> for Captured {
    fn from(context: Context) -> Self {
        Captured(Slot::new(Some(context)))
    }
}

/// That context itself, shared with whoever has it.
impl From<&Context> for Captured {
    fn from(context: &Context) -> Self {
        context.clone().into()
    }
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Captured").field(&look(&self.0)).finish()
    }
}
