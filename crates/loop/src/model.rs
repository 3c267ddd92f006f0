//! Every interleaving of what threads meet at, on loom's models; `cargo xtask ci` says how.

use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::{self, Thread};

use crate::turn::Turn;
use crate::wakeup::Wakeup;

/// Tries all interleavings with at most `preemptions` of them where a thread could have gone on.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_duration = Some(Duration::from_secs(60));
    builder.check(model);
}

/// A loop as other threads see it. The queue promises less than the real one: its length is no order between threads.
struct Door {
    pushed: AtomicUsize,
    wakeup: Wakeup,
    /// The loop's thread. To notify it is to unpark it: as with an eventfd, that stays until the next wait.
    waits: Thread,
}

impl Door {
    fn new() -> Arc<Self> {
        let waits = thread::current();
        Arc::new(Door { pushed: AtomicUsize::new(0), wakeup: Wakeup::new(), waits })
    }

    fn push(&self) {
        self.pushed.fetch_add(1, Ordering::Relaxed);
        self.wakeup.wake(|| self.waits.unpark());
    }

    /// The loop: takes what is there, sleeps if there is nothing, until it has had `count`. With a wake lost it sleeps for
    /// ever, which loom reports as a deadlock.
    fn run(&self, count: usize) {
        let mut taken = 0;
        while taken < count {
            if self.wakeup.fall_asleep(|| self.pushed.load(Ordering::Relaxed) == 0) {
                thread::park();
            }
            self.wakeup.wake_up();
            taken += self.pushed.swap(0, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_push_never_leaves_the_loop_asleep() {
    check(4, || {
        let door = Door::new();
        let other = door.clone();
        let pusher = thread::spawn(move || other.push());
        door.run(1);
        pusher.join().unwrap();
    });
}

#[test]
fn two_pushes_never_leave_the_loop_asleep() {
    check(3, || {
        let door = Door::new();
        let pushers = [(); 2].map(|()| {
            let door = door.clone();
            thread::spawn(move || door.push())
        });
        door.run(2);
        for pusher in pushers {
            pusher.join().unwrap();
        }
    });
}

#[test]
fn one_thread_that_pushes_twice_never_leaves_the_loop_asleep() {
    check(3, || {
        let door = Door::new();
        let other = door.clone();
        let pusher = thread::spawn(move || {
            other.push();
            other.push();
        });
        door.run(2);
        pusher.join().unwrap();
    });
}

/// A callback that notes that it begins and that it ends.
fn noted() -> (Arc<AtomicUsize>, Arc<Turn<impl FnOnce() + Send>>) {
    let stage = Arc::new(AtomicUsize::new(0));
    let turn = {
        let stage = stage.clone();
        Arc::new(Turn::new(move || {
            stage.store(1, Ordering::Relaxed);
            thread::yield_now();
            stage.store(2, Ordering::Relaxed);
        }))
    };
    (stage, turn)
}

#[test]
fn after_a_cancel_the_callback_has_run_to_its_end_or_never_runs() {
    check(4, || {
        let (stage, turn) = noted();
        let runner = {
            let turn = turn.clone();
            thread::spawn(move || turn.run(|callback| callback()))
        };
        turn.cancel();
        let seen = stage.load(Ordering::Relaxed);
        assert!(seen == 0 || seen == 2, "it ran on while it was cancelled");
        assert!(turn.cancelled());
        runner.join().unwrap();
        assert_eq!(stage.load(Ordering::Relaxed), seen, "it ran after it was cancelled");
    });
}

#[test]
fn whoever_asks_or_cancels_is_let_go_when_the_callback_has_returned() {
    check(3, || {
        let (stage, turn) = noted();
        let runner = {
            let turn = turn.clone();
            thread::spawn(move || turn.run(|callback| callback()))
        };
        let canceller = {
            let turn = turn.clone();
            thread::spawn(move || turn.cancel())
        };
        if turn.cancelled() {
            assert_ne!(stage.load(Ordering::Relaxed), 1, "it runs and is cancelled");
        }
        runner.join().unwrap();
        canceller.join().unwrap();
    });
}

#[test]
fn a_callback_that_cancels_itself_does_not_wait_for_itself() {
    check(3, || {
        let turn = Arc::new(Turn::new(()));
        let other = turn.clone();
        let asker = thread::spawn(move || other.cancelled());
        turn.run(|()| {
            turn.cancel();
            assert!(turn.cancelled());
        });
        asker.join().unwrap();
    });
}
