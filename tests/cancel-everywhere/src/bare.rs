//! Operations that need no loop and wake themselves.

use std::future::Future;
use std::task::Poll;

use crate::case::{Case, Way, blame};
use crate::subject::{MOST_POINTS, Subject, Woken};

/// Cancels an operation at each of its suspension points, and calls `check` on what each run leaves behind.
///
/// `set_up` makes the scene and the operation in it, anew for each run. The operation is polled on this thread, with
/// no loop and no task around it, and must wake itself whenever it waits; for one that waits for others see
/// [`between_events`](crate::between_events). The last run is the one in which it comes through; the answer is how
/// many suspension points that had.
///
/// # Panics
///
/// When the operation waits and nobody has woken it, or never comes to its end; and as `check` does.
///
/// # Examples
///
/// See the [crate](crate).
pub fn bare<S, F: Future>(
    set_up: impl Fn() -> (S, F),
    check: impl Fn(S, Case<F::Output>),
) -> usize {
    for point in 0..=MOST_POINTS {
        for way in [Way::Dropped, Way::Requested] {
            let _blame = blame(way, point, 0);
            let (scene, operation) = set_up();
            let case = run(operation, point, way);
            let (way, passed) = (case.way, case.point);
            check(scene, case);
            if way == Way::Never {
                return passed;
            }
        }
    }
    panic!("the operation did not end at its suspension point {MOST_POINTS}");
}

/// Cancels the operation once it has come to `point`. Whatever wakes itself has been woken there.
fn run<F: Future>(operation: F, point: usize, way: Way) -> Case<F::Output> {
    let mut subject = Subject::new(way, operation);
    let woken = Woken::default();
    for passed in 0..point {
        if let Poll::Ready(output) = poll(&mut subject, &woken) {
            return Case { way: Way::Never, point: passed, events: 0, output };
        }
    }
    let case = Case { way, point, events: 0, output: None };
    let Some(mut left) = subject.cancel() else { return case };
    for _ in 0..MOST_POINTS {
        if let Poll::Ready(output) = poll(&mut left, &woken) {
            return Case { output, ..case };
        }
    }
    panic!("the operation does not end after it was asked to");
}

fn poll<F: Future>(subject: &mut Subject<F>, woken: &Woken) -> Poll<Option<F::Output>> {
    let polled = woken.poll(subject);
    assert!(polled.is_ready() || woken.take(), "the operation waits, and nobody wakes it");
    polled
}
