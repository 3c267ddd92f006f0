//! Protocols and a loop's reports, as the tests need them.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::Rc;

use asyncio_loop::EventLoop;
use asyncio_protocol::{Protocol, Transport};

/// Sends everything back.
#[derive(Default)]
pub(crate) struct Echo(OnceCell<Transport>);

impl Protocol for Echo {
    fn connection_made(&self, transport: &Transport) {
        let _ = self.0.set(transport.clone());
    }

    fn data_received(&self, data: &[u8]) {
        self.0.get().unwrap().write(data);
    }
}

/// Keeps what arrives, and wakes whoever waits for it.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) transport: OnceCell<Transport>,
    pub(crate) received: RefCell<Vec<u8>>,
    pub(crate) lost: Cell<bool>,
    pub(crate) error: RefCell<Option<io::Error>>,
    changed: asyncio_coro::wait_list::WaitList,
}

impl Client {
    pub(crate) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            self.changed.wait().await;
        }
    }

    pub(crate) async fn received(&self, count: usize) -> Vec<u8> {
        self.until(|this| this.received.borrow().len() >= count).await;
        self.received.borrow().clone()
    }

    pub(crate) async fn lost(&self) {
        self.until(|this| this.lost.get()).await;
    }
}

impl Protocol for Client {
    fn connection_made(&self, transport: &Transport) {
        let _ = self.transport.set(transport.clone());
    }

    fn data_received(&self, data: &[u8]) {
        self.received.borrow_mut().extend_from_slice(data);
        self.changed.notify_all();
    }

    fn connection_lost(&self, error: Option<io::Error>) {
        assert!(!self.lost.replace(true), "once");
        self.error.replace(error);
        self.changed.notify_all();
    }
}

/// Collects what goes to the loop's exception handler.
pub(crate) fn reports(event_loop: &EventLoop) -> Rc<RefCell<Vec<String>>> {
    let reports = Rc::new(RefCell::new(Vec::new()));
    event_loop.set_exception_handler({
        let reports = reports.clone();
        move |_, context| reports.borrow_mut().push(context.to_string())
    });
    reports
}

/// Bytes that show where they are missing or doubled.
pub(crate) fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|index| ((index + seed * 7) % 251) as u8).collect()
}
