//! The report of a run that nothing could ever wake again.

use std::fmt;
use std::os::fd::RawFd;

use crate::event_loop::Inner;

/// What was blocked when nothing could wake a loop with a virtual clock any more: a
/// [`RunError`](crate::RunError::Deadlock).
///
/// The main future is dropped then: cleanups that it owes are skipped and reported. Tasks are cancelled and clean up, as at
/// every end of a run.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{RunError, testing};
/// use std::time::Duration;
///
/// let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::AutoJump)?;
/// clock.set_deadlock_grace(Duration::ZERO);
/// let result = testing::run_with(&event_loop, std::future::pending::<()>());
/// let Err(RunError::Deadlock(deadlock)) = result else { panic!("it cannot end") };
/// assert_eq!(deadlock.blocked().len(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlock {
    blocked: Vec<String>,
    descriptors: Vec<RawFd>,
    timers: usize,
}

impl Deadlock {
    pub(crate) fn new(inner: &Inner) -> Self {
        let main = inner.main.borrow().clone();
        let mut blocked: Vec<_> = main
            .iter()
            .map(|main| format!("{} (created at {})", main.name(), main.site()))
            .collect();
        let hooks = inner.hooks.borrow().clone();
        for (_, hook) in hooks {
            inner.contain(|| blocked.extend(hook.blocked()));
        }
        let timers = inner.timers.borrow().len();
        Self { blocked, descriptors: inner.sources.fds(), timers }
    }

    /// The tasks that wait, each with its name and where it was created.
    pub fn blocked(&self) -> &[String] {
        &self.blocked
    }

    /// The descriptors that are watched, none of which became ready.
    pub fn descriptors(&self) -> &[RawFd] {
        &self.descriptors
    }

    /// How many timers are pending on a clock that nobody moves.
    pub fn timers(&self) -> usize {
        self.timers
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadlock: nothing can wake the event loop any more")?;
        if !self.blocked.is_empty() {
            write!(f, "; blocked: {}", self.blocked.join(", "))?;
        }
        if !self.descriptors.is_empty() {
            write!(f, "; no file descriptor of {:?} became ready", self.descriptors)?;
        }
        match self.timers {
            0 => Ok(()),
            1 => f.write_str("; 1 timer waits for a clock that stands still"),
            several => write!(f, "; {several} timers wait for a clock that stands still"),
        }
    }
}
