//! The transports of a loop that did not end yet, so that closing the loop closes their sockets.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::{Rc, Weak};

use asyncio_loop::{CloseHook, EventLoop};
use slab::Slab;

use crate::selector_transport::SelectorTransport;

/// One for each loop that ever had a transport.
///
/// Protocols usually hold their transport and the transport holds its protocol: without this
/// list such a pair would outlive the loop, and keep its socket.
#[derive(Default)]
pub(crate) struct LiveTransports {
    live: RefCell<Slab<Weak<SelectorTransport>>>,
    hooked: Cell<bool>,
}

impl LiveTransports {
    pub(crate) fn of(event_loop: &EventLoop) -> Rc<Self> {
        let this = event_loop.extension::<Self>();
        if !this.hooked.replace(true) {
            event_loop.add_close_hook(this.clone());
        }
        this
    }

    pub(crate) fn insert(&self, transport: &Rc<SelectorTransport>) -> usize {
        self.live.borrow_mut().insert(Rc::downgrade(transport))
    }

    pub(crate) fn remove(&self, key: usize) {
        self.live.borrow_mut().try_remove(key);
    }
}

impl CloseHook for LiveTransports {
    fn tier(&self) -> u8 {
        7
    }

    // No async phase: the tasks below may still say goodbye over their connections.

    fn closed(&self) {
        let live = mem::take(&mut *self.live.borrow_mut());
        for (_, transport) in live {
            if let Some(transport) = transport.upgrade() {
                transport.let_go();
            }
        }
    }
}
