//! What a request to cancel says, and who hears it.

mod support;

use std::error::Error;
use std::fmt;
use std::future::{pending, ready};
use std::rc::Rc;

use asyncio_coro::{CancelScope, catch_cancel, yield_now};
use asyncio_task::{JoinError, TaskGroup, create_task, gather, shield};
use support::run;

fn message(error: &JoinError) -> Option<&str> {
    assert!(error.is_cancelled());
    error.cancel_message()
}

#[test]
fn the_newest_request_before_delivery_has_the_say() {
    run(async {
        let cancelled = async |requests: &[Option<&str>], is_started: bool| {
            let task = create_task(pending::<()>());
            if is_started {
                yield_now().await;
            }
            for request in requests {
                match request {
                    Some(message) => task.cancel_with(message),
                    None => task.cancel(),
                };
            }
            message(&task.await.unwrap_err()).map(String::from)
        };
        for is_started in [true, false] {
            assert_eq!(cancelled(&[None], is_started).await, None);
            assert_eq!(cancelled(&[Some("a")], is_started).await.as_deref(), Some("a"));
            assert_eq!(cancelled(&[Some("a"), Some("b")], is_started).await.as_deref(), Some("b"));
            assert_eq!(cancelled(&[Some("a"), None], is_started).await, None);
            assert_eq!(cancelled(&[None, Some("")], is_started).await.as_deref(), Some(""));
        }
    });
}

#[test]
fn what_a_request_says_need_not_be_text() {
    run(async {
        let task = create_task(pending::<()>());
        task.cancel_with(5);
        let error = task.await.unwrap_err();
        assert_eq!(message(&error), Some("5"));
        assert!(error.to_string().ends_with("was cancelled: 5"), "{error}");
    });
}

#[test]
fn a_named_task_keeps_its_name_and_a_message_its_task() {
    run(async {
        let task = create_task(pending::<()>());
        task.cancel_with("bye");
        task.set_name("late name");
        let error = task.await.unwrap_err();
        assert_eq!(error.to_string(), "task late name was cancelled: bye");
    });
}

#[test]
fn who_catches_a_cancellation_reads_the_message() {
    run(async {
        let task = create_task(async {
            let first = catch_cancel(pending::<()>()).await.unwrap_err();
            let second = catch_cancel(pending::<()>()).await.unwrap_err();
            [first, second].map(|error| error.message().map(String::from))
        });
        yield_now().await;
        task.cancel_with("once");
        yield_now().await;
        task.cancel();
        assert_eq!(task.await.unwrap(), [Some("once".into()), None]);
    });
}

#[test]
fn a_request_to_a_part_of_a_task_does_not_say_what_one_to_the_task_said() {
    run(async {
        let scope = Rc::new(CancelScope::new());
        let inner = scope.clone();
        let task = create_task(async move {
            let caught = catch_cancel(pending::<()>()).await.unwrap_err();
            assert_eq!(caught.message(), Some("to the task"));
            let caught = inner.run(catch_cancel(pending::<()>())).await.unwrap().unwrap_err();
            assert_eq!(caught.message(), None);
        });
        yield_now().await;
        task.cancel_with("to the task");
        yield_now().await;
        scope.cancel();
        task.await.unwrap();
    });
}

#[test]
fn a_message_is_handed_down_to_the_task_that_is_awaited() {
    run(async {
        let outer = create_task(async {
            let middle = create_task(async {
                let inner = create_task(async {
                    catch_cancel(pending::<()>()).await.unwrap_err().message().map(String::from)
                });
                inner.await.unwrap()
            });
            middle.await.unwrap()
        });
        for _ in 0..3 {
            yield_now().await;
        }
        outer.cancel_with("all of you");
        assert_eq!(outer.await.unwrap().as_deref(), Some("all of you"));
    });
}

#[test]
fn a_message_reaches_every_task_that_is_gathered() {
    run(async {
        let heard = || async {
            catch_cancel(pending::<()>()).await.unwrap_err().message().map(String::from)
        };
        let task = create_task(async move {
            let children = [0, 1].map(|_| create_task(heard()));
            let each = children.map(|child| async move { child.await.unwrap() });
            gather(each).await.unwrap()
        });
        for _ in 0..3 {
            yield_now().await;
        }
        task.cancel_with("gathered");
        // As in asyncio: that all children have swallowed it does not save who awaits them all.
        assert_eq!(message(&task.await.unwrap_err()), Some("gathered"));
    });
}

/// Behaviour: TSK-99.
#[test]
fn a_message_surfaces_through_a_gather_that_keeps_errors_as_values() {
    run(async {
        let task = create_task(async {
            let child = create_task(pending::<()>());
            // What `return_exceptions=True` is here: futures that give `Result`.
            gather([async { child.await.map_err(|error| error.to_string()) }]).await
        });
        yield_now().await;
        yield_now().await;
        task.cancel_with("my message");
        let error = task.await.unwrap_err();
        assert_eq!(message(&error), Some("my message"));
    });
}

#[test]
fn the_children_of_a_group_hear_nothing_and_its_task_does() {
    run(async {
        let task = create_task(TaskGroup::scope(async |group| {
            let mut child = group.create_task(async {
                let heard = catch_cancel(pending::<()>()).await.unwrap_err();
                assert_eq!(heard.message(), None, "the group has cancelled it");
                Ok::<_, std::io::Error>(())
            });
            shield(&mut child).await.map_err(std::io::Error::other)
        }));
        yield_now().await;
        yield_now().await;
        task.cancel_with("why");
        assert_eq!(message(&task.await.unwrap_err()), Some("why"));
    });
}

#[test]
fn a_message_that_came_too_late_is_not_taken() {
    run(async {
        let task = create_task(ready(7));
        yield_now().await;
        assert!(!task.cancel_with("late"));
        assert_eq!(task.await.unwrap(), 7);
    });
}

/// What a service makes of a task that it could not wait for.
#[derive(Debug)]
struct Interrupted(JoinError);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was interrupted")
    }
}

impl Error for Interrupted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Behaviour: TSK-32.
#[test]
fn the_awaiter_gets_the_very_cancellation_and_can_make_it_the_cause_of_its_own_error() {
    run(async {
        let task = create_task(pending::<()>());
        task.set_name("worker");
        let id = task.id();
        task.cancel_with("bye");
        let error = task.await.unwrap_err();
        assert!(error.source().is_none(), "it is the original one");
        let error = Interrupted(error);
        let cause = error.source().and_then(|cause| cause.downcast_ref::<JoinError>()).unwrap();
        assert_eq!((cause.id(), message(cause)), (id, Some("bye")));
        assert_eq!(cause.to_string(), "task worker was cancelled: bye");
    });
}
