//! Random programs of scopes, joins, groups, cancels and cleanups: how they are made, run for real, predicted, and shrunk.
//!
//! A [`Program`](program::Program) is a tree. [`real`] runs it on a loop with a virtual clock; [`model`] says by plain
//! recursion what it should do: neither polls nor wakes nor drops anything, and knows a tree of calls, a time, and lists of
//! requests. Both write a log of what happened when, one for each *strand* (a task, or a child of a group).
//!
//! All timers of a program fire at different times, else the order of what they cause would be open; a program in which
//! two would coincide is put aside.

pub(crate) mod model;
pub(crate) mod program;
pub(crate) mod real;

use std::collections::BTreeMap;

/// Something that happened. The number is that of the part of the program it happened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A strand, or a body with a cleanup, has begun.
    Begun(u32),
    /// The body is gone, whether it has ended or was unwound.
    BodyGone(u32),
    CleanupBegun(u32),
    /// The cleanup has come to its end.
    CleanupEnded(u32),
    /// The cleanup is gone, at its end or cut.
    CleanupGone(u32),
    /// `catch_cancel` has swallowed a request.
    Caught(u32),
    /// A scope was cancelled by its own request, and has converted it.
    ScopeCancelled(u32),
    DeadlinePassed(u32),
    /// A join gave that the other task was cancelled.
    JoinCancelled(u32),
    /// A group takes no more children.
    Refused(u32),
    /// A group has ended with these errors, if any; sorted, as children that are cancelled together may fail in any order.
    GroupFailed(u32, Vec<u32>),
    GroupSucceeded(u32),
    /// A strand has returned, with an error or without.
    Returned(u32, Result<(), u32>),
}

/// What happened in each strand, with the time in microseconds.
pub(crate) type Log = BTreeMap<u32, Vec<(u64, Event)>>;

/// How a strand ended, for who holds its handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Value,
    Failed(u32),
    Cancelled,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) log: Log,
    pub(crate) ended: Ended,
}
