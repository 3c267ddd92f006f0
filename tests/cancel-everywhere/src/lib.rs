//! Cancels an operation at each of its suspension points, to show that nothing is lost.
//!
//! A future can be cancelled wherever it waits. That an operation loses nothing then (no item, no permit, no place in
//! a line, no lock held for ever) is a claim about *every* such place, and the place that fails is the one nobody
//! thought of: mostly the one where the operation has been woken and not yet been polled again. So a test does not
//! pick the places. It says how to set the scene and what must hold afterwards; the functions here run the operation
//! again and again, each time cancel it one suspension point later, and stop with the run in which it comes through.
//!
//! At each point it is cancelled in every [`Way`]: dropped, and asked through a
//! [`CancelScope`](asyncio_coro::CancelScope), so that its asynchronous cleanup runs; each of the two while it waits,
//! and when it has just been woken. An operation that comes to its end in the very pass in which it was asked keeps
//! its value, which [`Case::output`] then has: the invariant must count it.
//!
//! - `on_loop`, with feature `loop`: it and what it waits for run on a loop with a virtual clock, a fresh one each time.
//! - [`bare`]: it needs no loop, and wakes itself.
//! - [`between_events`]: it needs no loop, and waits for what the test does, step by step.
//!
//! All of it is deterministic. What never comes to its end panics, and names the point and the way; so do an
//! operation that is never woken again, and a check that waits for what cannot come.
//!
//! ```
//! use std::cell::Cell;
//! use std::rc::Rc;
//! use asyncio_cancel_everywhere::bare;
//! use asyncio_coro::{try_finally, yield_now};
//!
//! // Whatever happens in between, the flag is down again in the end.
//! let points = bare(
//!     || {
//!         let flag = Rc::new(Cell::new(false));
//!         let lower = flag.clone();
//!         let raise = flag.clone();
//!         let operation = async move {
//!             let body = async {
//!                 raise.set(true);
//!                 yield_now().await;
//!             };
//!             try_finally(body, async || lower.set(false)).await;
//!         };
//!         (flag, operation)
//!     },
//!     |flag, case| assert!(!flag.get() || case.way.is_drop(), "only a drop skips what is to be awaited"),
//! );
//! assert_eq!(points, 1);
//! ```
#![forbid(unsafe_code)]

mod case;

mod bare;
mod between_events;
#[cfg(feature = "loop")]
mod on_loop;

mod subject;

pub use bare::bare;
pub use between_events::between_events;
pub use case::{Case, Way};
#[cfg(feature = "loop")]
pub use on_loop::on_loop;
