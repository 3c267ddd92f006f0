//! `InContext`: a future that runs in a context of its choice.

use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};

use pin_project_lite::pin_project;

use super::Context;

pin_project! {
    /// What [`Context::run_in`] returns.
    #[must_use = "a future does nothing until it is awaited"]
    #[derive(Debug)]
    pub struct InContext<F> {
        // None once it has ended: it is dropped in the context, too.
        #[pin]
        future: Option<F>,
        context: Context,
    }

    impl<F> PinnedDrop for InContext<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let mut future = this.future;
            this.context.run(|| future.set(None));
        }
    }
}

impl<F> InContext<F> {
    pub(super) fn new(context: Context, future: F) -> Self {
        InContext { future: Some(future), context }
    }

    /// The context it runs in.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut future = this.future;
        this.context.run(|| {
            let inner = future.as_mut().as_pin_mut().expect("not polled after its end");
            let polled = inner.poll(cx);
            if polled.is_ready() {
                future.set(None);
            }
            polled
        })
    }
}
