//! Name lookup that blocks neither the loop nor its end.
//!
//! The system's resolver can only be called, not interrupted, and may take half a minute. In the
//! default executor, whose jobs the end of a run waits for, it would hold up the exit. So lookups
//! have threads of their own, which nobody joins, for all loops of the process.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use asyncio_future::concurrent;
use asyncio_loop::get_running_loop;

use crate::job::quietly;

/// Asks the system for the addresses of `host`, for stream sockets, in its order of preference.
///
/// A numeric address is answered at once. Everything else is asked on a detached thread: at most
/// 32 at a time in the process, the next ones wait for their turn. Neither cancelling a lookup nor
/// the end of the loop waits for it.
///
/// # Cancel safety
///
/// Cancel safe: a lookup that has not begun never will, the answer of one that runs is dropped.
///
/// # Errors
///
/// - What the resolver says, as when the name is unknown.
/// - [`NotFound`](io::ErrorKind::NotFound), when the name exists and has no address.
/// - What the system says when it refuses the first thread.
///
/// # Examples
///
/// ```
/// let addresses = asyncio_loop::run(async {
///     asyncio_executor::getaddrinfo("127.0.0.1", 80).await
/// });
/// assert_eq!(addresses.unwrap().unwrap(), ["127.0.0.1:80".parse().unwrap()]);
/// ```
pub async fn getaddrinfo(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.to_owned();
    let addresses = LOOKUPS.run(move || (name.as_str(), port).to_socket_addrs()).await??;
    let addresses = Vec::from_iter(addresses);
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")));
    }
    Ok(addresses)
}

/// Enough for a burst of names to one slow server; each costs a thread's stack.
static LOOKUPS: Lookups = Lookups::new(32);

struct Lookups {
    state: Mutex<State>,
    max_threads: usize,
}

struct State {
    threads: usize,
    /// In the order of their numbers.
    waiting: VecDeque<(u64, Lookup)>,
    next: u64,
}

type Lookup = Box<dyn FnOnce() + Send>;

impl Lookups {
    const fn new(max_threads: usize) -> Self {
        let state = State { threads: 0, waiting: VecDeque::new(), next: 0 };
        Self { state: Mutex::new(state), max_threads }
    }

    /// Calls `ask` on a detached thread.
    async fn run<T, F>(&'static self, ask: F) -> io::Result<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (promise, answer) = concurrent::promise();
        // While the lookup is under way a virtual clock stands still.
        let working = get_running_loop().ok().map(|event_loop| event_loop.external_work());
        let turn = self.queue(Box::new(move || {
            if promise.set_running_or_notify_cancel() {
                // Not refused: what runs cannot be cancelled.
                drop(promise.set_result(ask()));
            }
            drop(working);
        }))?;
        let _turn = Turn { lookups: self, number: turn };
        answer.await.map_err(|_| io::Error::other("the lookup panicked"))
    }

    fn queue(&'static self, lookup: Lookup) -> io::Result<u64> {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, lookup));
        if state.threads < self.max_threads {
            let thread = thread::Builder::new().name(String::from("asyncio-getaddrinfo"));
            match thread.spawn(move || self.work()) {
                Ok(_detached) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    let lookup = state.waiting.pop_back();
                    drop(state);
                    drop(lookup);
                    return Err(error);
                }
                // The threads there are will come to it.
                Err(_) => {}
            }
        }
        Ok(number)
    }

    /// A thread's life: it ends when nothing waits.
    fn work(&self) {
        loop {
            let mut state = self.lock();
            let Some((_, lookup)) = state.waiting.pop_front() else {
                state.threads -= 1;
                return;
            };
            drop(state);
            quietly(lookup);
        }
    }

    fn forget(&self, number: u64) {
        let mut state = self.lock();
        let lookup = match state.waiting.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(at) => state.waiting.remove(at),
            Err(_) => None,
        };
        drop(state);
        drop(lookup);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lookup's place in the queue, given up with the future that waits for the answer.
struct Turn {
    lookups: &'static Lookups,
    number: u64,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.lookups.forget(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc;

    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn lookups_beyond_the_bound_wait_for_their_turn() {
        static LOOKUPS: Lookups = Lookups::new(1);
        let lookups = &LOOKUPS;
        block_on(async {
            let (release, wait) = mpsc::channel::<()>();
            let mut first = pin!(lookups.run(move || wait.recv()));
            let mut second = pin!(lookups.run(|| 2));
            assert!(poll_once(first.as_mut()).await.is_none());
            assert!(poll_once(second.as_mut()).await.is_none());
            assert_eq!(lookups.lock().threads, 1);
            drop(release);
            assert!(first.await.unwrap().is_err());
            assert_eq!(second.await.unwrap(), 2);
        });
    }

    #[test]
    fn a_lookup_that_was_dropped_waits_no_more_and_is_never_asked() {
        static LOOKUPS: Lookups = Lookups::new(1);
        let lookups = &LOOKUPS;
        block_on(async {
            let (release, wait) = mpsc::channel::<()>();
            let mut first = Box::pin(lookups.run(move || wait.recv()));
            assert!(poll_once(first.as_mut()).await.is_none());
            while !lookups.lock().waiting.is_empty() {
                thread::yield_now();
            }
            let mut second = Box::pin(lookups.run(|| panic!("asked after all")));
            assert!(poll_once(second.as_mut()).await.is_none());
            assert_eq!(lookups.lock().waiting.len(), 1);
            drop(second);
            assert_eq!(lookups.lock().waiting.len(), 0);
            // One that runs is let go, not waited for.
            drop(first);
            drop(release);
        });
        while lookups.lock().threads > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_lookup_that_panics_is_an_error_and_costs_no_thread() {
        static LOOKUPS: Lookups = Lookups::new(1);
        let lookups = &LOOKUPS;
        let error = block_on(lookups.run::<(), _>(|| panic!("meant to"))).unwrap_err();
        assert_eq!(error.to_string(), "the lookup panicked");
        assert_eq!(block_on(lookups.run(|| 1)).unwrap(), 1);
    }
}
