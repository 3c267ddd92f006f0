//! The generator against operations that lose something, and against those that do not.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Poll, Waker};

use asyncio_cancel_everywhere::{Way, bare, between_events};
use asyncio_coro::{try_finally, yield_now};

/// A till of coins for one who waits.
#[derive(Default)]
struct Till {
    coins: Cell<u32>,
    waiter: RefCell<Option<Waker>>,
}

impl Till {
    fn pay(&self) {
        self.coins.set(self.coins.get() + 1);
        if let Some(waker) = self.waiter.take() {
            waker.wake();
        }
    }

    async fn take(&self) {
        poll_fn(|cx| {
            if self.coins.get() == 0 {
                *self.waiter.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.coins.set(self.coins.get() - 1);
            Poll::Ready(())
        })
        .await;
    }

    /// What nobody should write: it has the coin in hand while it waits once more.
    async fn take_lossy(&self) {
        self.take().await;
        yield_now().await;
    }
}

fn message(run: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("the loss goes unnoticed");
    payload.downcast::<String>().map(|text| *text).unwrap_or_else(|payload| {
        String::from(*payload.downcast::<&str>().expect("panics have a text"))
    })
}

const PAY: fn(&mut Rc<Till>) = |till| till.pay();

fn scene<F: Future>(operation: impl Fn(Rc<Till>) -> F) -> impl Fn() -> (Rc<Till>, F) {
    move || {
        let till = Rc::new(Till::default());
        (till.clone(), operation(till))
    }
}

#[test]
fn an_operation_that_holds_a_coin_while_it_waits_is_caught() {
    let sound = scene(|till| async move { till.take().await });
    let lossy = scene(|till| async move { till.take_lossy().await });
    let check = |till: &mut Rc<Till>, events: usize, taken: bool| {
        assert_eq!(till.coins.get() + u32::from(taken), events as u32, "a coin is lost");
    };
    between_events(sound, &[PAY, PAY], |till, case| {
        check(till, case.events, case.output.is_some())
    });
    let lost = message(|| {
        between_events(lossy, &[PAY, PAY], |till, case| {
            check(till, case.events, case.output.is_some());
        });
    });
    assert!(lost.contains("a coin is lost"), "{lost}");
}

#[test]
fn every_point_is_tried_in_every_way_and_the_last_run_comes_through() {
    let seen = RefCell::new(Vec::new());
    let points = bare(
        || {
            ((), async {
                for _ in 0..2 {
                    yield_now().await
                }
            })
        },
        |(), case| seen.borrow_mut().push((case.point, case.way, case.output.is_some())),
    );
    assert_eq!(points, 2);
    let (dropped, asked) = (Way::Dropped, Way::Requested);
    let expected = [
        (0, dropped, false),
        (0, asked, false),
        (1, dropped, false),
        (1, asked, false),
        (2, dropped, false),
        (2, asked, true),
        (2, Way::Never, true),
    ];
    assert_eq!(*seen.borrow(), expected, "a value that is ready in the pass of the request stays");
}

#[test]
fn a_cleanup_runs_to_its_end_when_asked_and_not_when_dropped() {
    bare(
        || {
            let log = Rc::new(RefCell::new(Vec::new()));
            let cleaned = log.clone();
            let operation = async move {
                try_finally(yield_now(), async || {
                    yield_now().await;
                    cleaned.borrow_mut().push("cleaned");
                })
                .await;
            };
            (log, operation)
        },
        |log, case| {
            // A drop skips what would have to be awaited, wherever it comes.
            assert_eq!(!log.borrow().is_empty(), !case.way.is_drop(), "{case}");
        },
    );
}

#[test]
fn an_operation_that_nobody_wakes_is_caught() {
    let stuck = message(|| {
        bare(|| ((), std::future::pending::<()>()), |(), _| ());
    });
    assert!(stuck.contains("nobody wakes it"), "{stuck}");
}

#[test]
fn a_cleanup_that_does_not_end_is_caught() {
    let stuck = message(|| {
        between_events(
            || {
                ((), async {
                    try_finally(std::future::pending::<()>(), async || std::future::pending().await)
                        .await
                })
            },
            &[],
            |(), _| (),
        );
    });
    assert!(stuck.contains("has not ended after it was asked to"), "{stuck}");
}

#[cfg(feature = "loop")]
mod on_a_loop {
    use std::future::pending;
    use std::time::Duration;

    use asyncio_cancel_everywhere::on_loop;
    use asyncio_loop::get_running_loop;

    use super::*;

    async fn till_that_pays() -> Rc<Till> {
        let till = Rc::new(Till::default());
        let paid = till.clone();
        get_running_loop().unwrap().call_later(Duration::from_secs(60), move || paid.pay());
        till
    }

    /// The next one to come gets the coin that the cancelled one did not take.
    async fn next_one_gets_it(till: Rc<Till>, taken: bool) {
        if !taken {
            till.take().await;
        }
    }

    #[test]
    fn an_operation_that_takes_its_coin_or_leaves_it_passes() {
        let points = on_loop(
            async || {
                let till = till_that_pays().await;
                (till.clone(), async move { till.take().await })
            },
            async |till, case| next_one_gets_it(till, case.output.is_some()).await,
        );
        assert_eq!(points, 1);
    }

    #[test]
    fn a_coin_lost_on_the_loop_leaves_the_next_one_waiting_for_ever_and_is_caught() {
        let lost = message(|| {
            on_loop(
                async || {
                    let till = till_that_pays().await;
                    (till.clone(), async move { till.take_lossy().await })
                },
                async |till, case| next_one_gets_it(till, case.output.is_some()).await,
            );
        });
        assert!(lost.contains("the check has not come to its end"), "{lost}");
    }

    #[test]
    fn an_operation_on_the_loop_that_nobody_wakes_is_caught() {
        let stuck = message(|| {
            on_loop(async || ((), pending::<()>()), async |(), _| ());
        });
        assert!(stuck.contains("the operation has not come to its end"), "{stuck}");
    }
}
