//! Operations that need no loop and wait for what the test does.

use std::future::Future;
use std::task::Poll;

use crate::case::{Case, Way, blame};
use crate::subject::{MOST_POINTS, Subject, Woken};

/// Cancels an operation between any two of `events`, and calls `check` on what each run leaves behind.
///
/// `set_up` makes the scene and the operation in it, anew for each run. The operation is polled once, or not at all;
/// then come the first so many of `events`, after each of which it is polled or not, in all combinations; then it is
/// dropped or asked to end. So it is cancelled while it waits, when it has just been woken, when it was woken in vain,
/// and when it is done. What is asked to end and has a cleanup that waits gets the rest of the events, too.
///
/// # Panics
///
/// When the operation, asked to end, has not ended after the last event; and as `check` does.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use std::future::poll_fn;
/// use std::rc::Rc;
/// use std::task::Poll;
/// use asyncio_cancel_everywhere::between_events;
///
/// // Takes a coin when there is one; has none in hand while it waits.
/// let set_up = || {
///     let coins = Rc::new(Cell::new(0));
///     let till = coins.clone();
///     let take = poll_fn(move |_| match till.get() {
///         0 => Poll::Pending,
///         coins => Poll::Ready(till.set(coins - 1)),
///     });
///     (coins, take)
/// };
/// let pay: fn(&mut Rc<Cell<i32>>) = |coins| coins.set(coins.get() + 1);
/// between_events(set_up, &[pay, pay], |coins, case| {
///     let taken = i32::from(case.output.is_some());
///     assert_eq!(coins.get() + taken, case.events as i32, "a coin is lost");
/// });
/// ```
pub fn between_events<S, F: Future>(
    set_up: impl Fn() -> (S, F),
    events: &[fn(&mut S)],
    check: impl Fn(&mut S, Case<F::Output>),
) {
    assert!(events.len() < 16, "each event doubles the runs");
    for way in [Way::Dropped, Way::Requested] {
        for first_poll in [false, true] {
            for count in 0..=events.len() {
                for polls in 0..1_u32 << count {
                    let _blame = blame(way, usize::from(first_poll), count);
                    let (mut scene, operation) = set_up();
                    let plan = Plan { way, first_poll, count, polls };
                    let case = plan.run(&mut scene, operation, events);
                    check(&mut scene, case);
                }
            }
        }
    }
}

/// What happens in one run.
struct Plan {
    way: Way,
    first_poll: bool,
    /// How many events come before the end.
    count: usize,
    /// Bit n: is it polled after event n?
    polls: u32,
}

impl Plan {
    fn run<S, F: Future>(
        self,
        scene: &mut S,
        operation: F,
        events: &[fn(&mut S)],
    ) -> Case<F::Output> {
        let mut subject = Subject::new(self.way, operation);
        let woken = Woken::default();
        let mut case = Case { way: self.way, point: 0, events: 0, output: None };
        let poll = |subject: &mut Subject<F>, case: &mut Case<F::Output>| {
            let polled = woken.poll(subject);
            match polled {
                Poll::Ready(output) => case.output = output,
                Poll::Pending => case.point += 1,
            }
            case.output.is_some()
        };
        let mut is_over = self.first_poll && poll(&mut subject, &mut case);
        for (number, event) in events[..self.count].iter().enumerate() {
            event(scene);
            case.events += 1;
            is_over = is_over || (self.polls >> number & 1 == 1 && poll(&mut subject, &mut case));
        }
        if is_over {
            case.way = Way::Never;
            return case;
        }
        let Some(mut left) = subject.cancel() else { return case };
        for _ in 0..MOST_POINTS {
            if let Poll::Ready(output) = woken.poll(&mut left) {
                case.output = output;
                return case;
            }
            if !woken.take() {
                // Its cleanup waits for the others.
                let Some(event) = events.get(case.events) else { break };
                event(scene);
                case.events += 1;
            }
        }
        panic!("the operation has not ended after it was asked to, nor after the last event");
    }
}
