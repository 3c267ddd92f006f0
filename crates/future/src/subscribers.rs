//! Who wants to hear that a future is done: callbacks and awaiters, in one order.
//!
//! asyncio resumes awaiters and calls callbacks in the order in which they came, because an
//! awaiting task *is* a callback there. So both share this list instead of a list of wakers beside
//! a list of callbacks. The first subscriber, mostly the only one, is stored inline.

/// Names a done callback of one [`Future`](crate::Future), to remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallbackId(u64);

pub(crate) struct Subscribers<S> {
    /// Filled only while `rest` is empty, so that it is always the oldest.
    first: Option<(CallbackId, S)>,
    /// Ascending ids. Who left is `None`, until half of them are: removing one of many is not O(n).
    rest: Vec<(CallbackId, Option<S>)>,
    /// How many in `rest` have left.
    gone: usize,
    next: u64,
}

impl<S> Subscribers<S> {
    pub(crate) const fn new() -> Self {
        Self { first: None, rest: Vec::new(), gone: 0, next: 0 }
    }

    pub(crate) fn add(&mut self, subscriber: S) -> CallbackId {
        let id = self.skip_id();
        if self.first.is_none() && self.rest.is_empty() {
            self.first = Some((id, subscriber));
        } else {
            self.rest.push((id, Some(subscriber)));
        }
        id
    }

    /// An id that names nobody: for a callback that did not have to wait.
    pub(crate) fn skip_id(&mut self) -> CallbackId {
        let id = CallbackId(self.next);
        self.next += 1;
        id
    }

    pub(crate) fn get_mut(&mut self, id: CallbackId) -> Option<&mut S> {
        if self.is_first(id) {
            return self.first.as_mut().map(|(_, subscriber)| subscriber);
        }
        let at = self.position(id)?;
        self.rest[at].1.as_mut()
    }

    /// Takes one out; the caller drops it outside its borrow of the list.
    pub(crate) fn remove(&mut self, id: CallbackId) -> Option<S> {
        if self.is_first(id) {
            return self.first.take().map(|(_, subscriber)| subscriber);
        }
        let at = self.position(id)?;
        let subscriber = self.rest[at].1.take()?;
        self.gone += 1;
        if self.gone * 2 > self.rest.len() {
            self.rest.retain(|(_, subscriber)| subscriber.is_some());
            self.gone = 0;
        }
        Some(subscriber)
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len() - self.gone
    }

    /// All of them, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &S> {
        let first = self.first.iter().map(|(_, subscriber)| subscriber);
        first.chain(self.rest.iter().filter_map(|(_, subscriber)| subscriber.as_ref()))
    }

    fn is_first(&self, id: CallbackId) -> bool {
        matches!(&self.first, Some((first, _)) if *first == id)
    }

    fn position(&self, id: CallbackId) -> Option<usize> {
        self.rest.binary_search_by_key(&id.0, |(id, _)| id.0).ok()
    }
}

/// All of them, oldest first.
impl<S> IntoIterator for Subscribers<S> {
    type Item = S;
    type IntoIter = std::iter::Chain<
        std::iter::Map<std::option::IntoIter<(CallbackId, S)>, fn((CallbackId, S)) -> S>,
        std::iter::FilterMap<
            std::vec::IntoIter<(CallbackId, Option<S>)>,
            fn((CallbackId, Option<S>)) -> Option<S>,
        >,
    >;

    fn into_iter(self) -> Self::IntoIter {
        let first = self.first.into_iter().map((|(_, subscriber)| subscriber) as fn(_) -> _);
        let rest = self.rest.into_iter().filter_map((|(_, subscriber)| subscriber) as fn(_) -> _);
        first.chain(rest)
    }
}
