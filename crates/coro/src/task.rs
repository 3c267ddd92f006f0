//! What every kind of task shares: a number, a name, a spawn site, requests to cancel it, and its outermost scope.
//!
//! `run`'s main future, a task of the loop and a child of a group are all a [`TaskScope`] around a body, with a [`TaskInfo`]
//! in a place that outlives it, and are held by [`TaskRef`]s.

mod handle;
mod info;
mod scope;

pub use handle::{TaskRef, current_task};
pub use info::{LocalInfo, TaskId, TaskInfo};
pub(crate) use scope::drop_body;
pub use scope::{TaskEnd, TaskScope};
