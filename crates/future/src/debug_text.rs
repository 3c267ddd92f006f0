//! What a future shows of itself, as asyncio does.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::panic::Location;

use crate::future::{Future, Phase, Subscriber};

/// `<Future pending cb=[<callback at src/main.rs:7:12>, <8 more>, <awaiter>]>`, `<Future finished result=42>`, `<Future
/// finished exception="broken">`, `<Future cancelled>`; in the loop's debug mode also where it was created.
impl<T: fmt::Debug> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.inner.is_shown.replace(true) {
            return f.write_str("<Future …>");
        }
        let _shown = Shown(&self.inner.is_shown);
        match self.inner.phase.get() {
            Phase::Pending => {
                f.write_str("<Future pending")?;
                self.fmt_subscribers(f)?;
            }
            Phase::Cancelled => f.write_str("<Future cancelled")?,
            Phase::Finished => self.fmt_value(f, "result", |text| text)?,
            // Of a future that can fail the value is a `Result`; its error is what is shown.
            Phase::Failed => self.fmt_value(f, "exception", |text| {
                let inside = text.strip_prefix("Err(").and_then(|text| text.strip_suffix(')'));
                inside.unwrap_or(text)
            })?,
        }
        let is_debug = self.inner.event_loop.as_ref().is_some_and(|home| home.is_debug());
        if is_debug {
            write!(f, " created at {}", self.inner.site)?;
        }
        f.write_str(">")
    }
}

impl<T: fmt::Debug> Future<T> {
    fn fmt_value(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        part: impl FnOnce(&str) -> &str,
    ) -> fmt::Result {
        f.write_str("<Future finished")?;
        match self.inner.value.try_borrow().as_deref() {
            Ok(Some(value)) => {
                let mut text = String::new();
                write!(text, "{value:?}")?;
                write!(f, " {name}={}", part(&text))
            }
            _ => Ok(()),
        }
    }
}

impl<T> Future<T> {
    /// All of them up to two; of more the first, how many, and the last.
    fn fmt_subscribers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Looked at first and written then: what is written to may be the user's.
        let (first, last, len) = match self.inner.subscribers.try_borrow() {
            Ok(subscribers) => {
                let mut all = subscribers.iter().map(Who::of);
                (all.next(), all.last(), subscribers.len())
            }
            Err(_) => return Ok(()),
        };
        let Some(first) = first else { return Ok(()) };
        write!(f, " cb=[{first}")?;
        if let Some(last) = last {
            if len > 2 {
                write!(f, ", <{} more>", len - 2)?;
            }
            write!(f, ", {last}")?;
        }
        f.write_str("]")
    }
}

/// Who waits.
enum Who {
    Callback(&'static Location<'static>),
    Awaiter,
}

impl Who {
    fn of<T>(subscriber: &Subscriber<T>) -> Self {
        match subscriber {
            Subscriber::Callback(callback) => Who::Callback(callback.site),
            Subscriber::Awaiter(_) => Who::Awaiter,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Callback(site) => write!(f, "<callback at {site}>"),
            Who::Awaiter => f.write_str("<awaiter>"),
        }
    }
}

/// Its text is being written, until this is dropped.
struct Shown<'a>(&'a Cell<bool>);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
