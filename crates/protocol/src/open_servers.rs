//! The servers of a loop that are not closed, so that closing the loop closes their sockets.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use asyncio_loop::{CloseHook, EventLoop};
use slab::Slab;

use crate::server::ServerInner;

/// One for each loop that ever had a server. Keeps a server alive whose handles were all dropped.
#[derive(Default)]
pub(crate) struct OpenServers {
    open: RefCell<Slab<Rc<ServerInner>>>,
    hooked: Cell<bool>,
}

impl OpenServers {
    pub(crate) fn of(event_loop: &EventLoop) -> Rc<Self> {
        let this = event_loop.extension::<Self>();
        if !this.hooked.replace(true) {
            event_loop.add_close_hook(this.clone());
        }
        this
    }

    pub(crate) fn insert(&self, server: Rc<ServerInner>) -> usize {
        self.open.borrow_mut().insert(server)
    }

    pub(crate) fn remove(&self, key: usize) -> Option<Rc<ServerInner>> {
        self.open.borrow_mut().try_remove(key)
    }

    fn close_all(&self) {
        let open: Vec<_> = self.open.borrow().iter().map(|(_, server)| server.clone()).collect();
        for server in open {
            server.close();
        }
    }
}

impl CloseHook for OpenServers {
    fn tier(&self) -> u8 {
        8
    }

    // No async phase: a server goes on until the tasks that serve it were cancelled, some tiers below.

    fn closed(&self) {
        self.close_all();
    }
}
