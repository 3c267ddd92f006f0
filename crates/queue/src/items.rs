//! The items of a queue as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_coro::Stream;
use pin_project_lite::pin_project;

use crate::error::GetError;
use crate::queue::{Emptiness, Queue};
use crate::storage::Storage;
use crate::turn::Turn;

pin_project! {
    /// A stream of the items of a [`Queue`]; made by [`Queue::items`].
    #[must_use = "streams do nothing unless polled"]
    pub struct Items<'a, T, S = VecDeque<T>>
    where
        S: Storage<T>,
    {
        queue: &'a Queue<T, S>,
        // There while it waits.
        #[pin]
        turn: Option<Turn<'a, Emptiness<'a, T, S>>>,
    }
}

impl<'a, T, S: Storage<T>> Items<'a, T, S> {
    pub(crate) fn new(queue: &'a Queue<T, S>) -> Self {
        Items { queue, turn: None }
    }
}

impl<T, S: Storage<T>> Stream for Items<'_, T, S> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut this = self.project();
        loop {
            if let Some(turn) = this.turn.as_mut().as_pin_mut() {
                ready!(turn.poll(cx));
                this.turn.set(None);
            }
            match this.queue.get_nowait() {
                Ok(item) => return Poll::Ready(Some(item)),
                Err(GetError::ShutDown) => return Poll::Ready(None),
                Err(GetError::Empty) => {
                    this.turn.set(Some(Turn::new(Emptiness(this.queue), &this.queue.getters)));
                }
            }
        }
    }
}

impl<T, S: Storage<T>> fmt::Debug for Items<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").finish_non_exhaustive()
    }
}
