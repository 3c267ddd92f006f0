//! Each asynchronous operation of this crate, cancelled at each of its suspension points.
#![expect(
    clippy::await_holding_refcell_ref,
    reason = "the operation and the check use the generator one after the other"
)]

mod driver;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use asyncio_cancel_everywhere::{Way, bare};
use asyncio_coro::hooks::SkipReason;
use asyncio_coro::{
    AsyncContextManager, AsyncExitStack, AsyncGenerator, ExitReason, aclosing, async_with,
    catch_cancel, generator, masked, try_finally, with, yield_now,
};
use futures_lite::future::block_on;

use driver::{Finisher, Reports, yield_times};

/// How many are open, and what there is to say about it.
#[derive(Clone, Default)]
struct Open(Rc<Cell<i32>>);

impl Open {
    fn open(&self) {
        self.0.set(self.0.get() + 1);
    }

    fn close(&self) {
        self.0.set(self.0.get() - 1);
    }

    fn count(&self) -> i32 {
        self.0.get()
    }
}

/// Is open from its second step of being entered until its second step of being left.
struct Conn(Open);

impl AsyncContextManager for Conn {
    type Entered = Open;

    async fn aenter(&mut self) -> Open {
        yield_times(2).await;
        self.0.open();
        self.0.clone()
    }

    async fn aexit(self, entered: Open, _how: ExitReason) {
        yield_times(2).await;
        entered.close();
    }
}

/// Yields 1 to 3, a step before and after each; open while its body runs and two steps beyond.
fn numbers(open: &Open) -> AsyncGenerator<'static, u32> {
    let open = open.clone();
    generator(async move |y| {
        let body = async {
            open.open();
            for n in 1..=3 {
                yield_now().await;
                y.yield_(n).await;
                yield_now().await;
            }
        };
        try_finally(body, async || {
            yield_times(2).await;
            open.close();
        })
        .await;
    })
}

#[test]
fn a_scope_that_is_asked_to_end_leaves_nothing_open_and_one_that_is_dropped_says_so() {
    let set_up = || {
        let open = Open::default();
        let scene = (open.clone(), Reports::collect());
        let operation = async move {
            let outer = with(
                open.clone(),
                async |open| {
                    open.open();
                    async_with(Conn(open.clone()), async |_| yield_times(2).await).await;
                    yield_now().await;
                },
                async |open| {
                    yield_times(2).await;
                    open.close();
                },
            );
            drop(catch_cancel(outer).await);
        };
        (scene, operation)
    };
    let points = bare(set_up, |(open, reports), case| {
        let reasons = reports.reasons();
        // A request cuts the cleanup that runs already after a body that returned.
        assert!(case.way.is_drop() || reasons.iter().all(|reason| *reason == SkipReason::Cut));
        assert_eq!(usize::try_from(open.count()).unwrap(), reasons.len(), "{reasons:?}");
    });
    assert_eq!(points, 9);
}

#[test]
fn a_stack_that_is_asked_to_end_leaves_all_and_one_that_is_dropped_says_what_is_left() {
    let set_up = || {
        let open = Open::default();
        let scene = (open.clone(), Reports::collect());
        let operation = async_with(AsyncExitStack::new(), async move |stack| {
            stack.enter(Conn(open.clone())).await;
            open.open();
            let pushed = open.clone();
            stack.push(async move |_| {
                yield_now().await;
                pushed.close();
            });
            yield_now().await;
            open.open();
            stack.callback(move || open.close());
            yield_now().await;
        });
        (scene, operation)
    };
    bare(set_up, |(open, reports), case| {
        let reasons = reports.reasons();
        assert!(case.way.is_drop() || reasons.iter().all(|reason| *reason == SkipReason::Cut));
        // Each exit is reported where it was added; the scope of `async_with` once for itself, unless the exits run already.
        let scope = usize::from(!reasons.is_empty() && !reasons.contains(&SkipReason::Cut));
        assert_eq!(usize::try_from(open.count()).unwrap(), reasons.len() - scope, "{reasons:?}");
    });
}

#[test]
fn closing_a_stack_runs_or_reports_each_exit() {
    let set_up = || {
        let open = Open::default();
        let scene = (open.clone(), Reports::collect());
        let stack = AsyncExitStack::new();
        for _ in 0..3 {
            open.open();
            let open = open.clone();
            stack.push(async move |_| {
                yield_times(2).await;
                open.close();
            });
        }
        (scene, stack.aclose())
    };
    let points = bare(set_up, |(open, reports), case| {
        let reasons = reports.reasons();
        assert_eq!(usize::try_from(open.count()).unwrap(), reasons.len(), "{reasons:?}");
        // A request cuts the one that runs, and no other.
        assert!(case.way.is_drop() || reasons.len() <= 1, "{reasons:?}");
    });
    assert_eq!(points, 6);
}

#[test]
fn a_masked_body_comes_through_when_it_is_asked_to_end() {
    let set_up = || {
        let steps = Rc::new(Cell::new(0));
        let counted = steps.clone();
        let operation = masked(async move {
            for _ in 0..4 {
                yield_now().await;
                counted.set(counted.get() + 1);
            }
        });
        (steps, operation)
    };
    let points = bare(set_up, |steps, case| {
        assert!(case.way.is_drop() || steps.get() == 4);
        assert_eq!(case.output.is_some(), !case.way.is_drop());
    });
    assert_eq!(points, 4);
}

#[test]
fn a_dropped_next_loses_no_item_wherever_it_waited_and_a_cancelled_one_cleans_up() {
    type Shared = Rc<RefCell<AsyncGenerator<'static, u32>>>;
    let set_up = || {
        let open = Open::default();
        let shared: Shared = Rc::new(RefCell::new(numbers(&open)));
        let seen = Rc::new(RefCell::new(Vec::new()));
        let scene = (open, shared.clone(), seen.clone(), Reports::collect());
        let operation = async move {
            let mut numbers = shared.borrow_mut();
            while let Some(n) = numbers.next().await {
                seen.borrow_mut().push(n);
            }
        };
        (scene, operation)
    };
    let points = bare(set_up, |(open, shared, seen, reports), case| {
        let rest: Vec<u32> = block_on(async {
            let mut rest = Vec::new();
            let mut numbers = shared.borrow_mut();
            while let Some(n) = numbers.next().await {
                rest.push(n);
            }
            rest
        });
        let all: Vec<u32> = seen.take().into_iter().chain(rest.iter().copied()).collect();
        if case.way.is_request() && case.point > 0 && case.output.is_none() {
            assert!(rest.is_empty(), "the body has unwound");
            assert!([1, 2, 3].starts_with(&all), "{all:?}");
        } else {
            assert_eq!(all.len(), if rest.is_empty() { all.len() } else { 3 });
            assert!([1, 2, 3].starts_with(&all), "{all:?}");
        }
        if case.way.is_drop() || case.way == Way::Never {
            assert_eq!(all, [1, 2, 3]);
        }
        let reasons = reports.reasons();
        assert!(case.way.is_request() || reasons.is_empty(), "{reasons:?}");
        assert_eq!(usize::try_from(open.count()).unwrap(), reasons.len(), "{reasons:?}");
    });
    assert_eq!(points, 8);
}

#[test]
fn a_generator_that_goes_with_its_consumer_is_finished_by_it_or_by_the_loop() {
    let set_up = || {
        let open = Open::default();
        let scene = (open.clone(), Finisher::install(), Reports::collect());
        let operation = async move {
            let mut numbers = numbers(&open);
            while numbers.next().await.is_some() {
                yield_now().await;
            }
        };
        (scene, operation)
    };
    bare(set_up, |(open, finisher, reports), case| {
        let finished = finisher.finish();
        assert!(finished <= 1);
        let reasons = reports.reasons();
        assert!(case.way.is_request() || reasons.is_empty(), "{reasons:?}");
        assert_eq!(usize::try_from(open.count()).unwrap(), reasons.len(), "{reasons:?}");
    });
}

#[test]
fn aclosing_closes_or_leaves_it_to_the_loop() {
    let set_up = || {
        let open = Open::default();
        let scene = (open.clone(), Finisher::install(), Reports::collect());
        let operation = aclosing(numbers(&open), async |numbers| {
            numbers.next().await;
            yield_now().await;
        });
        (scene, operation)
    };
    bare(set_up, |(open, finisher, reports), case| {
        let finished = finisher.finish();
        let reasons = reports.reasons();
        if case.way.is_drop() {
            // The scope of `aclosing` says that it could not close; the loop has done it all the same.
            assert_eq!(open.count(), 0);
            assert!(reasons.len() <= 1, "{reasons:?}");
        } else {
            assert_eq!(finished, 0);
            // A request cuts the cleanup of the body, if it is not just over, and in any case that of `aclosing`.
            let scope = usize::from(!reasons.is_empty());
            assert_eq!(
                usize::try_from(open.count()).unwrap(),
                reasons.len() - scope,
                "{reasons:?}"
            );
        }
    });
}

#[test]
fn closing_goes_on_after_it_was_dropped_and_is_cut_by_a_request() {
    type Shared = Rc<RefCell<AsyncGenerator<'static, u32>>>;
    let set_up = || {
        let open = Open::default();
        let shared: Shared = Rc::new(RefCell::new(numbers(&open)));
        assert_eq!(block_on(shared.borrow_mut().next()), Some(1));
        let scene = (open, shared.clone(), Reports::collect());
        let operation = async move { shared.borrow_mut().aclose().await };
        (scene, operation)
    };
    let points = bare(set_up, |(open, shared, reports), case| {
        block_on(shared.borrow_mut().aclose());
        let reasons = reports.reasons();
        assert_eq!(usize::try_from(open.count()).unwrap(), reasons.len());
        assert!(case.way.is_request() || reasons.is_empty(), "{reasons:?}");
        assert!(reasons.iter().all(|reason| *reason == SkipReason::Cut));
    });
    assert_eq!(points, 2);
}
