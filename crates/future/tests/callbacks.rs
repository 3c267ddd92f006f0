//! Done callbacks: when, in which order, and how they are taken back.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use asyncio_coro::{Context, ContextVar, yield_now};
use asyncio_future::Future;
use asyncio_loop::{EventLoop, get_running_loop, run, testing};

type Log<T> = Rc<RefCell<Vec<T>>>;

fn note<T: 'static, V>(log: &Log<T>, entry: T) -> impl FnOnce(&Future<V>) + 'static {
    let log = Rc::clone(log);
    move |_| log.borrow_mut().push(entry)
}

/// Behaviour: FUT-19.
#[test]
fn callbacks_run_in_order_on_the_next_tick_and_never_inline() {
    type Fails = Future<Result<u8, &'static str>>;
    let ways: [fn(&Fails); 3] = [
        |future| assert!(future.cancel()),
        |future| future.set_result(Ok(1)).unwrap(),
        |future| future.set_exception("broken").unwrap(),
    ];
    for complete in ways {
        let event_loop = EventLoop::new().unwrap();
        let future = Fails::new_in(&event_loop);
        let log = Log::default();
        for number in 0..4 {
            future.add_done_callback(note(&log, number));
        }
        complete(&future);
        assert!(log.borrow().is_empty());
        testing::run_once(&event_loop).unwrap();
        assert_eq!(*log.borrow(), [0, 1, 2, 3]);
        future.cancel(); // nobody wants to hear of the exception
        event_loop.close().unwrap();
    }
}

#[test]
fn a_callback_added_when_done_is_scheduled_at_once_and_not_inline() {
    let event_loop = EventLoop::new().unwrap();
    let future = Future::new_in(&event_loop);
    future.set_result(7).unwrap();
    let seen = Rc::new(Cell::new(0));
    let sink = Rc::clone(&seen);
    let id = future.add_done_callback(move |future| sink.set(future.result().unwrap()));
    assert_eq!(seen.get(), 0);
    assert!(!future.remove_done_callback(id), "what is scheduled is not taken back");
    testing::run_once(&event_loop).unwrap();
    assert_eq!(seen.get(), 7);
    event_loop.close().unwrap();
}

/// Behaviour: FUT-20.
#[test]
fn callbacks_are_removed_by_their_id_once() {
    for removed in [&[0][..], &[0, 1], &[2], &[1], &[0, 1, 2], &[2, 0]] {
        let future = Future::<u8>::new();
        let log = Log::default();
        let ids = [0, 1, 2].map(|number| future.add_done_callback(note(&log, number)));
        for &number in removed {
            assert!(future.remove_done_callback(ids[number]));
            assert!(!future.remove_done_callback(ids[number]), "removing again is harmless");
        }
        future.cancel();
        let left = Vec::from_iter((0..3).filter(|number| !removed.contains(number)));
        assert_eq!(*log.borrow(), left);
        for id in ids {
            assert!(!future.remove_done_callback(id));
        }
    }
}

#[test]
fn of_many_callbacks_any_can_be_removed_and_the_order_stays() {
    let future = Future::<u8>::new();
    let log = Log::default();
    let ids = Vec::from_iter((0..1000).map(|n| future.add_done_callback(note(&log, n))));
    // From both ends inwards, so that the list shrinks under the ids that are still to go.
    for number in (0..500).flat_map(|n| [n, 999 - n]).filter(|n| n % 7 != 3) {
        assert!(future.remove_done_callback(ids[number]));
        assert!(!future.remove_done_callback(ids[number]));
    }
    future.cancel();
    assert_eq!(*log.borrow(), Vec::from_iter((0..1000).filter(|n| n % 7 == 3)));
}

/// The order that asyncio has because a waiting task is a callback there.
#[test]
fn awaiters_and_callbacks_are_served_in_the_order_in_which_they_came() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    event_loop
        .run_until_complete(async {
            let future = Future::new();
            future.add_done_callback(note(&log, "first callback"));
            let setter = future.clone();
            let late = note(&log, "second callback");
            let second = future.clone();
            get_running_loop().unwrap().call_soon(move || {
                // By now the main future waits.
                second.add_done_callback(late);
                setter.set_result(1).unwrap();
            });
            future.await.unwrap();
            log.borrow_mut().push("awaiter");
        })
        .unwrap();
    assert_eq!(*log.borrow(), ["first callback", "awaiter", "second callback"]);
    event_loop.close().unwrap();
}

#[test]
fn callbacks_run_inline_where_there_is_no_loop() {
    let future = Future::new();
    let log = Log::default();
    future.add_done_callback(note(&log, 1));
    future.set_result(0).unwrap();
    assert_eq!(*log.borrow(), [1]);
    future.add_done_callback(note(&log, 2));
    assert_eq!(*log.borrow(), [1, 2]);
}

#[test]
fn inline_a_panic_comes_out_after_the_others_have_run() {
    let future = Future::new();
    let log = Log::default();
    future.add_done_callback(|_| panic!("meant to"));
    future.add_done_callback(note(&log, 2));
    let setter = AssertUnwindSafe(|| future.set_result(1).unwrap());
    let payload = catch_unwind(setter).unwrap_err();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "meant to");
    assert_eq!(*log.borrow(), [2]);
    assert_eq!(future.result(), Ok(1));
}

#[test]
fn on_a_loop_a_panic_is_reported_and_the_others_run() {
    let event_loop = EventLoop::new().unwrap();
    let reports = Rc::new(Cell::new(0));
    let count = Rc::clone(&reports);
    event_loop.set_exception_handler(move |_, _| count.set(count.get() + 1));
    let future = Future::new_in(&event_loop);
    let log = Log::default();
    future.add_done_callback(|_| panic!("meant to"));
    future.add_done_callback(note(&log, 2));
    future.set_result(1).unwrap();
    testing::run_once(&event_loop).unwrap();
    assert_eq!((reports.get(), log.borrow().len()), (1, 1));
    event_loop.close().unwrap();
}

#[test]
fn callbacks_may_use_and_change_the_future_that_calls_them() {
    let future = Future::new();
    let log = Log::default();
    let inner = Rc::clone(&log);
    future.add_done_callback(move |future| {
        assert!(!future.cancel());
        future.add_done_callback(note(&inner, future.take_result().unwrap()));
    });
    future.set_result(9).unwrap();
    assert_eq!(*log.borrow(), [9]);
}

#[test]
fn a_closed_loop_drops_the_callbacks() {
    let event_loop = EventLoop::new().unwrap();
    let future = Future::<u8>::new_in(&event_loop);
    event_loop.close().unwrap();
    let witness = Rc::new(());
    let seen = Rc::clone(&witness);
    future.add_done_callback(move |_| unreachable!("{seen:?}"));
    assert!(future.cancel());
    assert_eq!(Rc::strong_count(&witness), 1);
}

#[test]
fn a_pending_future_drops_its_callbacks_with_itself() {
    let witness = Rc::new(());
    let seen = Rc::clone(&witness);
    let future = Future::<u8>::new();
    future.add_done_callback(move |_| unreachable!("{seen:?}"));
    drop(future);
    assert_eq!(Rc::strong_count(&witness), 1);
}

#[test]
fn a_callback_runs_in_the_context_in_which_it_was_added_or_in_the_one_it_was_given() {
    static WHO: ContextVar<&str> = ContextVar::new("who");
    let log = Rc::new(RefCell::new(Vec::new()));
    let note = || {
        let log = log.clone();
        move |_: &Future<()>| log.borrow_mut().push(WHO.get())
    };
    let given = Context::new();
    given.run(|| drop(WHO.set("given")));
    let complete = |future: &Future<()>| {
        let token = WHO.set("added");
        future.add_done_callback(note());
        future.add_done_callback_in(&given, note());
        WHO.reset(token).unwrap();
        future.add_done_callback(note());
        drop(WHO.set("completed"));
        future.set_result(()).unwrap();
        future.add_done_callback(note());
    };
    Context::new().run(|| complete(&Future::new()));
    let expected = [Some("added"), Some("given"), None, Some("completed")];
    assert_eq!(log.take(), expected, "without a loop");
    run(async {
        complete(&Future::new());
        yield_now().await;
    })
    .unwrap();
    assert_eq!(log.take(), expected, "on a loop");
}

#[test]
fn a_callback_that_panics_is_reported_with_the_place_where_it_was_added() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let sink = reports.clone();
    run(async {
        let event_loop = get_running_loop().unwrap();
        event_loop.set_exception_handler(move |_, context| {
            sink.borrow_mut().push((context.to_string(), context.site().unwrap().file()));
        });
        let future = Future::new();
        future.add_done_callback(|_| panic!("no such luck"));
        future.set_result(()).unwrap();
        yield_now().await;
    })
    .unwrap();
    let reports = reports.take();
    assert!(reports.len() == 1 && reports[0].0.contains("no such luck"), "{reports:?}");
    assert_eq!(reports[0].1, file!());
}
