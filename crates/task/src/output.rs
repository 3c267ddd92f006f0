//! What becomes of an output that nobody will see.

use std::error::Error;

/// Whether there is an error in an output, known from its type.
pub(crate) trait Look<T> {
    /// Takes the error out, if there is one. None at all: no such output has an error.
    const ERROR: Option<ErrorOf<T>>;
}

/// Drops an output, or gives the error in it.
pub(crate) type ErrorOf<T> = fn(T) -> Option<Box<dyn Error>>;

/// Outputs that may be anything.
pub(crate) struct Opaque;

/// Outputs whose `Err` somebody should hear of.
pub(crate) struct Fallible;

impl<T> Look<T> for Opaque {
    const ERROR: Option<ErrorOf<T>> = None;
}

impl<T, E: Into<Box<dyn Error>>> Look<Result<T, E>> for Fallible {
    const ERROR: Option<ErrorOf<Result<T, E>>> = Some(|output| output.err().map(Into::into));
}
