//! Context variables: what a set reaches and what it does not, and which context is current.

mod driver;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;

use asyncio_coro::context::{Captured, Context, ContextVar, ResetError, copy_context};
use asyncio_coro::hooks::Report;
use asyncio_coro::{current_task, generator, yield_now};

use driver::{Log, Reports, TestTask};

static NUMBER: ContextVar<u32> = ContextVar::new("number");
static OTHER: ContextVar<u32> = ContextVar::new("other");
static LEVEL: ContextVar<String> = ContextVar::with_default("level", || "info".to_owned());

/// Sets the variable, and forgets what it was.
fn set(number: u32) {
    drop(NUMBER.set(number));
}

#[test]
fn a_variable_without_a_value_has_its_default_or_none() {
    assert_eq!(NUMBER.get(), None);
    assert_eq!(NUMBER.with(|number| number.copied()), None);
    assert_eq!(LEVEL.get().as_deref(), Some("info"));
    assert_eq!(LEVEL.with(|level| level.map(String::len)), Some(4));
    assert!(copy_context().is_empty(), "a default is no value");
    LEVEL.set("debug".to_owned());
    assert_eq!(LEVEL.get().as_deref(), Some("debug"));
}

#[test]
fn a_token_takes_back_what_was_set_and_all_that_was_set_since() {
    let first = NUMBER.set(1);
    let second = NUMBER.set(2);
    NUMBER.set(3);
    assert_eq!((first.old_value(), second.old_value()), (None, Some(1)));
    NUMBER.reset(second).unwrap();
    assert_eq!(NUMBER.get(), Some(1));
    NUMBER.reset(first).unwrap();
    assert_eq!(NUMBER.get(), None);
    assert!(copy_context().names().is_empty());
}

#[test]
fn tokens_may_be_used_in_any_order() {
    let first = NUMBER.set(1);
    let second = NUMBER.set(2);
    NUMBER.reset(first).unwrap();
    assert_eq!(NUMBER.get(), None);
    NUMBER.reset(second).unwrap();
    assert_eq!(NUMBER.get(), Some(1));
}

#[test]
fn a_token_of_another_variable_or_context_is_refused_and_handed_back() {
    let token = NUMBER.set(1);
    OTHER.set(10);
    let Err(error) = OTHER.reset(token) else { panic!("it is another variable's") };
    assert_eq!(error.to_string(), "the token is another variable's");
    assert!(matches!(error, ResetError::WrongVariable(_)));
    let copy = copy_context();
    let Err(error) = copy.run(|| NUMBER.reset(error.into_token())) else {
        panic!("it was made in another context")
    };
    assert!(error.to_string().starts_with("the token was made in another context"));
    assert!(matches!(error, ResetError::WrongContext(_)));
    assert_eq!((NUMBER.get(), OTHER.get()), (Some(1), Some(10)), "nothing was changed");
    NUMBER.reset(error.into_token()).unwrap();
    assert_eq!(NUMBER.get(), None);
}

#[test]
fn a_token_is_good_in_every_call_into_its_context() {
    let context = Context::new();
    let token = context.run(|| NUMBER.set(1));
    context.run(|| NUMBER.reset(token)).unwrap();
    assert!(context.is_empty());
}

#[test]
fn a_copy_and_its_original_do_not_see_each_others_changes() {
    NUMBER.set(1);
    OTHER.set(10);
    let copy = copy_context();
    NUMBER.set(2);
    copy.run(|| OTHER.set(20));
    assert_eq!((NUMBER.get(), OTHER.get()), (Some(2), Some(10)));
    assert_eq!((copy.get(&NUMBER), copy.get(&OTHER)), (Some(1), Some(20)));
    let second = copy.copy();
    let token = copy.run(|| NUMBER.set(3));
    copy.run(|| NUMBER.reset(token)).unwrap();
    second.run(|| NUMBER.set(4));
    assert_eq!((copy.get(&NUMBER), second.get(&NUMBER)), (Some(1), Some(4)));
    assert_eq!(copy.len(), 2);
}

#[test]
fn contexts_nest_and_the_inner_one_is_left_again() {
    let (outer, inner) = (Context::new(), Context::new());
    outer.run(|| {
        NUMBER.set(1);
        inner.run(|| {
            assert_eq!(NUMBER.get(), None);
            NUMBER.set(2);
        });
        assert_eq!(NUMBER.get(), Some(1));
    });
    assert_eq!(NUMBER.get(), None);
    assert_eq!((outer.get(&NUMBER), inner.get(&NUMBER)), (Some(1), Some(2)));
}

#[test]
fn a_context_that_is_entered_may_be_entered_again() {
    let context = Context::new();
    context.run(|| {
        NUMBER.set(1);
        Context::new().run(|| context.run(|| NUMBER.set(2)));
        assert_eq!(NUMBER.get(), Some(2));
        assert!(Context::current().ptr_eq(&context));
    });
}

#[test]
fn a_panic_leaves_the_context_it_was_in() {
    let context = Context::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        context.run(|| {
            NUMBER.set(1);
            Captured::empty().run(|| panic!("in a context"));
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(NUMBER.get(), None);
    assert_eq!(context.get(&NUMBER), Some(1));
}

#[test]
fn the_current_context_is_one_and_the_same_until_it_is_left() {
    let thread = Context::current();
    assert!(thread.ptr_eq(&Context::current()));
    NUMBER.set(1);
    assert_eq!(thread.get(&NUMBER), Some(1));
    thread.run(|| NUMBER.set(2));
    assert_eq!(NUMBER.get(), Some(2));
    assert!(!thread.ptr_eq(&copy_context()));
}

#[test]
fn each_thread_has_its_own_values_of_a_variable() {
    NUMBER.set(1);
    let seen = std::thread::spawn(|| {
        let before = NUMBER.get();
        NUMBER.set(2);
        (before, NUMBER.get())
    });
    assert_eq!(seen.join().unwrap(), (None, Some(2)));
    assert_eq!(NUMBER.get(), Some(1));
}

#[test]
fn a_task_begins_with_its_makers_values_and_keeps_its_changes() {
    NUMBER.set(1);
    let mut task = TestTask::new(async {
        let before = NUMBER.get();
        NUMBER.set(10);
        yield_now().await;
        (before, NUMBER.get())
    });
    NUMBER.set(2); // after the copy, before the first step
    assert!(task.step().is_none());
    assert_eq!(NUMBER.get(), Some(2));
    assert!(matches!(task.step(), Some(Ok((Some(1), Some(10))))));
    assert_eq!(NUMBER.get(), Some(2));
}

#[test]
fn the_first_set_on_a_thread_may_be_in_a_task_and_stays_there() {
    let seen = || (NUMBER.get(), copy_context().len());
    let mut before = TestTask::new(async { seen() });
    let mut task = TestTask::new(async {
        NUMBER.set(1);
        yield_now().await;
        NUMBER.get()
    });
    assert!(task.step().is_none());
    assert_eq!(seen(), (None, 0));
    assert!(matches!(before.step(), Some(Ok((None, 0)))));
    assert!(matches!(task.step(), Some(Ok(Some(1)))));
}

#[test]
fn a_context_that_is_given_is_shared_with_the_task() {
    let context = Context::new();
    let shared = context.clone();
    let mut task = TestTask::new_in(
        async {
            NUMBER.set(1);
            assert!(Context::current().ptr_eq(&current_task().unwrap().get_context().unwrap()));
            yield_now().await;
            NUMBER.get()
        },
        Captured::from(shared),
    );
    assert!(task.handle().get_context().unwrap().ptr_eq(&context), "before its first step");
    assert!(task.step().is_none());
    assert!(task.handle().get_context().unwrap().ptr_eq(&context));
    assert_eq!(context.get(&NUMBER), Some(1));
    context.run(|| NUMBER.set(2));
    assert!(matches!(task.step(), Some(Ok(Some(2)))));
    assert!(task.handle().get_context().is_none(), "it has ended");
    assert_eq!(context.get(&NUMBER), Some(2));
}

#[test]
fn a_tasks_context_can_be_changed_before_its_first_step() {
    let mut task = TestTask::new(async { NUMBER.get() });
    let context = task.handle().get_context().unwrap();
    assert!(context.ptr_eq(&task.handle().get_context().unwrap()));
    context.run(|| NUMBER.set(1));
    assert!(matches!(task.step(), Some(Ok(Some(1)))));
}

#[test]
fn a_task_polled_inside_another_has_its_own_context_and_leaves_the_outer_one() {
    NUMBER.set(1);
    let mut outer = TestTask::new(async {
        NUMBER.set(2);
        let entered = Context::new();
        entered.run(|| {
            NUMBER.set(3);
            let mut inner = TestTask::new(async {
                assert_eq!(NUMBER.get(), Some(3));
                NUMBER.set(4);
                Context::new().run(|| assert_eq!(NUMBER.get(), None));
                NUMBER.get()
            });
            assert!(matches!(inner.step(), Some(Ok(Some(4)))));
            assert_eq!(NUMBER.get(), Some(3));
        });
        assert_eq!(NUMBER.get(), Some(2));
    });
    assert!(matches!(outer.step(), Some(Ok(()))));
    assert_eq!(NUMBER.get(), Some(1));
}

#[test]
fn a_future_without_a_task_runs_in_the_context_of_its_thread() {
    NUMBER.set(1);
    futures_lite::future::block_on(async {
        yield_now().await;
        assert_eq!(NUMBER.get(), Some(1));
        NUMBER.set(2);
    });
    assert_eq!(NUMBER.get(), Some(2));
}

#[test]
fn a_future_can_be_given_a_context_which_it_is_also_dropped_in() {
    let seen = Rc::new(Cell::new(None));
    let context = Context::new();
    {
        let on_drop = OnDrop(|| seen.set(NUMBER.get()));
        let session = context.run_in(async move {
            let _on_drop = on_drop;
            NUMBER.set(7);
            pending::<()>().await;
        });
        let mut session = pin!(session);
        futures_lite::future::block_on(futures_lite::future::poll_once(session.as_mut()));
        assert_eq!(NUMBER.get(), None);
        assert!(session.context().ptr_eq(&context));
    }
    assert_eq!(seen.get(), Some(7));
}

#[test]
fn a_task_that_is_dropped_runs_its_destructors_in_its_own_context() {
    NUMBER.set(1);
    let log = Rc::new(RefCell::new(Vec::new()));
    let body = |number: u32| {
        let log = log.clone();
        let on_drop = OnDrop(move || log.borrow_mut().push((number, NUMBER.get().unwrap())));
        async move {
            let _on_drop = on_drop;
            NUMBER.set(number);
            pending::<()>().await;
        }
    };
    let mut started = TestTask::new(body(2));
    assert!(started.step().is_none());
    drop(started);
    let unstarted = TestTask::new(body(3));
    NUMBER.set(4);
    drop(unstarted);
    let mut cancelled = TestTask::new(body(5));
    cancelled.handle().cancel();
    NUMBER.set(6);
    assert!(cancelled.step().is_some());
    assert_eq!(*log.borrow(), [(2, 2), (3, 1), (5, 4)]);
}

#[test]
fn the_values_of_a_task_go_with_it() {
    static HELD: ContextVar<Rc<()>> = ContextVar::new("held");
    let value = Rc::new(());
    HELD.set(value.clone());
    let mut task = TestTask::new(pending::<()>());
    drop(HELD.set(Rc::new(())));
    assert!(task.step().is_none());
    assert_eq!(Rc::strong_count(&value), 2);
    drop(task);
    assert_eq!(Rc::strong_count(&value), 1);
    // Also those of one that never began, and of a handle that was made of it.
    HELD.set(value.clone());
    let task = TestTask::new(pending::<()>());
    let context = task.handle().get_context().unwrap();
    drop(HELD.set(Rc::new(())));
    drop(task);
    assert_eq!(Rc::strong_count(&value), 2);
    drop(context);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn a_value_may_use_its_variable_while_it_is_cloned_or_dropped() {
    #[derive(Debug)]
    struct Busy(u32);
    static BUSY: ContextVar<Busy> = ContextVar::new("busy");
    thread_local!(static LOG: Log = Log::default());
    impl Clone for Busy {
        fn clone(&self) -> Self {
            LOG.with(|log| log.push("cloned"));
            if self.0 == 1 {
                drop(BUSY.set(Busy(2))); // drops the value that is being cloned, once the clone is made
            }
            Busy(self.0)
        }
    }
    impl Drop for Busy {
        fn drop(&mut self) {
            LOG.with(|log| log.push("dropped"));
            if self.0 == 3 {
                drop(BUSY.set(Busy(4)));
            }
        }
    }
    let context = Context::new();
    context.run(|| {
        drop(BUSY.set(Busy(1)));
        assert_eq!(BUSY.get().unwrap().0, 1);
        assert_eq!(BUSY.with(|busy| busy.map(|busy| busy.0)), Some(2));
        let token = BUSY.set(Busy(3));
        BUSY.reset(token).unwrap(); // drops 3, which sets 4 over what was reset
        assert_eq!(BUSY.with(|busy| busy.map(|busy| busy.0)), Some(4));
    });
    LOG.with(Log::take);
    drop(context);
    assert_eq!(LOG.with(Log::take), ["dropped"]);
}

#[test]
fn a_value_whose_destructor_panics_is_reported_and_the_others_are_dropped() {
    static LOUD: ContextVar<OnDrop<fn()>> = ContextVar::new("loud");
    static QUIET: ContextVar<Rc<()>> = ContextVar::new("quiet");
    let reports = Reports::collect();
    let value = Rc::new(());
    let mut task = TestTask::new(async {
        LOUD.set(OnDrop(|| panic!("at the end")));
        QUIET.set(value.clone());
    });
    assert!(matches!(task.step(), Some(Ok(()))));
    drop(task);
    assert_eq!(Rc::strong_count(&value), 1);
    let reports = reports.take();
    assert!(
        matches!(&reports[..], [Report::DropPanicked { message, .. }] if message == "at the end")
    );
}

#[test]
fn values_that_are_dropped_with_their_thread_may_still_look_at_variables() {
    static LAST: ContextVar<OnDrop<fn()>> = ContextVar::new("last");
    let ended = std::thread::spawn(|| {
        LAST.set(OnDrop(|| {
            assert_eq!(NUMBER.get(), None);
            drop(NUMBER.set(1));
            Context::current().run(|| ());
        }));
    });
    ended.join().unwrap();
}

#[test]
fn what_is_captured_runs_in_a_copy_and_keeps_what_it_sets() {
    NUMBER.set(1);
    let captured = Captured::copy();
    NUMBER.set(2);
    assert_eq!(captured.run(|| NUMBER.set(3).old_value()), Some(1));
    assert_eq!(captured.run(|| NUMBER.get()), Some(3));
    assert_eq!(NUMBER.get(), Some(2));
}

#[test]
fn what_was_captured_before_anybody_set_anything_runs_in_an_empty_context() {
    let (first, second) = (Captured::copy(), Captured::copy());
    first.run(|| {
        NUMBER.set(1); // the first on this thread
        assert_eq!(NUMBER.get(), Some(1));
        assert_eq!(copy_context().len(), 1);
    });
    assert_eq!(NUMBER.get(), None);
    NUMBER.set(2);
    second.run(|| {
        assert_eq!(NUMBER.get(), None);
        OTHER.set(3);
    });
    assert_eq!((NUMBER.get(), OTHER.get()), (Some(2), None));
}

#[test]
fn what_was_captured_before_anybody_set_anything_does_not_touch_the_task_it_runs_in() {
    let mut task = TestTask::new(async {
        Captured::empty().run(|| drop(NUMBER.set(1)));
        NUMBER.get()
    });
    assert!(matches!(task.step(), Some(Ok(None))));
}

#[test]
fn a_generator_runs_in_the_context_of_whoever_polls_it() {
    let numbers = generator(async |y| {
        loop {
            let before = NUMBER.get();
            set(before.unwrap() + 1);
            y.yield_(before).await;
        }
    });
    let mut numbers = Some(numbers);
    let mut next = |number| {
        let mut polled = numbers.take().unwrap();
        let mut task = TestTask::new(async move {
            set(number);
            let before = polled.next().await.flatten();
            (polled, before, NUMBER.get())
        });
        let (polled, before, after) = task.step().unwrap().map_err(drop).unwrap();
        numbers = Some(polled);
        (before, after)
    };
    assert_eq!((next(1), next(10)), ((Some(1), Some(2)), (Some(10), Some(11))));
    assert_eq!(NUMBER.get(), None);
}

#[test]
fn two_variables_of_one_name_are_two_variables_and_both_have_it() {
    let (first, second) = (ContextVar::<u32>::new("twin"), ContextVar::<u32>::new("twin"));
    let context = Context::new();
    context.run(|| (drop(first.set(1)), drop(second.set(2))));
    assert_eq!((context.get(&first), context.get(&second)), (Some(1), Some(2)));
    assert_eq!(context.names(), ["twin", "twin"]);
    assert_eq!(format!("{context:?}"), r#"Context { names: ["twin", "twin"], .. }"#);
    assert_eq!(format!("{first:?}"), r#"ContextVar { name: "twin", .. }"#);
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
