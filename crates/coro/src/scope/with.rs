//! `with`: a body that borrows a resource, and a cleanup that gets it back.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;

use crate::node::{HAS_CLEANUP, Node};
use crate::scope::ExitReason;
use crate::scope::finally::{End, Once, poll_body, poll_cleanup};

/// Lends `resource` to `body`, then gives it to `cleanup`, however the body ends: with a value, by a panic, or because it is
/// cancelled.
///
/// This is [`try_finally`](crate::try_finally) for a resource that body and cleanup cannot both borrow; what is said there of
/// cleanups holds here.
///
/// # Cancel safety
///
/// The resource comes to `cleanup` once the body has begun. When the future is dropped, it is dropped.
///
/// # Panics
///
/// With the panic of the body, of its destructor, or of the cleanup.
///
/// ```
/// # futures_lite::future::block_on(async {
/// let mut log = Vec::new();
/// let length = asyncio_coro::with(
///     String::from("hello"),
///     async |text| { text.push('!'); text.len() },
///     async |text| log.push(text),
/// )
/// .await;
/// assert_eq!((length, log), (6, vec![String::from("hello!")]));
/// # });
/// ```
#[doc(alias = "contextmanager")]
#[track_caller]
pub fn with<R, T>(
    resource: R,
    body: impl AsyncFnOnce(&mut R) -> T,
    cleanup: impl AsyncFnOnce(R),
) -> impl Future<Output = T> {
    with_at(Location::caller(), resource, body, async |resource, _how| cleanup(resource).await)
}

/// [`with`], for a scope made at `site`.
pub(crate) async fn with_at<R, T>(
    site: &'static Location<'static>,
    mut resource: R,
    body: impl AsyncFnOnce(&mut R) -> T,
    cleanup: impl AsyncFnOnce(R, ExitReason),
) -> T {
    let node = pin!(Node::new(HAS_CLEANUP, site));
    let node = node.into_ref();
    let end = {
        let mut body = pin!(Some(async { body(&mut resource).await }));
        poll_fn(|cx| poll_body(node, body.as_mut(), cx)).await
    };
    let how = match &end {
        End::Value(_) => ExitReason::Returned,
        End::Unwound => ExitReason::Cancelled,
        End::Panicked(_) => ExitReason::Panicked,
    };
    let mut cleanup = pin!(Some(Once::new(move || cleanup(resource, how))));
    let mut end = Some(end);
    poll_fn(|cx| poll_cleanup(node, cleanup.as_mut(), &mut end, cx)).await
}
