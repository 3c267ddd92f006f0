//! What each tier did, how often, and how long that took.

use std::{cell::RefCell, collections::BTreeMap, time::Duration, time::Instant};

#[derive(Default)]
pub struct Meters(RefCell<BTreeMap<&'static str, (u32, Duration)>>);

impl Meters {
    pub async fn time<T>(&self, what: &'static str, work: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let done = work.await;
        self.count(what, start.elapsed());
        done
    }

    pub fn count(&self, what: &'static str, took: Duration) {
        let mut meters = self.0.borrow_mut();
        let meter = meters.entry(what).or_default();
        *meter = (meter.0 + 1, meter.1 + took);
    }

    pub fn print(&self) {
        for (what, (times, took)) in &*self.0.borrow() {
            println!("  {what:<48} {times:>6} times {:>9.1?} each", *took / *times);
        }
    }

    pub fn json(&self) -> String {
        let one = |(what, count): (&&str, &(u32, _))| format!("{what:?}:{}", count.0);
        format!("{{{}}}", self.0.borrow().iter().map(one).collect::<Vec<_>>().join(","))
    }
}
