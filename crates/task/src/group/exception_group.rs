//! `ExceptionGroup`: every error of a group.

use std::error::Error;
use std::fmt;
use std::slice;
use std::vec;

/// Every error of a [`TaskGroup`](crate::TaskGroup): those of its children in the order in which they failed, then that
/// of its body.
///
/// It is empty only if the group was ended by [`TaskGroup::cancel`](crate::TaskGroup::cancel) before its body had a
/// value to return.
///
/// ```
/// use asyncio_task::TaskGroup;
///
/// let failed = asyncio_loop::run(TaskGroup::scope(async |group| {
///     group.create_task(async { Err::<(), _>("disk full") });
///     std::future::pending::<Result<(), &str>>().await
/// }))?;
/// let group = failed.unwrap_err();
/// assert_eq!(group.to_string(), "unhandled errors in a TaskGroup (1): disk full");
/// assert_eq!(group.into_errors(), ["disk full"]);
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionGroup<E> {
    errors: Vec<E>,
}

impl<E> ExceptionGroup<E> {
    pub(crate) fn new(errors: Vec<E>) -> Self {
        Self { errors }
    }

    /// The errors.
    #[must_use]
    pub fn errors(&self) -> &[E] {
        &self.errors
    }

    /// The errors, to keep.
    #[must_use]
    pub fn into_errors(self) -> Vec<E> {
        self.errors
    }

    /// Says that there was no error: the group was ended by [`TaskGroup::cancel`](crate::TaskGroup::cancel).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// How many errors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Looks at the errors one by one.
    pub fn iter(&self) -> slice::Iter<'_, E> {
        self.errors.iter()
    }
}

impl<E> IntoIterator for ExceptionGroup<E> {
    type Item = E;
    type IntoIter = vec::IntoIter<E>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

impl<'a, E> IntoIterator for &'a ExceptionGroup<E> {
    type Item = &'a E;
    type IntoIter = slice::Iter<'a, E>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<E: fmt::Display> fmt::Display for ExceptionGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.errors.is_empty() {
            return f.write_str("the TaskGroup was cancelled");
        }
        write!(f, "unhandled errors in a TaskGroup ({})", self.errors.len())?;
        let mut before = ": ";
        for error in &self.errors {
            write!(f, "{before}{error}")?;
            before = "; ";
        }
        Ok(())
    }
}

impl<E: fmt::Debug + fmt::Display> Error for ExceptionGroup<E> {}
