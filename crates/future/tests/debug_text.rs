//! What a future shows of itself.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::rc::Rc;

use asyncio_future::Future;
use asyncio_loop::run;
use futures_lite::future::poll_once;

/// Behaviour: FUT-11.
#[test]
fn it_says_the_state_the_result_and_who_waits() {
    let future = Future::new();
    assert_eq!(format!("{future:?}"), "<Future pending>");

    let site = |line: u32| format!("<callback at {}:{line}:", file!());
    let line = line!() + 1;
    future.add_done_callback(|_| ());
    let text = format!("{future:?}");
    assert!(text.starts_with(&format!("<Future pending cb=[{}", site(line))), "{text}");
    assert!(text.ends_with(">]>"), "{text}");

    future.add_done_callback(|_| ());
    let text = format!("{future:?}");
    let both = (text.contains(&site(line)), text.contains(&site(line + 5)));
    assert_eq!((both, text.matches("callback").count()), ((true, true), 2), "{text}");

    for _ in 0..8 {
        future.add_done_callback(|_| ());
    }
    let text = format!("{future:?}");
    assert_eq!(text.matches("callback").count(), 2, "the first and the last: {text}");
    assert!(text.contains(">, <8 more>, <callback at "), "{text}");

    future.set_result(4).unwrap();
    assert_eq!(format!("{future:?}"), "<Future finished result=4>");
    future.take_result().unwrap();
    assert_eq!(format!("{future:?}"), "<Future finished>");

    let failed = Future::<Result<u8, &str>>::new();
    failed.set_exception("broken").unwrap();
    assert_eq!(format!("{failed:?}"), "<Future finished exception=\"broken\">");
    failed.exception().unwrap();

    let cancelled = Future::<u8>::new();
    cancelled.cancel();
    assert_eq!(format!("{cancelled:?}"), "<Future cancelled>");
}

#[test]
fn awaiters_are_among_those_who_wait_in_their_place() {
    run(async {
        let future = Future::<u8>::new();
        let mut awaiter = Box::pin(async { (&future).await });
        assert!(poll_once(&mut awaiter).await.is_none());
        future.add_done_callback(|_| ());
        let text = format!("{future:?}");
        assert!(text.starts_with("<Future pending cb=[<awaiter>, <callback at "), "{text}");
    })
    .unwrap();
}

/// Behaviour: FUT-11.
#[test]
fn in_debug_mode_it_says_where_it_was_created() {
    let event_loop = asyncio_loop::EventLoop::new().unwrap();
    let (future, line) = (Future::<u8>::new_in(&event_loop), line!());
    assert_eq!(format!("{future:?}"), "<Future pending>");
    event_loop.set_debug(true);
    let text = format!("{future:?}");
    assert!(text.starts_with(&format!("<Future pending created at {}:{line}:", file!())), "{text}");
    future.set_result(1).unwrap();
    let text = format!("{future:?}");
    assert!(text.starts_with("<Future finished result=1 created at "), "{text}");
    event_loop.close().unwrap();
}

/// Behaviour: FU2-03.
#[test]
fn a_result_that_contains_its_own_future_is_cut() {
    #[derive(Clone, Debug)]
    struct Holder(#[allow(dead_code, reason = "shown")] Rc<RefCell<Option<Future<Holder>>>>);

    let slot = Rc::new(RefCell::new(None));
    let future = Future::new();
    future.set_result(Holder(slot.clone())).unwrap();
    *slot.borrow_mut() = Some(future.clone());
    let text = format!("{future:?}");
    assert_eq!(text.matches("<Future …>").count(), 1, "{text}");
    assert_eq!(format!("{future:?}"), text, "and is shown again the next time");
    slot.take(); // breaks the circle
}

#[test]
fn whoever_is_written_to_may_complete_the_future() {
    struct Completes<'a>(&'a Future<u8>);
    impl Write for Completes<'_> {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            _ = self.0.set_result(1);
            Ok(())
        }
    }
    let future = Future::<u8>::new();
    future.add_done_callback(|_| ());
    write!(Completes(&future), "{future:?}").unwrap();
    assert_eq!(future.result(), Ok(1));
}
