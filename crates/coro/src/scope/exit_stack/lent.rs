#![expect(unsafe_code, reason = "what a stack of managers owns is lent to its body")]
//! What a manager gave when it was entered: owned by the exit that will take it back, lent until then.
//!
//! # Invariants
//!
//! * **L1, own allocation.** `value` is a `Box` made raw, and owned by this alone: it is made a `Box` again once, by `Drop` or
//!   by [`Lent::take_back`], which forgets itself.
//! * **L2, the lender is not touched.** A `Lent` lies in an exit of the stack that it was made for, and the one reference to
//!   its value lives no longer than a shared borrow of that stack. A stack moves, drops or calls its exits only through
//!   `&mut self` or by value, hence after that borrow; with `&self` it only adds to them, which looks at no value.

use std::marker::PhantomData;
use std::mem;
use std::panic::Location;
use std::ptr::NonNull;

use super::{AsyncExitStack, Exiting};
use crate::scope::ExitReason;

struct Lent<T> {
    value: NonNull<T>,
    _owned: PhantomData<T>,
}

impl<'env> AsyncExitStack<'env> {
    /// Adds an exit that gets `value`, and lends the value until then.
    #[expect(clippy::mut_from_ref, reason = "each call lends a value of its own")]
    pub(super) fn lend<T: 'env>(
        &self,
        site: &'static Location<'static>,
        value: T,
        exit: impl FnOnce(T, ExitReason) -> Exiting<'env> + 'env,
    ) -> &mut T {
        let mut value = NonNull::from(Box::leak(Box::new(value)));
        let lent = Lent { value, _owned: PhantomData };
        self.add(site, |how| exit(lent.take_back(), how));
        // SAFETY: by L1 it is there, and by L2 nobody else touches it as long as the stack is borrowed.
        unsafe { value.as_mut() }
    }
}

impl<T> Lent<T> {
    /// The value, which is lent no longer.
    fn take_back(self) -> T {
        let value = self.value;
        mem::forget(self);
        // SAFETY: by L1, and by L2 no reference is left.
        *unsafe { Box::from_raw(value.as_ptr()) }
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        // SAFETY: by L1, and by L2 no reference is left.
        drop(unsafe { Box::from_raw(self.value.as_ptr()) });
    }
}
