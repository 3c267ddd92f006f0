//! A seeded order of the ready queue, so that a test meets the orders that a program must not rely on.

use crate::event_loop::EventLoop;
use crate::observe::Observer;
use crate::ready::ReadyQueue;
use crate::work::Work;

/// Shuffles what each tick of `event_loop` runs, from the next tick on: the same seed gives the same orders.
///
/// Steps of tasks and handlers of descriptors change places with everything else. Callbacks and timers keep their order
/// among themselves, which [`call_soon`](EventLoop::call_soon) and [`call_at`](EventLoop::call_at) promise. A later
/// call starts again with its own seed.
///
/// The children of a task group run inside the steps of the task that has the group: those that are ready change places
/// with each other and with the group's body.
///
/// # Examples
///
/// ```
/// use asyncio_loop::testing::{self, ClockMode};
///
/// for seed in 0..100 {
///     let (event_loop, _) = testing::virtual_loop(ClockMode::AutoJump)?;
///     testing::shuffle(&event_loop, seed);
///     testing::run_with(&event_loop, async { /* the program */ })?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn shuffle(event_loop: &EventLoop, seed: u64) {
    let observers = &event_loop.inner().observers;
    observers.shuffle.replace(Some(Rng(seed)));
    observers.set(Observer::Shuffle, true);
}

/// SplitMix64: small, good enough to permute a queue, and the same on every machine.
pub(crate) struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Permutes what is queued, except that callbacks and timers keep their order.
    pub(crate) fn shuffle(&mut self, ready: &ReadyQueue) {
        ready.permute(|entries| {
            let mut order: Vec<usize> = (0..entries.len()).collect();
            for at in (1..order.len()).rev() {
                order.swap(at, self.below(at + 1));
            }
            let is_ordered: Vec<bool> = entries
                .iter()
                .map(|entry| !matches!(entry.describe(), Work::Task { .. } | Work::Io { .. }))
                .collect();
            let mut in_order = (0..entries.len()).filter(|&at| is_ordered[at]);
            let mut place = |at| if is_ordered[at] { in_order.next().unwrap_or(at) } else { at };
            order.iter_mut().for_each(|at| *at = place(*at));
            order
        });
    }
}
