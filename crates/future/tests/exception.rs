//! Futures that fail: who hears of it, and how often.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::rc::Rc;

use asyncio_future::{Future, ResultError};
use asyncio_loop::{EventLoop, run};

/// An error with a cause, which is what a traceback is here.
#[derive(Clone, Debug, PartialEq)]
struct Broken(Option<Box<Broken>>);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.as_deref().map(|source| source as _)
    }
}

type Reports = Rc<RefCell<Vec<String>>>;

/// A loop, and what its exception handler was told.
fn loop_and_reports() -> (EventLoop, Reports) {
    let event_loop = EventLoop::new().unwrap();
    let reports = Reports::default();
    let sink = reports.clone();
    event_loop.set_exception_handler(move |_, context| sink.borrow_mut().push(context.to_string()));
    (event_loop, reports)
}

type Failing = Future<Result<u8, Broken>>;

fn failed(event_loop: &EventLoop) -> Failing {
    let future = Failing::new_in(event_loop);
    future.set_exception(Broken(None)).unwrap();
    future
}

/// Behaviour: FUT-04.
#[test]
fn an_exception_is_the_result_and_is_refused_and_refuses_as_a_value_does() {
    let future = Failing::new();
    assert_eq!(future.exception(), Err(ResultError::Pending));
    future.set_exception(Broken(None)).unwrap();
    assert!(future.done() && !future.cancelled() && !future.cancel());
    assert_eq!(future.result(), Ok(Err(Broken(None))));
    assert_eq!(future.exception(), Ok(Some(Broken(None))));
    let refused = future.set_exception(Broken(None)).unwrap_err();
    assert!(!refused.is_cancelled());
    assert_eq!(refused.into_inner(), Broken(None));
    assert_eq!(future.set_result(Ok(1)).unwrap_err().into_inner(), Ok(1));

    let cancelled = Failing::new();
    cancelled.cancel();
    assert!(cancelled.set_exception(Broken(None)).unwrap_err().is_cancelled());
    assert!(matches!(cancelled.exception(), Err(ResultError::Cancelled(_))));
    let value = Failing::new();
    value.set_result(Ok(1)).unwrap();
    assert_eq!(value.exception(), Ok(None));
}

/// Behaviour: FUT-13.
#[test]
fn nothing_is_reported_of_what_is_pending_cancelled_a_value_or_retrieved() {
    let (event_loop, reports) = loop_and_reports();
    drop(Failing::new_in(&event_loop));
    let cancelled = failed(&event_loop);
    assert!(!cancelled.cancel(), "too late, but nobody wants to hear of it any more");
    drop(cancelled);
    for is_retrieved in [false, true] {
        let value = Failing::new_in(&event_loop);
        value.set_result(Ok(1)).unwrap();
        if is_retrieved {
            value.result().unwrap().unwrap();
        }
    }
    let plain = Failing::new_in(&event_loop);
    plain.set_result(Err(Broken(None))).unwrap();
    drop(plain);
    let ways: [fn(&Failing); 5] = [
        |future| drop(future.exception()),
        |future| drop(future.result()),
        |future| drop(future.take_result()),
        |future| drop(future.with_result(|_| ())),
        |future| assert!(!future.cancel_with("enough")),
    ];
    for retrieve in ways {
        retrieve(&failed(&event_loop));
    }
    let awaited = failed(&event_loop);
    let result = event_loop.run_until_complete(async { awaited.await }).unwrap();
    assert_eq!(result, Ok(Err(Broken(None))));
    assert_eq!(*reports.borrow(), [""; 0]);
    event_loop.close().unwrap();
}

/// Behaviour: FUT-14.
#[test]
fn an_exception_that_nobody_retrieves_is_reported_once_with_where_the_future_was_made() {
    let (event_loop, reports) = loop_and_reports();
    let (future, line) = (Failing::new_in(&event_loop), line!());
    future.set_exception(Broken(Some(Box::new(Broken(None))))).unwrap();
    let clone = future.clone();
    drop(future);
    assert_eq!(*reports.borrow(), [""; 0], "somebody could still retrieve it");
    assert!(
        clone.done() && format!("{clone:?}").contains("exception"),
        "to look is not to retrieve"
    );
    drop(clone);
    let reports = reports.take();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert!(report.starts_with("future exception was never retrieved"), "{report}");
    assert!(report.contains(&format!("created at: {}:{line}:", file!())), "{report}");
    assert_eq!(report.matches("error: broken").count(), 2, "with its cause: {report}");
    event_loop.close().unwrap();
}

#[test]
fn it_is_reported_to_the_loop_that_runs_if_the_future_has_none_and_to_a_handler_that_was_told_why()
{
    let future = Future::<Result<(), &str>>::new();
    future.set_exception("text will do").unwrap();
    let (event_loop, reports) = loop_and_reports();
    event_loop.run_until_complete(async { drop(future) }).unwrap();
    assert!(reports.borrow()[0].contains("text will do"), "{reports:?}");
    event_loop.close().unwrap();
}

#[test]
fn a_callback_or_an_awaiter_that_retrieves_it_is_in_time() {
    let (event_loop, reports) = loop_and_reports();
    let future = Failing::new_in(&event_loop);
    future.add_done_callback(|future| drop(future.exception().unwrap().unwrap()));
    future.set_exception(Broken(None)).unwrap();
    drop(future);
    event_loop.call_soon({
        let event_loop = event_loop.clone();
        move || event_loop.stop()
    });
    event_loop.run_forever().unwrap();
    assert_eq!(*reports.borrow(), [""; 0]);
    event_loop.close().unwrap();
}

/// Behaviour: FU2-01. (What grows in Python is the traceback; here it would be the chain of causes.)
#[test]
fn a_failed_future_awaited_five_times_gives_the_same_error_each_time() {
    run(async {
        let future = Failing::new();
        let error = Broken(Some(Box::new(Broken(None))));
        future.set_exception(error.clone()).unwrap();
        for _ in 0..5 {
            assert_eq!((&future).await, Ok(Err(error.clone())));
        }
    })
    .unwrap();
}
