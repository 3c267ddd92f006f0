//! Stand-ins for concurrent-queue and event-listener under loom. They promise less than those do: no order
//! between memory accesses beyond that of an item's own hand-over, none between different items.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use loom::sync::atomic::{AtomicUsize, Ordering};

const EMPTY: usize = 0;
const BUSY: usize = 1;
const FULL: usize = 2;
/// Beside any of those.
const CLOSED: usize = 4;

/// A few places, each with a state that loom knows.
pub(super) struct ConcurrentQueue<T> {
    places: Vec<Place<T>>,
    capacity: Option<usize>,
}

struct Place<T> {
    state: AtomicUsize,
    /// Guarded by `state`; the mutex, which loom does not see, only lends it out.
    item: Mutex<Option<T>>,
}

pub(super) enum PushError<T> {
    Full(T),
    Closed(T),
}

pub(super) enum PopError {
    Empty,
    Closed,
}

impl<T> ConcurrentQueue<T> {
    pub(super) fn bounded(capacity: usize) -> Self {
        let place = || Place { state: AtomicUsize::new(EMPTY), item: Mutex::new(None) };
        let places = (0..capacity).map(|_| place()).collect();
        ConcurrentQueue { places, capacity: Some(capacity) }
    }

    pub(super) fn unbounded() -> Self {
        ConcurrentQueue { capacity: None, ..Self::bounded(2) }
    }

    pub(super) fn push(&self, item: T) -> Result<(), PushError<T>> {
        for place in &self.places {
            let (from, to) = (EMPTY, BUSY);
            match place.state.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    *place.item.lock().unwrap() = Some(item);
                    // `close` may have come in between; its bit stays.
                    place.state.fetch_add(FULL - BUSY, Ordering::Release);
                    return Ok(());
                }
                Err(state) if state & CLOSED != 0 => return Err(PushError::Closed(item)),
                Err(_) => {}
            }
        }
        Err(PushError::Full(item))
    }

    pub(super) fn pop(&self) -> Result<T, PopError> {
        let mut is_closed = !self.places.is_empty();
        for place in &self.places {
            let mut state = place.state.load(Ordering::Relaxed);
            // As the real one does: an item on its way in, or out, is waited for once nothing else can come.
            while state == BUSY | CLOSED {
                loom::thread::yield_now();
                state = place.state.load(Ordering::Relaxed);
            }
            if state & !CLOSED == FULL {
                let to = state - FULL + BUSY;
                let taken =
                    place.state.compare_exchange(state, to, Ordering::Acquire, Ordering::Relaxed);
                if taken.is_ok() {
                    let item = place.item.lock().unwrap().take().expect("it was full");
                    place.state.fetch_sub(BUSY, Ordering::Release);
                    return Ok(item);
                }
                is_closed = false;
            }
            is_closed &= state == EMPTY | CLOSED;
        }
        Err(if is_closed { PopError::Closed } else { PopError::Empty })
    }

    pub(super) fn close(&self) -> bool {
        let was = self.places.iter().map(|it| it.state.fetch_or(CLOSED, Ordering::AcqRel));
        was.fold(true, |fresh, state| fresh & (state & CLOSED == 0))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.places[0].state.load(Ordering::Relaxed) & CLOSED != 0
    }

    pub(super) fn len(&self) -> usize {
        let full = |place: &&Place<T>| place.state.load(Ordering::Relaxed) & !CLOSED == FULL;
        self.places.iter().filter(full).count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.capacity == Some(self.len())
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        self.capacity
    }
}

/// A list of listeners. Its lock is loom's, as the real one's lock is real.
pub(super) struct Event(Arc<loom::sync::Mutex<Listeners>>);

#[derive(Default)]
struct Listeners {
    line: VecDeque<(usize, Standing)>,
    next: usize,
}

/// Where a listener stands.
enum Standing {
    Waiting(Option<Waker>),
    Notified,
}

impl Event {
    pub(super) fn new() -> Self {
        Event(Arc::new(loom::sync::Mutex::new(Listeners::default())))
    }

    pub(super) fn listen(&self) -> EventListener {
        let mut listeners = self.0.lock().unwrap();
        let id = listeners.next;
        listeners.next += 1;
        listeners.line.push_back((id, Standing::Waiting(None)));
        EventListener { event: self.0.clone(), id }
    }

    pub(super) fn notify_additional_relaxed(&self, count: usize) -> usize {
        notify(&self.0, count)
    }
}

fn notify(event: &loom::sync::Mutex<Listeners>, count: usize) -> usize {
    let mut wakers = Vec::new();
    let mut listeners = event.lock().unwrap();
    let waiting = listeners.line.iter_mut().filter(|it| matches!(it.1, Standing::Waiting(_)));
    for (_, place) in waiting.take(count) {
        if let Standing::Waiting(waker) = std::mem::replace(place, Standing::Notified) {
            wakers.push(waker);
        }
    }
    drop(listeners);
    let count = wakers.len();
    wakers.into_iter().flatten().for_each(Waker::wake);
    count
}

pub(super) struct EventListener {
    event: Arc<loom::sync::Mutex<Listeners>>,
    id: usize,
}

impl EventListener {
    /// Takes it out of the list.
    fn leave(&self) -> Option<Standing> {
        let mut listeners = self.event.lock().unwrap();
        let at = listeners.line.iter().position(|it| it.0 == self.id)?;
        listeners.line.remove(at).map(|it| it.1)
    }
}

impl Future for EventListener {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut listeners = self.event.lock().unwrap();
        let id = self.id;
        let at = listeners.line.iter().position(|it| it.0 == id).expect("polled once too often");
        if let Standing::Waiting(waker) = &mut listeners.line[at].1 {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        listeners.line.remove(at);
        Poll::Ready(())
    }
}

impl Drop for EventListener {
    fn drop(&mut self) {
        if let Some(Standing::Notified) = self.leave() {
            notify(&self.event, 1);
        }
    }
}

/// Waiting with the thread.
pub(super) trait Listener {
    fn wait(self);
    fn wait_deadline(self, deadline: Instant) -> Option<()>;
}

impl Listener for EventListener {
    fn wait(self) {
        loom::future::block_on(self);
    }

    /// There is no clock: the deadline comes wherever another thread does not come first.
    fn wait_deadline(self, _: Instant) -> Option<()> {
        loom::thread::yield_now();
        matches!(self.leave(), Some(Standing::Notified)).then_some(())
    }
}
