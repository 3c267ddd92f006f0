//! What naive models are made of: tasks that start, poll and drop operations, and a line of those who wait.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::Woken;

pub(crate) const SLOTS: usize = 10;
pub(crate) const SEEDS: u64 = 10_000;
pub(crate) const STEPS: usize = 40;

/// A task that runs one operation at a time.
pub(crate) struct Slot<'a, T> {
    pub(crate) future: Option<Pin<Box<dyn Future<Output = T> + 'a>>>,
    woken: Arc<Woken>,
    waker: Waker,
}

impl<'a, T> Slot<'a, T> {
    pub(crate) fn all() -> [Self; SLOTS] {
        [(); SLOTS].map(|()| {
            let (woken, waker) = Woken::new();
            Slot { future: None, woken, waker }
        })
    }

    pub(crate) fn start(&mut self, future: impl Future<Output = T> + 'a) -> Option<T> {
        self.future = Some(Box::pin(future));
        self.poll()
    }

    pub(crate) fn poll(&mut self) -> Option<T> {
        let mut cx = Context::from_waker(&self.waker);
        match self.future.as_mut().expect("started").as_mut().poll(&mut cx) {
            Poll::Ready(output) => {
                self.future = None;
                Some(output)
            }
            Poll::Pending => None,
        }
    }
}

/// Those who wait, in the order of their coming, and whether each is notified.
#[derive(Default)]
pub(crate) struct Waiters {
    pub(crate) line: Vec<(u64, usize, bool)>,
    tickets: u64,
    woken: Vec<usize>,
}

impl Waiters {
    pub(crate) fn join(&mut self, slot: usize) {
        self.tickets += 1;
        self.line.push((self.tickets, slot, false));
    }

    pub(crate) fn leave(&mut self, slot: usize) -> bool {
        let place = self.line.iter().position(|entry| entry.1 == slot).expect("it waits");
        self.line.remove(place).2
    }

    /// Woken in vain: it waits on, at its old place.
    pub(crate) fn rejoin(&mut self, slot: usize) {
        self.entry(slot).expect("it waits").2 = false;
    }

    pub(crate) fn notify_one(&mut self) -> bool {
        let first = self.line.iter_mut().find(|entry| !entry.2);
        if let Some(entry) = first {
            entry.2 = true;
            self.woken.push(entry.1);
            return true;
        }
        false
    }

    pub(crate) fn notify_all(&mut self) {
        while self.notify_one() {}
    }

    pub(crate) fn entry(&mut self, slot: usize) -> Option<&mut (u64, usize, bool)> {
        self.line.iter_mut().find(|entry| entry.1 == slot)
    }

    pub(crate) fn is_notified(&mut self, slot: usize) -> bool {
        self.entry(slot).is_some_and(|entry| entry.2)
    }

    pub(crate) fn notified(&self) -> usize {
        self.line.iter().filter(|entry| entry.2).count()
    }

    pub(crate) fn some_notified(&self) -> bool {
        self.notified() > 0
    }

    pub(crate) fn has_unnotified(&self) -> bool {
        self.line.iter().any(|entry| !entry.2)
    }
}

/// That exactly those were woken of whom the models say it.
pub(crate) fn check_woken<T>(
    slots: &[Slot<'_, T>],
    models: &mut [&mut Waiters],
    context: impl Debug,
) {
    let mut expected = [0; SLOTS];
    for model in models {
        for slot in model.woken.drain(..) {
            expected[slot] += 1;
        }
    }
    let woken: Vec<_> = slots.iter().map(|slot| slot.woken.take()).collect();
    assert_eq!(woken, expected, "{context:?}");
}
