//! The states of a loop's future.

use std::rc::Rc;

use asyncio_future::{Future, ResultError};

/// Behaviour: FUT-01.
#[test]
fn a_new_future_is_pending_and_a_cancelled_one_is_done() {
    let future = Future::<u8>::new();
    assert!(!future.done() && !future.cancelled());
    assert!(future.cancel());
    assert!(future.done() && future.cancelled());
}

/// Behaviour: FUT-02.
#[test]
fn a_cancelled_future_takes_no_result_and_gives_none() {
    let future = Future::new();
    future.cancel();
    assert!(matches!(future.result(), Err(ResultError::Cancelled(_))));
    assert!(matches!(future.take_result(), Err(ResultError::Cancelled(_))));
    assert!(matches!(future.with_result(|_| ()), Err(ResultError::Cancelled(_))));
    let refused = future.set_result(String::from("mine")).unwrap_err();
    assert!(refused.is_cancelled());
    assert_eq!(refused.to_string(), "the future was cancelled already");
    assert_eq!(refused.into_inner(), "mine");
    assert!(!future.cancel());
}

/// Behaviour: FUT-03.
#[test]
fn a_result_is_refused_before_it_is_set_and_kept_afterwards() {
    let future = Future::new();
    assert_eq!(future.result(), Err(ResultError::Pending));
    assert_eq!(future.take_result(), Err(ResultError::Pending));
    future.set_result(42).unwrap();
    assert!(future.done() && !future.cancelled());
    assert_eq!(future.result(), Ok(42));
    let refused = future.set_result(43).unwrap_err();
    assert!(!refused.is_cancelled());
    assert_eq!(refused.to_string(), "the future has a result already");
    assert_eq!(refused.into_inner(), 43);
    assert!(!future.cancel());
    assert_eq!(future.result(), Ok(42));
}

/// Behaviour: FUT-04. (An error is a result whose type is `Result`.)
#[test]
fn an_error_is_a_result_like_any_other() {
    let future = Future::<Result<u8, String>>::new();
    future.set_result(Err(String::from("broken"))).unwrap();
    assert_eq!(future.result(), Ok(Err(String::from("broken"))));
    assert!(future.set_result(Ok(1)).is_err());
    assert!(!future.cancel());
}

#[test]
fn a_result_that_was_taken_is_gone() {
    let future = Future::new();
    let value = Rc::new(());
    future.set_result(Rc::clone(&value)).unwrap();
    assert!(Rc::ptr_eq(&future.take_result().unwrap(), &value));
    assert_eq!(Rc::strong_count(&value), 1);
    assert_eq!(future.result(), Err(ResultError::Taken));
    assert!(future.done());
    assert!(future.set_result(value).is_err(), "taken is not pending");
}

#[test]
fn looking_at_a_result_may_look_again_but_not_take() {
    let future = Future::new();
    future.set_result(1).unwrap();
    let seen = future.with_result(|one| {
        assert_eq!(future.result(), Ok(1));
        assert!(future.set_result(2).is_err() && !future.cancel() && future.done());
        assert_eq!(future.take_result(), Err(ResultError::Borrowed));
        *one
    });
    assert_eq!(seen, Ok(1));
    assert_eq!(future.take_result(), Ok(1));
}

#[test]
fn clones_are_one_future() {
    let future = Future::new();
    let clone = future.clone();
    assert!(clone.is(&future));
    clone.set_result(1).unwrap();
    assert_eq!(future.result(), Ok(1));
}

#[test]
fn a_future_belongs_to_the_loop_that_runs_or_that_is_named() {
    assert!(Future::<u8>::new().get_loop().is_none(), "no loop runs");
    let event_loop = asyncio_loop::EventLoop::new().unwrap();
    assert!(Future::<u8>::new_in(&event_loop).get_loop().is_some());
    let home = event_loop.run_until_complete(async { Future::<u8>::new().get_loop() });
    assert!(home.unwrap().unwrap().handle().same_loop(&event_loop.handle()));
    event_loop.close().unwrap();
}
