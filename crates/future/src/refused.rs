//! What asyncio settles when it happens and the types refuse here: doc tests that must not compile.
//!
//! Each has a twin that differs in the one thing that is wrong, and does compile.

/// asyncio makes an instance of an exception that is given as a class. Here an error is a value, and what makes one is none.
///
/// Behaviour: FUT-05.
///
/// ```compile_fail,E0308
/// #[derive(Clone, Debug)]
/// struct Failed(u32);
///
/// let future = asyncio_future::Future::<Result<(), Failed>>::new();
/// future.set_result(Err(Failed));
/// ```
/// ```
/// #[derive(Clone, Debug)]
/// struct Failed(u32);
///
/// let future = asyncio_future::Future::<Result<(), Failed>>::new();
/// future.set_result(Err(Failed(7))).unwrap();
/// assert!(future.done());
/// assert_eq!(future.result().unwrap().unwrap_err().0, 7);
/// ```
#[cfg(doctest)]
fn an_error_that_is_only_a_type() {}
