//! What asyncio refuses when a program runs, or finds out in debug mode, and the compiler refuses here.
//!
//! Each is a program that does not compile, for the reason that its code names, beside the one that does.

/// Behaviour: RUN-02.
///
/// ```compile_fail,E0277
/// let result = asyncio_loop::run(7);
/// ```
/// ```
/// let result = asyncio_loop::run(std::future::ready(7));
/// assert_eq!(result?, 7);
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[cfg(doctest)]
fn a_run_of_what_is_no_future() {}

/// Behaviour: BEV-12.
///
/// ```compile_fail,E0308
/// let event_loop = asyncio_loop::EventLoop::new().unwrap();
/// event_loop.call_later("1", || ());
/// ```
/// ```compile_fail,E0308
/// let event_loop = asyncio_loop::EventLoop::new().unwrap();
/// event_loop.call_at(1.0, || ());
/// ```
/// ```compile_fail,E0277
/// let event_loop = asyncio_loop::EventLoop::new().unwrap();
/// event_loop.call_soon(7);
/// ```
/// ```
/// let event_loop = asyncio_loop::EventLoop::new().unwrap();
/// event_loop.call_later(std::time::Duration::from_secs(1), || ());
/// event_loop.call_at(event_loop.time(), || ());
/// event_loop.call_soon(|| ());
/// ```
#[cfg(doctest)]
fn delays_deadlines_and_callbacks_of_another_type() {}

/// What debug mode finds in asyncio: a call from another thread. Those have [`LoopHandle`](crate::LoopHandle).
///
/// Behaviour: BEV-15.
///
/// ```compile_fail,E0277
/// let event_loop = asyncio_loop::EventLoop::new().unwrap();
/// std::thread::spawn(move || event_loop.call_soon(|| ()));
/// ```
/// ```
/// let event_loop = asyncio_loop::EventLoop::new().unwrap();
/// let handle = event_loop.handle();
/// std::thread::spawn(move || handle.call_soon_threadsafe(|| ()).unwrap()).join().unwrap();
/// ```
#[cfg(doctest)]
fn a_call_from_another_thread() {}

/// What debug mode finds in asyncio: a coroutine that nobody awaits. The compiler's lint finds it wherever it is on, which
/// it is as a warning unless one turns it off.
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// async fn forgets() {
///     asyncio_loop::ctrl_c();
/// }
/// ```
/// ```
/// #![deny(unused_must_use)]
/// async fn remembers() {
///     let _ = asyncio_loop::ctrl_c().await;
/// }
/// ```
#[cfg(doctest)]
fn a_coroutine_that_nobody_awaits() {}

/// Behaviour: BEV-31.
///
/// ```compile_fail,E0277
/// let event_loop = asyncio_loop::EventLoop::new().unwrap();
/// event_loop.set_exception_handler("handler");
/// ```
/// ```
/// let event_loop = asyncio_loop::EventLoop::new().unwrap();
/// event_loop.set_exception_handler(|_, context| println!("{}", context.message()));
/// ```
#[cfg(doctest)]
fn an_exception_handler_that_cannot_be_called() {}

/// Behaviour: BEV-76.
///
/// ```compile_fail,E0271
/// let event_loop = asyncio_loop::EventLoop::new().unwrap();
/// event_loop.call_soon(async || ());
/// ```
/// ```
/// let event_loop = asyncio_loop::EventLoop::new().unwrap();
/// event_loop.call_soon(|| ());
/// ```
#[cfg(doctest)]
fn an_async_function_as_a_callback() {}

/// Behaviour: UNX-29.
///
/// ```compile_fail,E0277
/// let event_loop = asyncio_loop::EventLoop::new().unwrap();
/// event_loop.add_reader(&"text", || ()).unwrap();
/// ```
/// ```
/// let event_loop = asyncio_loop::EventLoop::new().unwrap();
/// let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
/// event_loop.add_reader(&ours, || ()).unwrap();
/// ```
#[cfg(doctest)]
fn what_is_no_descriptor() {}
