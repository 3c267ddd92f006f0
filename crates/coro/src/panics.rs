//! Panic payloads: thrown away without a second panic, and read.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Drops `value`, and gives back the panic if its destructor panics.
pub(crate) fn drop_caught<T>(value: T) -> Option<Payload> {
    catch_unwind(AssertUnwindSafe(|| drop(value))).err()
}

/// Drops a payload. A payload whose own destructor panics is leaked in the end: there is nobody left to tell.
pub(crate) fn discard(payload: Payload) {
    if let Some(second) = drop_caught(payload) {
        std::mem::forget(second);
    }
}

/// The text of a panic, where it has one.
pub(crate) fn message(payload: &Payload) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is no text".to_owned()
    }
}
