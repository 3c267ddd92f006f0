//! `Captured`: the context that something is to run in later.

use super::Context;
use super::current::{Slot, enter, in_use, look, peek, run_fresh};

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
#[derive(Debug, Default)]
pub struct Captured(Option<Context>);

impl Captured {
    /// A copy of the current context, as it is now.
    #[inline]
    #[must_use]
    pub fn copy() -> Self {
        if in_use() { Self::copy_in_use() } else { Captured(None) }
    }

    fn copy_in_use() -> Self {
        let current = peek();
        let vars = current.and_then(|current| current.vars());
        Captured(vars.map(|vars| Context::with(Some(vars))))
    }

    /// An empty context.
    #[must_use]
    pub const fn empty() -> Self {
        Captured(None)
    }

    /// Runs `f` in the context. What it sets is kept for the next time, unless this is empty.
    #[inline]
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        match &self.0 {
            None => run_fresh(f),
            Some(context) => {
                let _entered = enter(Some(context.clone()));
                f()
            }
        }
    }

    /// The context in `slot`, or an empty one.
    #[inline]
    pub(crate) fn in_slot(slot: &Slot) -> Self {
        Captured(if in_use() { look(slot) } else { None })
    }

    pub(crate) fn into_inner(self) -> Option<Context> {
        self.0
    }
}

/// That context itself, shared with whoever has it.
impl From<Context> for Captured {
    fn from(context: Context) -> Self {
        Captured(Some(context))
    }
}
