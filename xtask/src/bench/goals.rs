//! What we want to reach, and whether it is.

use super::Measured;

/// One goal: a metric of ours in a row, in the unit of `of`.
struct Goal {
    what: &'static str,
    row: &'static str,
    ours: &'static str,
    metric: &'static str,
    of: Of,
    limit: f64,
    is_at_least: bool,
}

/// What a goal compares with.
enum Of {
    /// Nothing: the value itself.
    Itself,
    /// The same metric of a peer.
    Peer(&'static str),
}

use Of::{Itself, Peer};

const fn most(
    what: &'static str,
    row: &'static str,
    metric: &'static str,
    of: Of,
    limit: f64,
) -> Goal {
    Goal { what, row, ours: "ours", metric, of, limit, is_at_least: false }
}

const fn served(
    what: &'static str,
    row: &'static str,
    ours: &'static str,
    metric: &'static str,
    of: Of,
    limit: f64,
) -> Goal {
    Goal { what, row, ours, metric, of, limit, is_at_least: false }
}

const fn rate(
    what: &'static str,
    row: &'static str,
    ours: &'static str,
    peer: &'static str,
    limit: f64,
) -> Goal {
    Goal { what, row, ours, metric: "requests_per_s", of: Peer(peer), limit, is_at_least: true }
}

const GOALS: [Goal; 43] = [
    rate("echo by protocol, 1 KiB, 100 connections", "echo_1k_100", "protocol", "epoll", 0.97),
    rate("echo by protocol, 100 KiB, 100 connections", "echo_100k_100", "protocol", "epoll", 0.97),
    rate("echo by streams, 64 B, 100 connections", "echo_64b_100", "streams", "tokio", 1.0),
    rate("echo by streams, 1 KiB, 100 connections", "echo_1k_100", "streams", "tokio", 1.0),
    rate("echo by streams, 16 KiB, 100 connections", "echo_16k_100", "streams", "tokio", 1.0),
    rate("echo by streams, 100 KiB, 100 connections", "echo_100k_100", "streams", "tokio", 1.0),
    rate("`readline`, 16 in flight, 1 connection", "lines_1", "streams", "tokio", 1.10),
    rate("`readline`, 16 in flight, 100 connections", "lines_100", "streams", "tokio", 1.10),
    served(
        "echoed message by protocol",
        "echo_instructions",
        "protocol",
        "instructions",
        Itself,
        450.0,
    ),
    served(
        "echoed message by streams",
        "echo_instructions",
        "streams",
        "instructions",
        Itself,
        900.0,
    ),
    served(
        "echoed message by protocol, 1 connection",
        "echo_calls_1",
        "protocol",
        "calls",
        Itself,
        3.05,
    ),
    served(
        "echoed message by streams, 1 connection",
        "echo_calls_1",
        "streams",
        "calls",
        Itself,
        3.05,
    ),
    served(
        "echoed message by protocol, 100 connections",
        "echo_calls_100",
        "protocol",
        "calls",
        Itself,
        2.10,
    ),
    served(
        "echoed message by streams, 100 connections",
        "echo_calls_100",
        "streams",
        "calls",
        Itself,
        2.10,
    ),
    most("spawn and join", "spawn_join", "ns", Peer("tokio"), 0.38),
    most("spawn and join", "spawn_join", "instructions", Itself, 520.0),
    most("wake of another task", "wake", "ns", Peer("tokio"), 0.35),
    most("yield among 1 000 tasks", "yield_1000", "ns", Peer("tokio"), 0.40),
    most("yield among 2 tasks", "yield_2", "ns", Peer("tokio"), 0.40),
    most("timer: insert and drop", "timer_insert_drop", "ns", Peer("tokio"), 0.20),
    most("the same, 1 000 000 outstanding", "timer_insert_drop_1m", "ns", Peer("tokio"), 0.20),
    most("lateness of a sleep, median", "lateness", "p50_us", Itself, 30.0),
    most("lateness of a sleep, p99", "lateness", "p99_us", Itself, 200.0),
    most("`timeout` around a ready future", "timeout_ready", "ns", Peer("tokio"), 0.15),
    most("queue of 128", "queue_128", "ns", Peer("tokio"), 0.30),
    most("unbounded queue", "queue_unbounded", "ns", Peer("tokio"), 0.20),
    most("lock, free", "lock_free", "ns", Peer("tokio"), 0.25),
    most("semaphore, 100 waiters", "semaphore_100", "ns", Peer("tokio"), 0.50),
    most("semaphore, free", "semaphore_free", "ns", Peer("tokio"), 0.25),
    most("cancel of a parked task", "cancel", "ns", Peer("tokio"), 0.60),
    most("`gather` of 1 000", "gather_1000", "ns", Peer("tokio"), 0.42),
    most("`TaskGroup` of 1 000", "group_1000", "ns", Peer("tokio"), 0.30),
    most("wake from another thread and back", "thread_wake", "ns", Peer("tokio"), 0.95),
    most("`to_thread` and back", "to_thread", "ns", Peer("tokio"), 0.80),
    served("idle connection by protocol", "idle_bytes", "protocol", "bytes", Itself, 400.0),
    served("idle connection by streams", "idle_bytes", "streams", "bytes", Itself, 1_200.0),
    most("parked task beyond its future", "parked_bytes", "bytes", Itself, 160.0),
    rate("echo by streams, 1 KiB, 1 connection", "echo_1k_1", "streams", "tokio", 1.0),
    rate("echo by streams, 64 B, 1 connection", "echo_64b_1", "streams", "tokio", 1.0),
    rate("echo by streams, 64 B, 1 000 connections", "echo_64b_1000", "streams", "tokio", 1.0),
    rate("echo by streams, 1 KiB, 1 000 connections", "echo_1k_1000", "streams", "tokio", 1.0),
    rate("echo by streams, 16 KiB, 1 000 connections", "echo_16k_1000", "streams", "tokio", 1.0),
    rate("echo by streams, 100 KiB, 1 000 connections", "echo_100k_1000", "streams", "tokio", 1.0),
];

/// A goal and what came of it, as words.
pub(crate) struct Verdict {
    pub(crate) what: &'static str,
    pub(crate) unit: String,
    pub(crate) goal: String,
    pub(crate) measured: String,
    pub(crate) is_reached: bool,
}

/// Holds what was measured against the goals.
pub(crate) fn judge(measured: &Measured) -> Vec<Verdict> {
    GOALS.iter().filter_map(|goal| goal.judge(measured)).collect()
}

impl Goal {
    fn judge(&self, measured: &Measured) -> Option<Verdict> {
        let row = measured.get(self.row)?;
        let ours = *row.get(self.ours)?.get(self.metric)?;
        let (value, unit) = match self.of {
            Itself => (ours, String::from(self.metric)),
            Peer(peer) => {
                (ours / row.get(peer)?.get(self.metric)?, format!("{} of {peer}", self.metric))
            }
        };
        let relation = if self.is_at_least { "≥" } else { "≤" };
        let digits = if value < 10.0 { 2 } else { 0 };
        Some(Verdict {
            what: self.what,
            unit,
            goal: format!("{relation} {}", self.limit),
            measured: format!("{value:.digits$}"),
            is_reached: if self.is_at_least { value >= self.limit } else { value <= self.limit },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::note;

    #[test]
    fn a_goal_is_judged_by_the_ratio_to_its_peer() {
        let mut measured = Measured::new();
        note(&mut measured, "wake", "ours", "ns", Some(30.0));
        note(&mut measured, "wake", "tokio", "ns", Some(100.0));
        note(&mut measured, "parked_bytes", "ours", "bytes", Some(161.0));
        let verdicts = judge(&measured);
        let found: Vec<_> = verdicts.iter().map(|v| (v.measured.as_str(), v.is_reached)).collect();
        assert_eq!(found, [("0.30", true), ("161", false)]);
    }
}
