//! Cancellation scopes: what unwinds, what cleans up, what catches.
//!
//! The scopes themselves are also names of the crate; [`LeafScope`] and [`finally_with`] are for the tiers above.

mod alarm;
mod cancel_scope;
mod catch_cancel;
mod context_manager;
mod deadline;
mod finally;
mod leaf;
mod with;

pub use cancel_scope::{CancelScope, RunScope};
pub use catch_cancel::{CatchCancel, catch_cancel};
pub use context_manager::{AsyncContextManager, ExitReason, async_with};
pub use deadline::{Deadline, DeadlineElapsed, DeadlineScope, deadline_scope};
pub use finally::{Cleanup, Finally, Newer, finally_with, try_finally};
pub use leaf::{Join, LeafScope};
pub use with::with;
