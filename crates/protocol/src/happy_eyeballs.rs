//! Which address of several answers first (RFC 8305), and attempts that overlap.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use asyncio_task::sleep;

/// One attempt in progress. Dropping it ends it.
pub(crate) type Attempt<T> = Pin<Box<dyn Future<Output = io::Result<T>>>>;

/// Alternates the families, starting with that of the first address, each in its own order: one
/// dead family costs one delay, however many addresses it has.
pub(crate) fn interleave(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addrs.first() else { return addrs };
    let first_is_v6 = first.is_ipv6();
    let total = addrs.len();
    let (same, other): (Vec<_>, Vec<_>) =
        addrs.into_iter().partition(|addr| addr.is_ipv6() == first_is_v6);
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut mixed = Vec::with_capacity(total);
    while mixed.len() < total {
        mixed.extend(same.next());
        mixed.extend(other.next());
    }
    mixed
}

/// Tries one address after the other. The next attempt starts when one fails, or when the last
/// one started is `delay` old (`None`: only after a failure). The first success wins, and the
/// other attempts are dropped. `Err` holds every failure, in the order in which they happened.
///
/// # Cancel safety
///
/// Dropping it drops every attempt.
pub(crate) async fn staggered_race<T>(
    addrs: Vec<SocketAddr>,
    delay: Option<Duration>,
    attempt: impl Fn(SocketAddr) -> Attempt<T>,
) -> Result<(SocketAddr, T), Vec<(SocketAddr, io::Error)>> {
    let mut waiting = addrs.into_iter();
    let mut running: Vec<(SocketAddr, Attempt<T>)> = Vec::new();
    let mut failed = Vec::new();
    let mut patience: Option<Pin<Box<dyn Future<Output = ()>>>> = None;
    let mut start_next = true;
    poll_fn(move |cx| {
        loop {
            if start_next {
                start_next = false;
                patience = None;
                if let Some(addr) = waiting.next() {
                    running.push((addr, attempt(addr)));
                    if waiting.len() > 0 {
                        patience = delay.map(|delay| Box::pin(sleep(delay)) as _);
                    }
                }
            }
            let mut index = 0;
            while let Some((addr, attempt)) = running.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(winner)) => return Poll::Ready(Ok((*addr, winner))),
                    Poll::Ready(Err(error)) => {
                        failed.push((*addr, error));
                        drop(running.remove(index));
                        start_next = true;
                    }
                    Poll::Pending => index += 1,
                }
            }
            start_next &= waiting.len() > 0;
            if let Some(timer) = patience.as_mut().filter(|_| !start_next) {
                start_next = timer.as_mut().poll(cx).is_ready();
            }
            if !start_next {
                let over = running.is_empty();
                return if over {
                    Poll::Ready(Err(std::mem::take(&mut failed)))
                } else {
                    Poll::Pending
                };
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use asyncio_loop::{get_running_loop, testing};

    use super::*;

    fn addrs(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_and_keep_their_own_order() {
        let mixed = interleave(addrs(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]));
        assert_eq!(mixed, addrs(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
        assert_eq!(interleave(Vec::new()), []);
    }

    /// What the attempt at one address does, and when, in milliseconds after its start.
    #[derive(Clone, Copy)]
    enum Fate {
        Succeeds(u64),
        Fails(u64),
        Hangs,
    }
    use Fate::{Fails, Hangs, Succeeds};

    /// Counts itself out when it is dropped.
    struct Running(Rc<Cell<usize>>);

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }

    /// The winner's number or those of the failed, and when each attempt started, in ms.
    fn race(fates: &'static [Fate], delay: Option<u64>) -> (Result<u16, Vec<u16>>, Vec<u64>) {
        testing::run(async move {
            let event_loop = get_running_loop().unwrap();
            let begin = event_loop.time();
            let starts = Rc::new(RefCell::new(Vec::new()));
            let running = Rc::new(Cell::new(0));
            let addrs = (0..fates.len()).map(|n| SocketAddr::from(([127, 0, 0, 1], n as u16)));
            let won = staggered_race(addrs.collect(), delay.map(Duration::from_millis), |addr| {
                let at = (event_loop.time() - begin).as_millis() as u64;
                starts.borrow_mut().push(at);
                running.set(running.get() + 1);
                let guard = Running(running.clone());
                Box::pin(async move {
                    let _guard = guard;
                    match fates[usize::from(addr.port())] {
                        Succeeds(after) => {
                            sleep(Duration::from_millis(after)).await;
                            Ok(addr.port())
                        }
                        Fails(after) => {
                            sleep(Duration::from_millis(after)).await;
                            Err(io::ErrorKind::ConnectionRefused.into())
                        }
                        Hangs => std::future::pending().await,
                    }
                })
            })
            .await;
            assert_eq!(running.get(), 0, "losers are dropped");
            let starts = starts.take();
            let won = won.map(|(addr, port)| {
                assert_eq!(addr.port(), port);
                port
            });
            (won.map_err(|all| all.iter().map(|(addr, _)| addr.port()).collect()), starts)
        })
        .unwrap()
    }

    /// Behaviour: STG-01, STG-02, STG-04, STG-05, STG-06.
    #[test]
    fn the_next_attempt_starts_when_one_fails_or_after_the_delay() {
        assert_eq!(race(&[], Some(250)), (Err(vec![]), vec![]));
        assert_eq!(race(&[Succeeds(10), Succeeds(0)], Some(250)), (Ok(0), vec![0]));
        assert_eq!(race(&[Hangs, Succeeds(10)], Some(250)), (Ok(1), vec![0, 250]));
        assert_eq!(race(&[Fails(20), Succeeds(10)], Some(250)), (Ok(1), vec![0, 20]));
        assert_eq!(race(&[Succeeds(300), Hangs], Some(250)), (Ok(0), vec![0, 250]));
        assert_eq!(race(&[Fails(20), Fails(5)], Some(250)), (Err(vec![0, 1]), vec![0, 20]));
        let slow_failures = &[Fails(400), Fails(30), Fails(30)];
        assert_eq!(race(slow_failures, Some(250)), (Err(vec![1, 2, 0]), vec![0, 250, 280]));
        assert_eq!(race(&[Succeeds(300), Succeeds(50)], Some(250)), (Ok(0), vec![0, 250]));
    }

    #[test]
    fn without_a_delay_the_next_attempt_waits_for_a_failure() {
        assert_eq!(race(&[Fails(5_000), Succeeds(5_000)], None), (Ok(1), vec![0, 5_000]));
        assert_eq!(race(&[Fails(1), Fails(1)], None), (Err(vec![0, 1]), vec![0, 1]));
    }
}
