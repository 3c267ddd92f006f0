//! `ExceptionGroup`: every error of a group.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::slice;
use std::vec;

/// Several errors as one: every error of a [`TaskGroup`](crate::TaskGroup), those of its children in the order in which
/// they failed, then that of its body.
///
/// Of a `TaskGroup` it is empty only if the group was ended by [`TaskGroup::cancel`](crate::TaskGroup::cancel) before its
/// body had a value to return.
///
/// `{}` shows all errors in one line, `{:#}` as a tree, groups within the group too. It has no
/// [`source`](Error::source): none of its errors is the cause of the others, and each has a source of its own.
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
///
/// Groups of groups:
///
/// ```
/// use asyncio_task::ExceptionGroup;
///
/// let north = ExceptionGroup::new("north", vec!["no wind", "no light"]);
/// let south = ExceptionGroup::new("south", vec!["flood"]);
/// let all = ExceptionGroup::new("no station answers", vec![north, south]);
/// assert_eq!(
///     format!("{all:#}"),
///     "\
/// no station answers (2)
/// +---------------- 1 ----------------
/// | north (2)
/// | +---------------- 1 ----------------
/// | | no wind
/// | +---------------- 2 ----------------
/// | | no light
/// | +------------------------------------
/// +---------------- 2 ----------------
/// | south (1)
/// | +---------------- 1 ----------------
/// | | flood
/// | +------------------------------------
/// +------------------------------------",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionGroup<E> {
    message: Cow<'static, str>,
    errors: Vec<E>,
}

impl<E> ExceptionGroup<E> {
    /// Groups `errors`, whatever they come from; `message` says what they have in common.
    pub fn new(message: impl Into<Cow<'static, str>>, errors: Vec<E>) -> Self {
        Self { message: message.into(), errors }
    }

    pub(crate) fn of_task_group(errors: Vec<E>) -> Self {
        let message = if errors.is_empty() {
            "the TaskGroup was cancelled"
        } else {
            "unhandled errors in a TaskGroup"
        };
        Self::new(message, errors)
    }

    /// What the errors have in common.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The errors.
    #[doc(alias = "exceptions")]
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

    /// `Ok` if there is no error: for a group that may be cancelled and has no value to give.
    ///
    /// # Errors
    ///
    /// The group itself, unless it is empty.
    ///
    /// ```
    /// use asyncio_task::{ExceptionGroup, TaskGroup};
    ///
    /// let ended = asyncio_loop::run(TaskGroup::scope(async |group| {
    ///     group.cancel();
    ///     std::future::pending::<Result<(), &str>>().await
    /// }))?;
    /// assert_eq!(ended.or_else(ExceptionGroup::into_result), Ok(()));
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The errors for which `matches` holds, and the rest, each as a group with this message, in the same order: what
    /// `except*` is made of. `None` for none.
    ///
    /// ```
    /// use asyncio_task::ExceptionGroup;
    ///
    /// let group = ExceptionGroup::new("downloads", vec![404, 500, 410]);
    /// let (gone, rest) = group.split(|status| *status < 500);
    /// assert_eq!(gone.unwrap().errors(), [404, 410]);
    /// assert_eq!(rest.unwrap().errors(), [500]);
    /// ```
    #[doc(alias = "subgroup")]
    #[must_use]
    pub fn split(self, matches: impl FnMut(&E) -> bool) -> (Option<Self>, Option<Self>) {
        let (matching, rest): (Vec<E>, Vec<E>) = self.errors.into_iter().partition(matches);
        let part =
            |errors: Vec<E>| (!errors.is_empty()).then(|| Self::new(self.message.clone(), errors));
        (part(matching), part(rest))
    }

    /// The group with each error turned into another: to hand it on with an error type of one's own.
    ///
    /// ```
    /// use asyncio_task::ExceptionGroup;
    ///
    /// let group = ExceptionGroup::new("lookups", vec!["a", "b"]);
    /// assert_eq!(group.map(String::from).errors(), ["a", "b"]);
    /// ```
    #[must_use]
    pub fn map<F>(self, into: impl FnMut(E) -> F) -> ExceptionGroup<F> {
        ExceptionGroup::new(self.message, self.errors.into_iter().map(into).collect())
    }
}

impl<E> ExceptionGroup<ExceptionGroup<E>> {
    /// The errors of all groups in one.
    ///
    /// ```
    /// use asyncio_task::ExceptionGroup;
    ///
    /// let inner = |error| ExceptionGroup::new("inner", vec![error]);
    /// let outer = ExceptionGroup::new("outer", vec![inner(1), inner(2)]);
    /// assert_eq!(outer.flatten(), ExceptionGroup::new("outer", vec![1, 2]));
    /// ```
    #[must_use]
    pub fn flatten(self) -> ExceptionGroup<E> {
        ExceptionGroup::new(self.message, self.errors.into_iter().flatten().collect())
    }

    /// [`split`](Self::split) one level further down: both parts keep the shape of the whole, without the groups that
    /// would be empty.
    ///
    /// ```
    /// use asyncio_task::ExceptionGroup;
    ///
    /// let inner = |errors| ExceptionGroup::new("inner", errors);
    /// let outer = ExceptionGroup::new("outer", vec![inner(vec![1, 20]), inner(vec![2])]);
    /// let (large, small) = outer.split_inner(|error| *error > 9);
    /// assert_eq!(large.unwrap().errors(), [inner(vec![20])]);
    /// assert_eq!(small.unwrap().errors(), [inner(vec![1]), inner(vec![2])]);
    /// ```
    #[must_use]
    pub fn split_inner(self, mut matches: impl FnMut(&E) -> bool) -> (Option<Self>, Option<Self>) {
        let (mut matching, mut rest) = (Vec::new(), Vec::new());
        for group in self.errors {
            let parts = group.split(&mut matches);
            matching.extend(parts.0);
            rest.extend(parts.1);
        }
        let part = |groups: Vec<ExceptionGroup<E>>| {
            (!groups.is_empty()).then(|| Self::new(self.message.clone(), groups))
        };
        (part(matching), part(rest))
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
            return f.write_str(&self.message);
        }
        write!(f, "{} ({})", self.message, self.errors.len())?;
        if f.alternate() {
            for (number, error) in (1..).zip(&self.errors) {
                write!(f, "\n+---------------- {number} ----------------\n")?;
                write!(Barred { to: f, begins_line: true }, "{error:#}")?;
            }
            return f.write_str("\n+------------------------------------");
        }
        let mut before = ": ";
        for error in &self.errors {
            write!(f, "{before}{error}")?;
            before = "; ";
        }
        Ok(())
    }
}

impl<E: fmt::Debug + fmt::Display> Error for ExceptionGroup<E> {}

/// Begins each line with a bar.
struct Barred<'a, 'b> {
    to: &'a mut fmt::Formatter<'b>,
    begins_line: bool,
}

impl fmt::Write for Barred<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            if std::mem::replace(&mut self.begins_line, part.ends_with('\n')) {
                self.to.write_str("| ")?;
            }
            self.to.write_str(part)?;
        }
        Ok(())
    }
}
