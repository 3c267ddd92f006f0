//! A barrier: a number of tasks that go on together.
//!
//! ```text
//!             1 the last party arrives               3 reset, some are inside
//!   Filling ─────────────────────────► Draining ─────────────────────────► Resetting
//!    ▲  ▲                                 │ 2                                 │ 2
//!    │  └─────────────────────────────────┴───────────────────────────────────┘
//!    │ 5 reset, nobody is inside
//!   Broken ◄── 4 abort, from any state; with somebody inside, reset leads to Resetting
//!
//!   2 the last one inside leaves    3 also from Filling
//! ```
//!
//! Inside is who was counted on arrival and has not left yet, also if it is woken already. Who arrives in
//! `Draining` or `Resetting` waits outside, until the last one has left.

use std::cell::Cell;
use std::fmt;

use asyncio_coro::wait_list::WaitList;

use crate::error::{BrokenBarrierError, NoPartiesError};
use crate::turn::{Resource, Turn};

/// Lets tasks go on when so many of them wait, round after round.
///
/// # Examples
///
/// ```
/// use asyncio_queue::Barrier;
/// use futures_lite::future::{block_on, zip};
///
/// let barrier = Barrier::new(2).unwrap();
/// let (first, second) = block_on(zip(barrier.wait(), barrier.wait()));
/// assert_eq!((first, second), (Ok(0), Ok(1)));
/// ```
#[doc(alias = "rendezvous")]
pub struct Barrier {
    parties: usize,
    state: Cell<BarrierState>,
    /// Who is inside.
    count: Cell<usize>,
    /// How many of the round that leaves have got their number.
    numbered: Cell<usize>,
    /// Those inside, until the state is no longer `Filling`.
    inside: WaitList,
    /// Those who came while others had to leave first.
    outside: WaitList,
}

impl Barrier {
    /// Makes a barrier that `parties` tasks pass together.
    ///
    /// # Errors
    ///
    /// [`NoPartiesError`] if `parties` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::Barrier;
    /// assert!(Barrier::new(0).is_err());
    /// ```
    pub const fn new(parties: usize) -> Result<Self, NoPartiesError> {
        if parties == 0 {
            return Err(NoPartiesError::new());
        }
        Ok(Barrier {
            parties,
            state: Cell::new(BarrierState::Filling),
            count: Cell::new(0),
            numbered: Cell::new(0),
            inside: WaitList::new(),
            outside: WaitList::new(),
        })
    }

    /// Waits until all parties wait. Returns a number from 0 to `parties - 1` that no other of the round gets.
    ///
    /// The last one to arrive gets the highest, the others get theirs as they go on, which is in the order of
    /// their arrival if the executor polls in the order of wakes. Who was cancelled before leaves no gap.
    ///
    /// While a round is leaving, or a reset goes on, newcomers wait until the barrier is empty.
    ///
    /// # Cancel safety
    ///
    /// Who is cancelled leaves, and the round needs another one. The barrier is not broken by it.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrierError`] if the barrier is broken, or is reset or aborted while this is inside.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::Barrier;
    /// let barrier = Barrier::new(1).unwrap();
    /// assert_eq!(futures_lite::future::block_on(barrier.wait()), Ok(0));
    /// ```
    pub async fn wait(&self) -> Result<usize, BrokenBarrierError> {
        if self.is_leaving() {
            Turn::new(Entrance(self), &self.outside).await;
        }
        if self.broken() {
            return Err(BrokenBarrierError::new());
        }
        let arrived = self.count.get() + 1;
        self.count.set(arrived);
        let _inside = Inside(self);
        if arrived == self.parties {
            self.numbered.set(0);
            self.state.set(BarrierState::Draining);
            self.inside.notify_all();
            return Ok(arrived - 1);
        }
        self.inside.wait().await;
        match self.state.get() {
            BarrierState::Filling | BarrierState::Draining => {
                let number = self.numbered.get();
                self.numbered.set(number + 1);
                Ok(number)
            }
            BarrierState::Resetting | BarrierState::Broken => Err(BrokenBarrierError::new()),
        }
    }

    /// Empties the barrier: all who are inside get a [`BrokenBarrierError`]. Also mends a broken barrier.
    ///
    /// ```
    /// # use asyncio_queue::Barrier;
    /// let barrier = Barrier::new(2).unwrap();
    /// barrier.abort();
    /// barrier.reset();
    /// assert!(!barrier.broken());
    /// ```
    pub fn reset(&self) {
        if self.count.get() > 0 {
            self.state.set(BarrierState::Resetting);
            self.inside.notify_all();
        } else {
            self.state.set(BarrierState::Filling);
        }
    }

    /// Breaks the barrier: all who are inside, or come later, get a [`BrokenBarrierError`], until a
    /// [`reset`](Self::reset).
    ///
    /// ```
    /// # use asyncio_queue::Barrier;
    /// let barrier = Barrier::new(2).unwrap();
    /// barrier.abort();
    /// assert!(futures_lite::future::block_on(barrier.wait()).is_err());
    /// ```
    pub fn abort(&self) {
        self.state.set(BarrierState::Broken);
        self.inside.notify_all();
        self.outside.notify_all();
    }

    /// How many tasks pass together.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many wait for the round to be complete; 0 while one is leaving.
    pub fn n_waiting(&self) -> usize {
        match self.state.get() {
            BarrierState::Filling => self.count.get(),
            _ => 0,
        }
    }

    /// Whether it was aborted, and not reset since.
    pub fn broken(&self) -> bool {
        self.state.get() == BarrierState::Broken
    }

    /// Numbers for an observer.
    ///
    /// ```
    /// # use asyncio_queue::{Barrier, BarrierState};
    /// assert_eq!(Barrier::new(2).unwrap().statistics().state, BarrierState::Filling);
    /// ```
    pub fn statistics(&self) -> BarrierStatistics {
        BarrierStatistics {
            parties: self.parties,
            state: self.state.get(),
            inside: self.count.get(),
            outside: self.outside.len(),
            waits: self.inside.statistics().waits,
        }
    }

    fn is_leaving(&self) -> bool {
        matches!(self.state.get(), BarrierState::Draining | BarrierState::Resetting)
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("state", &self.state.get())
            .field("parties", &self.parties)
            .field("inside", &self.count.get())
            .finish_non_exhaustive()
    }
}

/// Who has it is inside.
struct Inside<'a>(&'a Barrier);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let barrier = self.0;
        barrier.count.set(barrier.count.get() - 1);
        if barrier.count.get() == 0 && barrier.is_leaving() {
            barrier.state.set(BarrierState::Filling);
            barrier.outside.notify_all();
        }
    }
}

/// Being let in.
#[derive(Clone, Copy)]
struct Entrance<'a>(&'a Barrier);

impl Resource for Entrance<'_> {
    type Taken = ();

    fn take(self) -> Option<()> {
        (!self.0.is_leaving()).then_some(())
    }

    // All of them were notified together.
    fn pass_on(self) {}
}

/// What a [`Barrier`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarrierState {
    /// It waits until all parties are there.
    Filling,
    /// They were all there, and leave.
    Draining,
    /// It was reset; who was inside leaves with an error.
    Resetting,
    /// It was aborted.
    Broken,
}

/// What [`Barrier::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BarrierStatistics {
    /// How many tasks pass together.
    pub parties: usize,
    /// What it does now.
    pub state: BarrierState,
    /// Who has arrived and not left, those included that are woken and have not run yet.
    pub inside: usize,
    /// Who waits to be let in, counted alike.
    pub outside: usize,
    /// How often somebody had to wait inside.
    pub waits: u64,
}
