//! What the waiters of a queue wait for.

use super::Queue;
use crate::error::{GetError, QueueShutDown};
use crate::storage::Storage;
use crate::turn::Resource;

/// The next item of a queue, as what a `get` waits for.
pub(super) struct Getting<'a, T, S>(pub(super) &'a Queue<T, S>);

impl<T, S> Clone for Getting<'_, T, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, S> Copy for Getting<'_, T, S> {}

impl<T, S: Storage<T>> Resource for Getting<'_, T, S> {
    type Taken = Result<T, QueueShutDown>;

    fn take(self) -> Option<Self::Taken> {
        match self.0.get_nowait() {
            Ok(item) => Some(Ok(item)),
            Err(GetError::ShutDown) => Some(Err(QueueShutDown(()))),
            Err(GetError::Empty) => None,
        }
    }

    fn pass_on(self) {
        if !self.0.empty() {
            self.0.getters.notify_one();
        }
    }
}

/// The end of a queue's emptiness, as what those wait for who take the items themselves.
pub(crate) struct Emptiness<'a, T, S>(pub(crate) &'a Queue<T, S>);

impl<T, S> Clone for Emptiness<'_, T, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, S> Copy for Emptiness<'_, T, S> {}

impl<T, S: Storage<T>> Resource for Emptiness<'_, T, S> {
    type Taken = ();

    fn take(self) -> Option<()> {
        (self.0.is_shutdown.get() || !self.0.empty()).then_some(())
    }

    fn pass_on(self) {
        Getting(self.0).pass_on();
    }
}

/// Room in a queue, as what a `put` waits for. The item stays with the `put`.
pub(super) struct Putting<'a, T, S>(pub(super) &'a Queue<T, S>);

impl<T, S> Clone for Putting<'_, T, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, S> Copy for Putting<'_, T, S> {}

impl<T, S: Storage<T>> Resource for Putting<'_, T, S> {
    type Taken = ();

    fn take(self) -> Option<()> {
        (self.0.is_shutdown.get() || !self.0.full()).then_some(())
    }

    fn pass_on(self) {
        if !self.0.full() {
            self.0.putters.notify_one();
        }
    }
}
