//! Random trees of scopes under random requests: every cleanup that is owed runs or is reported, and every task ends.

mod driver;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use asyncio_coro::hooks::SkipReason;
use asyncio_coro::{
    CancelScope, Deadline, catch_cancel, current_task, deadline_scope, isolate, try_finally,
    yield_now,
};
use futures_util::future::{LocalBoxFuture, join, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use driver::{Reports, TestClock, TestTask, yield_times};

const CASES: u64 = if cfg!(miri) { 30 } else { 3000 };

/// Steps within which a task must end once it has been cancelled for good: the bound on parked scopes, level by level.
const ENOUGH: usize = 100_000;

/// What one case shares.
struct World {
    seed: Cell<u64>,
    scopes: RefCell<Vec<CancelScope>>,
    parked: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    may_park: bool,
    may_select: bool,
    /// Nothing swallows, withdraws or keeps out a request, and every cleanup ends: one request ends a task.
    is_plain: bool,
    begun: Cell<usize>,
    cleaned: Cell<usize>,
}

impl World {
    fn random(&self, below: u64) -> u64 {
        // xorshift64*
        let mut x = self.seed.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.seed.set(x);
        (x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    }

    fn tree(self: &Rc<Self>, depth: u32) -> LocalBoxFuture<'static, ()> {
        let world = self.clone();
        if depth == 0 {
            return match self.random(4) {
                0 | 1 => pending().boxed_local(),
                2 => yield_times(self.random(6) as u32).boxed_local(),
                _ => yield_now().boxed_local(),
            };
        }
        match self.random(12) {
            0..=2 => {
                let (body, cleanup) = (self.tree(depth - 1), self.cleanup(depth - 1));
                let cleaned = self.clone();
                let body = async move {
                    world.begun.set(world.begun.get() + 1);
                    body.await;
                };
                let cleanup = async move || {
                    cleanup.await;
                    cleaned.cleaned.set(cleaned.cleaned.get() + 1);
                };
                try_finally(body, cleanup).boxed_local()
            }
            3 if !self.is_plain => catch_cancel(self.tree(depth - 1)).map(|_| ()).boxed_local(),
            4 | 5 => join(self.tree(depth - 1), self.tree(depth - 1)).map(|_| ()).boxed_local(),
            6 => {
                let all: FuturesUnordered<_> =
                    (0..self.random(4) + 1).map(|_| self.tree(depth - 1)).collect();
                all.for_each(|()| async {}).boxed_local()
            }
            7 if self.may_select => {
                select(self.tree(depth - 1), self.tree(depth - 1)).map(drop).boxed_local()
            }
            8 => {
                let scope = CancelScope::new().shielded(!self.is_plain && self.random(4) == 0);
                self.scopes.borrow_mut().push(scope.clone());
                let body = self.tree(depth - 1);
                async move { scope.run(body).await.unwrap_or_default() }.boxed_local()
            }
            9 => {
                let after = Duration::from_millis(self.random(5));
                deadline_scope(Deadline::After(after), self.tree(depth - 1))
                    .map(|_| ())
                    .boxed_local()
            }
            10 if self.may_park => {
                let mut part = self.tree(depth - 1);
                async move {
                    let is_over = std::future::poll_fn(|cx| {
                        std::task::Poll::Ready(part.as_mut().poll_unpin(cx).is_ready())
                    })
                    .await;
                    if !is_over {
                        world.parked.borrow_mut().push(part);
                    }
                    yield_now().await;
                    let other = world.parked.borrow_mut().pop();
                    if let Some(other) = other {
                        other.await;
                    }
                }
                .boxed_local()
            }
            _ => {
                let rest = self.tree(depth - 1);
                async move {
                    match world.random(6) {
                        0 => drop(current_task().unwrap().cancel()),
                        1 if !world.is_plain => drop(current_task().unwrap().uncancel()),
                        2 => world.poke(),
                        3 => isolate(|| {
                            futures_lite::future::block_on(try_finally(yield_now(), async || {
                                yield_now().await
                            }))
                        }),
                        _ => {}
                    }
                    rest.await;
                }
                .boxed_local()
            }
        }
    }

    /// A cleanup that ends by itself, most of the time.
    fn cleanup(self: &Rc<Self>, depth: u32) -> LocalBoxFuture<'static, ()> {
        match self.random(8) {
            0 if !self.is_plain => self.tree(depth),
            n => yield_times(n as u32).boxed_local(),
        }
    }

    /// Cancels, shields or bares some scope.
    fn poke(&self) {
        let count = self.scopes.borrow().len() as u64;
        if count > 0 {
            let scope = self.scopes.borrow()[self.random(count) as usize].clone();
            match self.random(4) {
                0 if !self.is_plain => scope.set_shielded(!scope.is_shielded()),
                _ => scope.cancel(),
            }
        }
    }
}

fn run_case(seed: u64) {
    let reports = Reports::collect();
    let clock = TestClock::install();
    let world = Rc::new(World {
        seed: Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
        scopes: RefCell::default(),
        parked: RefCell::default(),
        may_park: seed % 3 == 0,
        may_select: seed % 3 == 1,
        is_plain: seed % 4 == 0,
        begun: Cell::new(0),
        cleaned: Cell::new(0),
    });
    let mut tasks: Vec<_> = (0..2).map(|_| Some(TestTask::new(world.tree(6)))).collect();
    for _ in 0..30 {
        for slot in &mut tasks {
            let Some(task) = slot else { continue };
            let is_over = match world.random(8) {
                0 => {
                    task.handle().cancel();
                    false
                }
                1 => {
                    world.poke();
                    false
                }
                2 => {
                    clock.advance(Duration::from_millis(1));
                    false
                }
                3 => task.step().is_some(), // a spurious poll
                _ => task.run_up_to(200).is_some(),
            };
            if is_over {
                *slot = None;
            }
        }
    }
    // Whoever is left is cancelled until it ends: one request for each cleanup that may hang.
    for slot in &mut tasks {
        let Some(mut task) = slot.take() else { continue };
        let requests = if world.is_plain { 1 } else { 50 };
        let is_over = (0..requests).any(|_| {
            world.scopes.borrow().iter().for_each(|scope| scope.set_shielded(false));
            task.handle().cancel();
            task.run_up_to(ENOUGH).is_some()
        });
        assert!(is_over, "case {seed}: a task does not end");
    }
    world.parked.take();
    let (begun, cleaned) = (world.begun.get(), world.cleaned.get());
    let reasons = reports.reasons();
    let reported = reasons.len();
    if !world.may_park && !world.may_select {
        // Nobody drops or forgets a scope: only a newer request may cost a cleanup.
        assert!(
            reasons.iter().all(|reason| *reason == SkipReason::Cut),
            "case {seed}: {reasons:?}"
        );
    }
    if world.may_park {
        // A parked scope is reported, and may go on elsewhere.
        assert!(cleaned + reported >= begun, "case {seed}: {begun} begun, {cleaned} + {reported}");
    } else {
        assert_eq!(
            cleaned + reported,
            begun,
            "case {seed}: {cleaned} cleaned, {reported} reported"
        );
    }
    assert_eq!(clock.armed(), 0, "case {seed}: a timer is left");
}

#[test]
fn every_cleanup_that_is_owed_runs_or_is_reported_and_every_task_ends() {
    (1..=CASES).for_each(run_case);
}
