//! Attacks on the tree of scopes by safe code: forgetting, moving, panicking, coming back in from wakers and destructors.
//! To be run under AddressSanitizer too.

mod driver;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use asyncio_coro::hooks::SkipReason;
use asyncio_coro::scope::{Cleanup, Newer, finally_with};
use asyncio_coro::task::TaskEnd;
use asyncio_coro::wait_list::WaitList;
use asyncio_coro::{
    CancelScope, Deadline, catch_cancel, current_task, deadline_scope, try_finally, yield_now,
};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join};

use driver::{Log, Reports, TestClock, TestTask, poll_up_to, yield_times};

fn is_cancelled<T>(end: Option<Result<T, TaskEnd>>) -> bool {
    matches!(end, Some(Err(TaskEnd::Cancelled)))
}

fn is_panicked<T>(end: Option<Result<T, TaskEnd>>) -> bool {
    matches!(end, Some(Err(TaskEnd::Panicked(_))))
}

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Every kind of scope around `body`, one inside the other.
fn all_kinds(
    log: &Log,
    handle: &CancelScope,
    body: LocalBoxFuture<'static, ()>,
) -> LocalBoxFuture<'static, ()> {
    let (log, handle) = (log.clone(), handle.clone());
    async move {
        let inner = try_finally(body, async || {
            yield_now().await;
            log.push("inner");
        });
        let timed = deadline_scope(Deadline::After(Duration::from_secs(9)), inner);
        let part = handle.run(async {
            let _ = timed.await;
        });
        try_finally(
            async {
                let _ = part.await;
            },
            async || {
                yield_now().await;
                log.push("outer");
            },
        )
        .await;
    }
    .boxed_local()
}

#[test]
fn scopes_forgotten_after_each_number_of_polls_are_harmless_to_their_task_and_their_handle() {
    for polls in 0..8 {
        let _reports = Reports::collect();
        let _clock = TestClock::install();
        let (log, handle) = (Log::default(), CancelScope::new());
        let tree = all_kinds(&log, &handle, pending().boxed_local());
        let mut task = TestTask::new(async move {
            let mut tree = tree;
            for _ in 0..polls {
                // Ready perhaps, once the handle was cancelled and all has unwound.
                if poll_fn(|cx| Poll::Ready(tree.as_mut().poll(cx))).await.is_ready() {
                    break;
                }
                yield_now().await;
            }
            mem::forget(tree);
            pending::<()>().await;
        });
        assert!(task.run_up_to(polls / 2).is_none());
        handle.cancel();
        assert!(task.run().is_none());
        handle.set_shielded(true);
        task.handle().cancel();
        assert!(is_cancelled(task.run()), "{polls} polls");
        drop(task);
        // What was forgotten is still there for its handle, with nothing above it.
        handle.set_shielded(false);
        handle.set_deadline(None);
        handle.cancel();
    }
}

#[test]
fn scopes_forgotten_with_their_whole_task_stay_reachable() {
    let _clock = TestClock::install();
    let (log, handle) = (Log::default(), CancelScope::new());
    let mut task = TestTask::new(all_kinds(&log, &handle, pending().boxed_local()));
    assert!(task.run().is_none());
    let facts = task.handle();
    mem::forget(task);
    assert!(facts.cancel() && facts.cancel());
    handle.cancel();
    facts.uncancel();
    assert_eq!(facts.name(), format!("Task-{}", facts.id()));
    assert!(log.take().is_empty());
}

/// Does something to a handle whenever it is woken, and once more when it is dropped.
struct Meddler {
    wakes: AtomicUsize,
}

thread_local! {
    static MEDDLE: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
}

fn meddle() {
    if let Some(meddle) = MEDDLE.with_borrow(Clone::clone) {
        meddle();
    }
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        meddle();
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        meddle();
    }
}

#[test]
fn a_waker_may_use_the_handle_of_the_scope_that_it_wakes() {
    let clock = TestClock::install();
    let (log, handle) = (Log::default(), CancelScope::new());
    let toggled = handle.clone();
    let later = clock.at(Duration::from_secs(1));
    MEDDLE.set(Some(Rc::new(move || {
        toggled.set_shielded(!toggled.is_shielded());
        toggled.set_deadline(Some(later));
        toggled.cancel();
    })));
    let mut tree = all_kinds(&log, &handle, pending().boxed_local());
    let mut is_over = false;
    for round in 0..50 {
        // A new waker each time: the old one is replaced, and dropped, in the middle of the poll.
        let waker = Waker::from(Arc::new(Meddler { wakes: AtomicUsize::new(0) }));
        is_over = tree.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if is_over {
            break;
        }
        if round == 2 {
            handle.cancel();
        }
    }
    MEDDLE.take();
    assert!(is_over);
    assert!(handle.cancelled_caught());
    assert_eq!(log.take(), ["inner", "outer"]);
}

/// Panics when it is woken.
struct Angry;

impl Wake for Angry {
    fn wake(self: Arc<Self>) {
        panic!("a waker");
    }
}

/// Polls `body` with a waker of one's own.
fn with_waker<F: Future>(waker: Waker, body: F) -> impl Future<Output = F::Output> {
    let mut body = Box::pin(body);
    poll_fn(move |_| body.as_mut().poll(&mut Context::from_waker(&waker)))
}

#[test]
fn a_waker_that_panics_costs_nobody_else_a_wake() {
    let handle = CancelScope::new();
    let counted = Arc::new(Meddler { wakes: AtomicUsize::new(0) });
    let angry = || with_waker(Waker::from(Arc::new(Angry)), catch_cancel(pending::<()>()));
    let calm = with_waker(Waker::from(counted.clone()), catch_cancel(pending::<()>()));
    let mut run = pin!(handle.run(join(angry(), join(calm, angry()))));
    assert!(poll_up_to(run.as_mut(), 1).is_none());
    let panicked = catch_unwind(AssertUnwindSafe(|| handle.cancel()));
    assert!(panicked.is_err());
    assert_eq!(counted.wakes.load(Ordering::Relaxed), 1);
    assert!(poll_up_to(run.as_mut(), 1).is_some());
}

#[test]
fn a_waker_that_panics_inside_a_step_is_the_end_of_its_task() {
    let reports = Reports::collect();
    let scope = try_finally(pending::<()>(), async || pending().await);
    let mut scope = Box::pin(with_waker(Waker::from(Arc::new(Angry)), scope));
    let mut task = TestTask::new(poll_fn(move |cx| scope.as_mut().poll(cx)));
    assert!(task.step().is_none());
    assert!(catch_unwind(AssertUnwindSafe(|| task.handle().cancel())).is_err());
    // Once the body has been polled, the task wakes what is below it.
    assert!(is_panicked(task.step()));
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn a_destructor_may_poll_cancel_and_clean_up_in_the_middle_of_an_unwinding() {
    let log = Log::default();
    let handle = CancelScope::new();
    let (l, h) = (log.clone(), handle.clone());
    let mut task = TestTask::new(async move {
        let l2 = l.clone();
        let body = async {
            let _guard = OnDrop(|| {
                // Outside any scope: the outstanding request does not reach this, and it runs to its end.
                futures_lite::future::block_on(try_finally(yield_times(2), async || {
                    yield_now().await;
                    l2.push("in the destructor");
                }));
                h.cancel();
            });
            pending::<()>().await;
        };
        try_finally(
            async {
                let _ = h.run(body).await;
            },
            async || {
                yield_now().await;
                l.push("cleanup");
            },
        )
        .await;
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["in the destructor", "cleanup"]);
    assert!(handle.cancel_called() && !handle.cancelled_caught());
}

#[test]
fn a_destructor_that_cancels_its_task_while_a_scope_unwinds_for_itself_makes_the_outer_request_win()
{
    async fn body() {
        let _guard = OnDrop(|| assert!(current_task().unwrap().cancel()));
        pending::<()>().await;
    }
    let handle = CancelScope::new();
    let stop = handle.clone();
    let mut task = TestTask::new(async move {
        let _ = handle.run(body()).await;
    });
    assert!(task.run().is_none());
    stop.cancel();
    assert!(is_cancelled(task.run()));
    assert!(!stop.cancelled_caught());

    let clock = TestClock::install();
    let second = Duration::from_secs(1);
    let mut task = TestTask::new(async move {
        let _ = deadline_scope(Deadline::After(second), body()).await;
    });
    assert!(task.run().is_none());
    clock.advance(second);
    assert!(is_cancelled(task.run()));
}

#[test]
fn a_destructor_may_poll_and_drop_the_scope_beside_it() {
    let _reports = Reports::collect();
    type Shared = Rc<RefCell<Option<LocalBoxFuture<'static, ()>>>>;
    for is_dropped in [false, true] {
        let log = Log::default();
        let beside: Shared = Rc::default();
        let l = log.clone();
        *beside.borrow_mut() = Some(
            try_finally(pending::<()>(), async move || {
                yield_now().await;
                l.push("beside");
            })
            .boxed_local(),
        );
        let (held, polled) = (beside.clone(), beside.clone());
        let mut task = TestTask::new(async move {
            let guarded = async move {
                let _guard = OnDrop(move || {
                    let Some(mut scope) = held.take() else { return };
                    // Polled by nobody's scope now, so it leaves the task's tree, and its request.
                    assert!(poll_up_to(scope.as_mut(), 3).is_none());
                    if !is_dropped {
                        held.replace(Some(scope));
                    }
                });
                catch_cancel(pending::<()>()).await.unwrap_err();
                pending::<()>().await;
            };
            let beside = poll_fn(move |cx| match &mut *polled.borrow_mut() {
                Some(scope) => scope.as_mut().poll(cx),
                None => Poll::Ready(()),
            });
            join(try_finally(guarded, async || {}), beside).await;
        });
        assert!(task.run().is_none());
        task.handle().cancel();
        let end = task.run().or_else(|| {
            task.handle().cancel();
            task.run()
        });
        assert!(is_cancelled(end));
        drop((task, beside));
    }
}

#[test]
fn tasks_may_be_nested_forgotten_and_dropped_in_any_order() {
    let _reports = Reports::collect();
    for order in 0..4 {
        let log = Log::default();
        let handle = CancelScope::new();
        let _clock = TestClock::install();
        let mut child = TestTask::new(all_kinds(&log, &handle, pending().boxed_local()));
        let child_facts = child.handle();
        let slot = Rc::new(RefCell::new(None));
        let kept = slot.clone();
        let mut parent = TestTask::new(try_finally(
            async move {
                assert!(child.step().is_none());
                assert_eq!(
                    current_task().map(|task| task.id() == child.handle().id()),
                    Some(false)
                );
                kept.replace(Some(child));
                pending::<()>().await;
            },
            async || {},
        ));
        assert!(parent.run().is_none());
        // A request to the parent is none to the child.
        parent.handle().cancel();
        assert!(child_facts.is_live() && child_facts.cancelling() == 0);
        let child = slot.take().unwrap();
        match order {
            0 => drop((child, parent)),
            1 => drop((parent, child)),
            2 => {
                mem::forget(child);
                drop(parent);
            }
            _ => {
                mem::forget(parent);
                drop(child);
            }
        }
        assert_eq!(child_facts.cancel(), order == 2);
        handle.cancel();
    }
}

#[test]
fn a_child_that_is_a_task_inside_its_parents_poll_is_cancelled_alone() {
    let log = Log::default();
    let l = log.clone();
    let mut child = TestTask::new(try_finally(pending::<()>(), async move || {
        yield_now().await;
        l.push("child");
    }));
    let facts = child.handle();
    let l = log.clone();
    let mut parent = TestTask::new(async move {
        let end = poll_fn(|cx| match child.step() {
            Some(end) => Poll::Ready(end),
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        });
        assert!(is_cancelled(Some(end.await)));
        yield_now().await;
        l.push("parent");
    });
    assert!(parent.run_up_to(3).is_none());
    facts.cancel();
    assert!(matches!(parent.run(), Some(Ok(()))));
    assert_eq!(log.take(), ["child", "parent"]);
}

#[test]
fn scopes_and_waiters_in_thread_locals_survive_the_end_of_their_thread() {
    thread_local! {
        static EARLY: RefCell<Vec<LocalBoxFuture<'static, ()>>> = const { RefCell::new(Vec::new()) };
        static TASK: RefCell<Option<TestTask<LocalBoxFuture<'static, ()>>>> = const { RefCell::new(None) };
    }
    std::thread::spawn(|| {
        let handle = CancelScope::new();
        EARLY.with_borrow(Vec::len);
        let _reports = Reports::collect();
        let _clock = TestClock::install();
        let mut tree = all_kinds(&Log::default(), &handle, pending().boxed_local());
        let mut waiter = async {
            let list = WaitList::new();
            join(list.wait(), list.wait()).await;
        }
        .boxed_local();
        assert!(poll_up_to(tree.as_mut(), 1).is_none() && poll_up_to(waiter.as_mut(), 1).is_none());
        let last_words = async move {
            let _guard = OnDrop(|| {
                // In the destructor of a thread-local: no clock, no reporter any more perhaps; scopes work all the same.
                let scope = CancelScope::new();
                let run = scope.run(try_finally(yield_now(), async || yield_now().await));
                assert!(futures_lite::future::block_on(run).is_ok());
                assert!(current_task().is_none());
            });
            pending().await
        };
        let mut task = TestTask::new(all_kinds(
            &Log::default(),
            &handle_of_its_own(),
            last_words.boxed_local(),
        ));
        assert!(task.run().is_none());
        TASK.set(Some(task));
        EARLY.with_borrow_mut(|early| early.extend([tree, waiter]));
    })
    .join()
    .unwrap();

    fn handle_of_its_own() -> CancelScope {
        CancelScope::new()
    }
}

#[test]
fn a_scope_that_changes_tasks_in_every_state_is_nobodys_when_it_is_dropped() {
    for (first, second) in [(1, 1), (2, 1), (3, 2), (4, 5), (6, 2)] {
        let reports = Reports::collect();
        let log = Log::default();
        let slot = Rc::new(RefCell::new(None));
        let l = log.clone();
        *slot.borrow_mut() = Some(
            try_finally(pending::<()>(), async move || {
                yield_times(3).await;
                l.push("cleanup");
            })
            .boxed_local(),
        );
        let driven = |slot: &Rc<RefCell<Option<LocalBoxFuture<'static, ()>>>>| {
            let slot = slot.clone();
            TestTask::new(poll_fn(move |cx| match &mut *slot.borrow_mut() {
                Some(scope) => scope.as_mut().poll(cx),
                None => Poll::Pending,
            }))
        };
        let (mut a, mut b) = (driven(&slot), driven(&slot));
        assert!(a.step().is_none());
        a.handle().cancel();
        for _ in 1..first {
            if a.step().is_some() {
                break;
            }
        }
        for _ in 0..second {
            if b.step().is_some() {
                break;
            }
        }
        drop(a);
        drop(slot.take());
        assert!(b.handle().cancel() || !b.handle().is_live());
        b.run();
        drop(b);
        // Done, or reported, never both.
        assert_eq!(log.take().len() + reports.reasons().len(), 1, "{first} {second}");
    }
}

#[test]
fn a_cleanup_that_was_to_be_cut_and_was_spared_is_asked_again_by_the_next_request() {
    // The newer request is swallowed inside the cleanup, so the cut is off; a third one is a newer request again.
    struct Asked(Rc<Cell<u32>>, LocalBoxFuture<'static, ()>);
    impl Cleanup<()> for Asked {
        fn poll_cleanup(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            self.1.as_mut().poll(cx)
        }
        fn on_newer_request(self: Pin<&mut Self>) -> Newer {
            self.0.set(self.0.get() + 1);
            Newer::Cut
        }
    }
    let _reports = Reports::collect();
    let asked = Rc::new(Cell::new(0));
    let inside = async {
        // Has a cleanup of its own, so that the cut has to wait for it.
        let busy = try_finally(pending::<()>(), async || yield_times(2).await);
        catch_cancel(busy).await.unwrap_err();
        pending::<()>().await;
    };
    let cleanup = Asked(asked.clone(), inside.boxed_local());
    let mut task = TestTask::new(finally_with(pending::<()>(), cleanup));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none(), "spared");
    assert_eq!(asked.get(), 1);
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(asked.get(), 2);
}

#[test]
fn a_dropped_handle_and_a_second_body_leave_the_first_one_alone() {
    let handle = CancelScope::new();
    let mut first = Box::pin(handle.run(pending::<()>()));
    assert!(poll_up_to(first.as_mut(), 1).is_none());
    let mut second = Box::pin(handle.run(pending::<()>()));
    assert!(catch_unwind(AssertUnwindSafe(|| poll_up_to(second.as_mut(), 1))).is_err());
    drop(second);
    handle.cancel();
    assert!(matches!(poll_up_to(first.as_mut(), 1), Some(Err(_))));
    let reports = Reports::collect();
    drop(handle);
    drop(first);
    assert!(!reports.reasons().contains(&SkipReason::Dropped));
}
