//! `yield_now`: one trip round the scheduler.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets everything else that is ready run once; asyncio's `sleep(0)`.
///
/// The future is pending once, having woken its own task, and ready at the next poll.
///
/// # Cancel safety
///
/// Nothing is lost: it holds nothing.
///
/// ```
/// # futures_lite::future::block_on(async {
/// asyncio_coro::yield_now().await;
/// # });
/// ```
#[doc(alias = "sleep(0)")]
pub async fn yield_now() {
    YieldNow { yielded: false }.await;
}

struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
