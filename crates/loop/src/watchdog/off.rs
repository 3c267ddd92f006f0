//! The stall watchdog of a build without it.

use crate::work::Work;

/// No watchdog.
#[derive(Default)]
pub(crate) struct Watchdog(());

/// Nothing to end.
pub(crate) struct Step;

impl Watchdog {
    pub(crate) fn begin(&self, _: &Work) -> Option<Step> {
        None
    }

    pub(crate) fn stop(&self) {}
}
