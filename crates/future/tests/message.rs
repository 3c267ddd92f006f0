//! What a request to cancel has to say, and who hears it.

use asyncio_coro::CancelScope;
use asyncio_future::{Future, ResultError};
use asyncio_loop::run;
use futures_lite::future::poll_once;

fn message<T>(future: &Future<T>) -> Option<String> {
    match future.with_result(|_| ()) {
        Err(ResultError::Cancelled(error)) => error.message().map(String::from),
        other => panic!("{other:?}"),
    }
}

/// Behaviour: FUT-07.
#[test]
fn the_message_of_a_cancel_is_in_every_error_it_gives() {
    let future = Future::<u8>::new();
    assert!(future.cancel_with("my message"));
    for _ in 0..2 {
        assert_eq!(message(&future).as_deref(), Some("my message"));
    }
    assert!(!future.cancel_with("another"), "it is cancelled already");
    assert_eq!(message(&future).as_deref(), Some("my message"));
    let error = future.result().unwrap_err();
    assert_eq!(error.to_string(), "the future was cancelled");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "cancelled: my message");

    let silent = Future::<u8>::new();
    silent.cancel();
    assert_eq!(message(&silent), None);
}

/// Behaviour: FUT-07.
#[test]
fn awaiters_find_the_message() {
    run(async {
        let future = Future::<u8>::new();
        let mut awaiter = Box::pin(async { (&future).await });
        assert!(poll_once(&mut awaiter).await.is_none());
        future.cancel_with(format_args!("number {}", 7));
        let error = awaiter.await.unwrap_err();
        assert_eq!(error.message(), Some("number 7"));
    })
    .unwrap();
}

#[test]
fn a_request_without_a_message_that_is_handed_down_gives_none() {
    run(async {
        let future = Future::<u8>::new();
        let scope = CancelScope::new();
        scope.cancel();
        assert!(scope.run(async { (&future).await }).await.is_err());
        assert_eq!(message(&future), None);
    })
    .unwrap();
}
