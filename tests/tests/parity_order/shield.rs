//! What a shield keeps from whom.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use asyncio::task::TaskRef;
use asyncio::{
    Task, TaskGroup, catch_cancel, create_task, current_task, shield, sleep, timeout, try_finally,
};

use crate::twin::{FOR_EVER, Log, cleaning, ended, handle_on, member, py, same, units};

#[test]
fn a_shield_keeps_requests_from_the_task_inside_as_in_cpython() {
    fn work(log: &Log, name: &'static str, delay: Duration) -> Task<&'static str> {
        let member = member(log, name, delay, false);
        create_task(async move { member.await.expect("it does not fail") })
    }

    async fn shielding(log: &Log, task: &mut Task<&'static str>) -> bool {
        log.line("shielding waits");
        let body = async {
            match shield(task).await {
                Ok(value) => {
                    log.line(format!("shielding got {value}"));
                    false
                }
                Err(error) => error.is_cancelled(),
            }
        };
        try_finally(body, async || log.line("shielding unwinds")).await
    }

    same(include_str!("../../parity/shield.log"), |log, _, _| async move {
        let inner = Rc::new(RefCell::new(Some(work(&log, "inner", units(3)))));
        let outer = create_task({
            let (log, inner) = (log.clone(), inner.clone());
            async move {
                let mut lent = Lent(inner.take(), inner);
                shielding(&log, lent.0.as_mut().expect("it is there")).await
            }
        });
        sleep(units(1)).await;
        outer.cancel();
        let outer = ended(outer).await;
        let inner = inner.take().expect("it is back");
        let (cancelled, done) = (outer.cancelled(), inner.done());
        log.line(format!("outer cancelled: {}, inner done: {}", py(cancelled), py(done)));
        log.line(format!("inner gives {}", inner.await.unwrap()));

        let mut inner = work(&log, "timed", units(3));
        if timeout(units(1), shield(&mut inner)).await.is_err() {
            log.line("timed out");
        }
        log.line(format!("timed gives {}", inner.await.unwrap()));

        // Here the cancellation of the awaited task is an error, which says what it is.
        let mut inner = work(&log, "target", FOR_EVER);
        let target = handle_on(&inner);
        let told = TaskGroup::scope(async |group| {
            let outer =
                group.create_task(async { Ok::<_, &str>(shielding(&log, &mut inner).await) });
            sleep(units(1)).await;
            target.cancel();
            Ok(outer.await.expect("it gives what it was told"))
        });
        let told = told.await.expect("nobody fails");
        log.line(format!(
            "inner cancelled: {}, outer cancelled: {}",
            py(inner.cancelled()),
            py(told)
        ));

        let mut inner = ended(work(&log, "ready", units(0))).await;
        log.line(format!("shield of a done task gives {}", shield(&mut inner).await.unwrap()));
    });
}

/// Puts the task back when the one that borrowed it unwinds.
struct Lent<T>(Option<Task<T>>, Rc<RefCell<Option<Task<T>>>>);

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        self.1.replace(self.0.take());
    }
}

#[test]
fn a_shield_has_both_sides_cancelled_as_in_cpython() {
    type Shared = Rc<RefCell<Option<Task<()>>>>;

    /// The task, which goes from hand to hand.
    fn work(log: &Log, name: &'static str, delay: u64, cleanup: u64) -> (Shared, TaskRef) {
        let task = create_task(cleaning(log.clone(), name, units(delay), units(cleanup)));
        let handle = handle_on(&task);
        (Rc::new(RefCell::new(Some(task))), handle)
    }

    fn shielding(log: &Log, inner: &Shared) -> Task<()> {
        let (log, inner) = (log.clone(), inner.clone());
        create_task(async move {
            let mut lent = Lent(inner.take(), inner);
            let told = catch_cancel(shield(lent.0.as_mut().expect("it is there"))).await;
            if told.is_err() {
                let cancelling = current_task().expect("it is one").cancelling();
                log.line(format!("outer is told, cancelling: {cancelling}"));
            }
            log.line("outer unwinds");
        })
    }

    async fn end(inner: &Shared) -> Task<()> {
        let task = inner.take().expect("it is back");
        ended(task).await
    }

    same(include_str!("../../parity/shield_both.log"), |log, _, _| async move {
        let (shared, inner) = work(&log, "both", 5, 2);
        let outer = shielding(&log, &shared);
        sleep(units(1)).await;
        log.line(format!("cancel: {}, {}", py(outer.cancel()), py(inner.cancel())));
        sleep(units(1)).await;
        log.line(format!("outer done: {}, inner done: {}", py(outer.done()), py(inner.done())));
        log.line(format!("inner cancelled: {}", py(end(&shared).await.cancelled())));

        let (shared, inner) = work(&log, "in turn", 5, 3);
        let outer = shielding(&log, &shared);
        sleep(units(1)).await;
        log.line(format!("cancel: {}", py(inner.cancel())));
        sleep(units(1)).await;
        log.line(format!("outer done: {}", py(outer.done())));
        log.line(format!("cancel: {}", py(outer.cancel())));
        ended(outer).await;
        log.line(format!("inner done: {}", py(inner.done())));
        log.line(format!("inner cancelled: {}", py(end(&shared).await.cancelled())));

        let mut inner = create_task(cleaning(log.clone(), "shared", units(3), units(0)));
        for times in ["once", "twice"] {
            if timeout(units(1), shield(&mut inner)).await.is_err() {
                log.line(format!("timed out {times}"));
            }
        }
        shield(&mut inner).await.unwrap();
        log.line("got shared");

        let (shared, inner) = work(&log, "kept", 5, 0);
        let outer = create_task({
            let (log, shared) = (log.clone(), shared.clone());
            async move {
                try_finally(sleep(FOR_EVER), async || {
                    log.line("outer cleans up");
                    let mut lent = Lent(shared.take(), shared.clone());
                    shield(lent.0.as_mut().expect("it is there")).await.unwrap();
                    log.line("not reached");
                })
                .await;
            }
        });
        sleep(units(1)).await;
        outer.cancel();
        sleep(units(1)).await;
        log.line(format!("cancel: {}", py(outer.cancel())));
        let cancelled = ended(outer).await.cancelled();
        log.line(format!("outer cancelled: {}, inner done: {}", py(cancelled), py(inner.done())));
        end(&shared).await.await.unwrap();
        log.line("inner gives kept");
    });
}
