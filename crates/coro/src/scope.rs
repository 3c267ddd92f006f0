//! Cancellation scopes: what unwinds, what cleans up, what catches.
//!
//! The scopes themselves are also names of the crate; [`LeafScope`] and [`finally_with`] are for the tiers above.

mod alarm;
mod cancel_scope;
mod catch_cancel;
mod context_manager;
mod deadline;
mod exit_stack;
mod finally;
mod leaf;
mod masked;
mod with;

pub use cancel_scope::{CancelScope, RunScope};
pub use catch_cancel::{CatchCancel, catch_cancel};
pub use context_manager::{AsyncContextManager, ExitReason, async_with};
pub use deadline::{Deadline, DeadlineElapsed, DeadlineScope, deadline_scope};
pub use exit_stack::AsyncExitStack;
pub use finally::{Cleanup, Finally, Newer, finally_with, try_finally};
pub use leaf::{HandDown, Join, JoinTasks, LeafScope};
pub use masked::{Masked, masked};
pub use with::with;

pub(crate) use with::with_at;
