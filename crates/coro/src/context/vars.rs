//! `Vars`: the values of one context, by variable.

use std::any::Any;
use std::mem;
use std::rc::Rc;

use crate::hooks::{self, Report};
use crate::panics::{self, drop_caught};

/// The number of a variable: unique in the process, given at its first use.
pub(super) type VarId = u64;

/// A value of whatever type its variable has.
pub(super) type Value = Rc<dyn Any>;

/// The values of a context. They are few, a handful in a program, so that a sorted list is found through faster than a tree
/// and copied faster, too: a copy is made at the first change after the context was copied.
#[derive(Clone, Default)]
pub(super) struct Vars {
    /// Sorted by variable.
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    var: VarId,
    name: &'static str,
    value: Value,
}

impl Vars {
    pub(super) fn get(&self, var: VarId) -> Option<&Value> {
        Some(&self.entries[self.position(var).ok()?].value)
    }

    /// Adds a value, and gives back the previous one.
    pub(super) fn insert(&mut self, var: VarId, name: &'static str, value: Value) -> Option<Value> {
        match self.position(var) {
            Ok(at) => Some(mem::replace(&mut self.entries[at].value, value)),
            Err(at) => {
                self.entries.insert(at, Entry { var, name, value });
                None
            }
        }
    }

    pub(super) fn remove(&mut self, var: VarId) -> Option<Value> {
        let at = self.position(var).ok()?;
        Some(self.entries.remove(at).value)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.entries.iter().map(|entry| entry.name)
    }

    fn position(&self, var: VarId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&var, |entry| entry.var)
    }
}

/// Contexts are dropped in many places, most of which must not unwind: a value whose destructor panics is reported here.
impl Drop for Vars {
    fn drop(&mut self) {
        for entry in mem::take(&mut self.entries) {
            if let Some(payload) = drop_caught(entry) {
                let message = panics::message(&payload);
                hooks::report(Report::DropPanicked { task: None, message });
                panics::discard(payload);
            }
        }
    }
}
