//! Says what a program should do, by plain recursion.
//!
//! A part of a program is a function from the time at which it begins to the time at which it ends, and how. Requests to
//! cancel are times, in lists that the scopes around carry ([`Frame`]); a part that waits ends early if one of them comes
//! first. What runs beside a part, in a child or a task, is computed on its own, for the requests that reach it. Only that
//! a failure within a group makes further requests needs a second look: the group is computed again, with those.

use std::collections::VecDeque;
use std::rc::Rc;

use super::program::{Node, Program};
use super::{Ended, Event, Log, Outcome};

/// Microseconds, then an order among what happens at once: the turns of the loop, and in each the steps of a strand.
type Time = u64;

const MICRO: Time = 1 << 32;
const TURN: Time = 1 << 16;

/// When the next turn of the loop begins.
fn next_turn(now: Time) -> Time {
    (now | (TURN - 1)) + 1
}

/// Predicts a program; `None` if two of its timers fire at the same time, or the number of turns that something took would
/// have to be known.
pub(crate) fn predict(program: &Program) -> Option<Outcome> {
    let requests = program.cancels.iter().map(|cancel| cancel * MICRO).collect();
    let root = run_strand(0, &program.root, next_turn(0), requests, None);
    let mut timers = root.out.timers;
    timers.extend(&program.cancels);
    timers.sort_unstable();
    let are_apart = timers.windows(2).all(|pair| pair[0] != pair[1]);
    (are_apart && !root.out.is_vague).then_some(Outcome { log: root.out.log, ended: root.ended })
}

/// One scope around what is being computed, or the task itself.
#[derive(Clone, Default)]
struct Frame {
    /// When requests are addressed to it, those that have been swallowed excepted; sorted.
    requests: Vec<Time>,
    /// When the first one was, also if it has been swallowed since.
    first_asked: Option<Time>,
    /// In a cleanup, when that began: what was asked before does not reach it.
    mask: Time,
    /// Nothing from further up comes in.
    is_shield: bool,
}

impl Frame {
    fn asked_at(mut requests: Vec<Time>) -> Self {
        requests.sort_unstable();
        Frame { first_asked: requests.first().copied(), requests, ..Frame::default() }
    }

    fn newest(&self, now: Time) -> Option<Time> {
        self.requests.iter().copied().filter(|request| *request <= now).max()
    }
}

/// The innermost group.
#[derive(Clone, Copy)]
struct Group {
    id: u32,
    closed_at: Time,
}

/// How a part ended without success.
enum Stop {
    Failed(u32),
    Unwound,
}

type Result<T = ()> = std::result::Result<T, Stop>;

/// What came of a part, beside its end.
#[derive(Default)]
struct Out<'p> {
    log: Log,
    /// When timers fire that it has set, in microseconds.
    timers: Vec<u64>,
    /// Children made: when, in which group, their number, what they do.
    children: Vec<(Time, u32, u32, &'p Rc<Node>)>,
    /// Groups told to end: when, which, and by which strand.
    cancels: Vec<(Time, u32, u32)>,
    /// Whether a task returned so soon after it had been cancelled that the turns in between count; or began a scope when it
    /// had been asked twice to unwind, which is not waited for.
    is_vague: bool,
}

impl Out<'_> {
    fn merge(&mut self, other: Self) {
        for (strand, mut events) in other.log {
            self.log.entry(strand).or_default().append(&mut events);
        }
        self.timers.extend(other.timers);
        self.children.extend(other.children);
        self.cancels.extend(other.cancels);
        self.is_vague |= other.is_vague;
    }
}

struct Run<'p> {
    /// For who holds the handle.
    ended: Ended,
    /// What it returned, also if nobody is told.
    error: Option<u32>,
    end: Time,
    /// When its last step began.
    step: Time,
    out: Out<'p>,
}

/// A task or a child, from its first step at `start`.
fn run_strand<'p>(
    id: u32,
    node: &'p Rc<Node>,
    start: Time,
    requests: Vec<Time>,
    group: Option<Group>,
) -> Run<'p> {
    if requests.iter().any(|request| *request <= start) {
        let (ended, out) = (Ended::Cancelled, Out::default());
        return Run { ended, error: None, end: start, step: start, out };
    }
    let mut strand = Strand {
        id,
        frames: vec![Frame::asked_at(requests)],
        group,
        now: start,
        step: start,
        joined_at: None,
        out: Out::default(),
    };
    strand.log(Event::Begun(id));
    let result = strand.part(node);
    let (ended, error) = match result {
        Ok(()) => (Ended::Value, None),
        Err(Stop::Failed(error)) => (Ended::Failed(error), Some(error)),
        Err(Stop::Unwound) => (Ended::Cancelled, None),
    };
    match ended {
        Ended::Value => strand.log(Event::Returned(id, Ok(()))),
        Ended::Failed(error) => strand.log(Event::Returned(id, Err(error))),
        Ended::Cancelled => {}
    }
    strand.log(Event::BodyGone(id));
    // A request made in the very step in which it returned counts.
    let newest = strand.frames[0].newest(strand.now);
    let is_late = newest.is_some_and(|newest| newest > strand.step);
    let joined = strand.joined_at.map(|joined| joined / MICRO);
    strand.out.is_vague |= newest.is_some_and(|newest| joined == Some(newest / MICRO))
        && joined == Some(strand.now / MICRO)
        && ended != Ended::Cancelled;
    let ended = if is_late { Ended::Cancelled } else { ended };
    Run { ended, error, end: strand.now, step: strand.step, out: strand.out }
}

/// A task or child on its way through the program.
struct Strand<'p> {
    id: u32,
    /// The task itself first, then the scopes around the part that runs, inwards.
    frames: Vec<Frame>,
    group: Option<Group>,
    now: Time,
    /// When its last step began.
    step: Time,
    /// When it last joined children that ended at once. That took one turn or several, which are not told apart here.
    joined_at: Option<Time>,
    out: Out<'p>,
}

impl<'p> Strand<'p> {
    fn log(&mut self, event: Event) {
        self.out.log.entry(self.id).or_default().push((self.now / MICRO, event));
        self.now += 1;
    }

    /// Sets a timer.
    fn after(&mut self, micros: u64) -> Time {
        let at = self.now / MICRO + micros;
        self.out.timers.push(at);
        at * MICRO
    }

    /// Whether the scope at `frame` sees a request, and whether one that is addressed further up.
    fn look_up(&self, frame: usize) -> Option<bool> {
        let mut mask = 0;
        let mut found = None;
        for (distance, frame) in self.frames[..=frame].iter().rev().enumerate() {
            mask = mask.max(frame.mask);
            if frame.newest(self.now).is_some_and(|newest| newest > mask) {
                found = Some(distance > 0);
            }
            if frame.is_shield {
                break;
            }
        }
        found
    }

    /// Requests that will reach the innermost scope, from now on; one that has is said to come now.
    fn requests(&self) -> Vec<Time> {
        let mut times = Vec::new();
        if self.look_up(self.frames.len() - 1).is_some() {
            times.push(self.now);
        }
        for frame in self.frames.iter().rev() {
            times.extend(frame.requests.iter().copied().filter(|request| *request > self.now));
            if frame.is_shield {
                break;
            }
        }
        times.sort_unstable();
        times
    }

    /// Takes what has reached the innermost scope off the way up.
    fn swallow(&mut self) {
        let now = self.now;
        let mut mask = 0;
        for frame in self.frames.iter_mut().rev() {
            mask = mask.max(frame.mask);
            if frame.newest(now).is_some_and(|newest| newest > mask) {
                frame.requests.retain(|request| *request > now);
            }
            if frame.is_shield {
                break;
            }
        }
    }

    /// The innermost scope has unwound: whether that was for its own request, and for none from further up.
    fn is_own(&self) -> bool {
        let frame = self.frames.len() - 1;
        match self.look_up(frame) {
            Some(is_above) => !is_above,
            // What it unwound for has been swallowed meanwhile.
            None => self.frames[frame].first_asked.is_some_and(|asked| asked <= self.now),
        }
    }

    fn resume(&mut self, at: Time) {
        self.now = at;
        self.step = at;
    }

    /// A scope begins. If the one around it has been asked to unwind, has waited since (in a cleanup, which did not hear of
    /// it), and has been asked again, the new one is not waited for: so nothing can go on for ever. That is put aside.
    fn begin_scope(&mut self) {
        let around = self.frames.last().expect("the task itself is there");
        let (mut mask, mut count, mut is_noticed) = (0, usize::from(around.mask > 0), false);
        for frame in self.frames.iter().rev() {
            mask = mask.max(frame.mask);
            let reaches = |request: &&Time| (mask + 1..=self.now).contains(*request);
            count += frame.requests.iter().filter(reaches).count();
            is_noticed |= frame.requests.iter().filter(reaches).any(|asked| *asked < self.step);
            if frame.is_shield {
                break;
            }
        }
        self.out.is_vague |= is_noticed && count >= 2;
    }

    fn part(&mut self, node: &'p Rc<Node>) -> Result {
        let begins_scope = !matches!(
            **node,
            Node::Nothing | Node::Sleep(_) | Node::Fail(_) | Node::Sequence(_) | Node::Child(..)
        );
        if begins_scope && !matches!(**node, Node::CancelGroup | Node::CancelSelf) {
            self.begin_scope();
        }
        match &**node {
            Node::Nothing => Ok(()),
            Node::Fail(number) => {
                self.now += 1;
                Err(Stop::Failed(*number))
            }
            Node::Sequence(parts) => parts.iter().try_for_each(|part| self.part(part)),
            Node::Sleep(micros) => {
                let end = self.after(*micros);
                match self.requests().first() {
                    // Asked before it waits, it unwinds in the same step.
                    Some(request) if *request < end => {
                        if *request > self.now {
                            self.resume(*request);
                        }
                        Err(Stop::Unwound)
                    }
                    _ => {
                        self.resume(end);
                        Ok(())
                    }
                }
            }
            Node::Finally(id, _, body, cleanup) => {
                self.frames.push(Frame::default());
                self.log(Event::Begun(*id));
                let result = self.part(body);
                self.log(Event::BodyGone(*id));
                self.frames.last_mut().expect("pushed above").mask = self.now;
                self.log(Event::CleanupBegun(*id));
                let result = match self.part(cleanup) {
                    Err(Stop::Unwound) => Err(Stop::Unwound),
                    _ => {
                        self.log(Event::CleanupEnded(*id));
                        result
                    }
                };
                self.log(Event::CleanupGone(*id));
                self.frames.pop();
                result
            }
            Node::Catch(id, body) => {
                self.frames.push(Frame::default());
                let result = self.part(body);
                let result = match result {
                    Err(Stop::Unwound) => {
                        self.swallow();
                        self.log(Event::Caught(*id));
                        Ok(())
                    }
                    result => result,
                };
                self.frames.pop();
                result
            }
            Node::Scope { id, cancel, is_shielded, body } => {
                let cancel = cancel.map(|after| self.after(after));
                let frame = Frame::asked_at(cancel.into_iter().collect());
                self.frames.push(Frame { is_shield: *is_shielded, ..frame });
                self.converting(body, Event::ScopeCancelled(*id))
            }
            Node::Masked(body) => {
                self.frames.push(Frame { is_shield: true, ..Frame::default() });
                let result = self.part(body);
                self.frames.pop();
                result
            }
            Node::Deadline(id, after, body) => {
                let frame = Frame::asked_at(vec![self.after(*after)]);
                self.frames.push(frame);
                self.converting(body, Event::DeadlinePassed(*id))
            }
            Node::Join { id, cancel, body } => self.join(*id, *cancel, body),
            Node::Group(id, body) => self.group(*id, body),
            Node::Child(id, body) => {
                self.now += 1;
                let group = self.group.expect("children are made in groups");
                if group.closed_at <= self.now {
                    self.log(Event::Refused(*id));
                } else {
                    self.out.children.push((self.now, group.id, *id, body));
                }
                Ok(())
            }
            Node::CancelGroup => {
                self.now += 1;
                let group = self.group.expect("there is a group");
                self.out.cancels.push((self.now, group.id, self.id));
                Ok(())
            }
            Node::CancelSelf => {
                self.now += 1;
                let task = &mut self.frames[0];
                let place = task.requests.partition_point(|request| *request <= self.now);
                task.requests.insert(place, self.now);
                Ok(())
            }
        }
    }

    /// The body of the innermost scope, which turns its own request into a value.
    fn converting(&mut self, body: &'p Rc<Node>, converted: Event) -> Result {
        let result = self.part(body);
        let is_own = matches!(result, Err(Stop::Unwound)) && self.is_own();
        self.frames.pop();
        if is_own {
            self.log(converted);
            return Ok(());
        }
        result
    }

    fn join(&mut self, id: u32, cancel: Option<u64>, body: &'p Rc<Node>) -> Result {
        self.now += 1;
        let handed = self.requests();
        let mut requests = handed.clone();
        requests.extend(cancel.map(|after| self.after(after)));
        let run = run_strand(id, body, next_turn(self.now), requests, None);
        self.out.merge(run.out);
        self.resume(next_turn(run.end));
        let was_handed = handed.first().is_some_and(|request| *request <= run.end);
        if run.ended == Ended::Cancelled {
            if was_handed {
                return Err(Stop::Unwound);
            }
            self.log(Event::JoinCancelled(id));
            return Ok(());
        }
        if was_handed {
            // It did not let itself be cancelled: who waits for it is not either.
            self.swallow();
        }
        match run.ended {
            Ended::Failed(error) => Err(Stop::Failed(error)),
            _ => Ok(()),
        }
    }

    fn group(&mut self, id: u32, body: &'p Rc<Node>) -> Result {
        let mut abort = None;
        loop {
            let attempt = self.group_with(id, body, abort);
            match attempt.first_failure {
                // The earliest failure aborts the group; nothing before it was any different.
                Some(failure) if abort.is_none_or(|abort: Abort| failure.at < abort.at) => {
                    abort = Some(failure);
                }
                _ => {
                    self.frames = attempt.body.frames;
                    (self.now, self.step) = (attempt.body.now, attempt.body.step);
                    self.joined_at = attempt.body.joined_at;
                    self.out.merge(attempt.body.out);
                    return self.group_end(id, attempt.ended, attempt.errors);
                }
            }
        }
    }

    fn group_end(&mut self, id: u32, ended: GroupEnd, mut errors: Vec<u32>) -> Result {
        errors.sort_unstable();
        if !errors.is_empty() {
            self.log(Event::GroupFailed(id, errors));
            return Err(Stop::Failed(id));
        }
        match ended {
            GroupEnd::Value => self.log(Event::GroupSucceeded(id)),
            GroupEnd::Cut => self.log(Event::GroupFailed(id, errors)),
            GroupEnd::Unwound => return Err(Stop::Unwound),
        }
        Ok(())
    }

    /// A group that is aborted at `abort`: its body, then its children, then what both come to.
    fn group_with(&self, id: u32, body: &'p Rc<Node>, abort: Option<Abort>) -> Attempt<'p> {
        let aborted_at = abort.map_or(Time::MAX, |abort| abort.at);
        let mut inside = Strand {
            id: self.id,
            frames: self.frames.clone(),
            group: Some(Group { id, closed_at: aborted_at }),
            now: self.now,
            step: self.step,
            joined_at: self.joined_at,
            out: Out::default(),
        };
        inside.frames.push(Frame::default());
        inside
            .frames
            .push(Frame::asked_at(abort.map(|abort| abort.reaches(self.id)).into_iter().collect()));
        let result = inside.part(body);
        let is_own = inside.is_own();
        inside.frames.pop();
        let body_end = inside.now;

        let mut errors = Vec::new();
        let mut failures = Vec::new();
        let mut ended = match result {
            Ok(()) => GroupEnd::Value,
            Err(Stop::Unwound) if is_own => GroupEnd::Cut,
            Err(Stop::Unwound) => GroupEnd::Unwound,
            Err(Stop::Failed(error)) => {
                errors.push(error);
                failures.push(Abort { at: body_end, by: None });
                GroupEnd::Cut
            }
        };
        // When the body has unwound, or has ended and the group is cancelled: the children are cancelled then, unless they
        // have been; and again for each request after that.
        let mut outside = VecDeque::from(inside.requests());
        let joined = match ended {
            GroupEnd::Unwound => Some(body_end),
            _ => outside.pop_front(),
        };
        let joined_at = joined.unwrap_or(Time::MAX);
        let mut requests: Vec<_> = joined.into_iter().chain(outside).collect();
        requests.retain(|request| *request != joined_at || aborted_at > joined_at);
        requests.retain(|request| *request >= joined_at);
        let abort = abort.filter(|abort| abort.at <= joined_at);

        let group = Group { id, closed_at: aborted_at.min(joined_at) };
        let (mut last_end, mut is_joined) = (0, false);
        let mut out = std::mem::take(&mut inside.out);
        loop {
            let is_ours = |child: &(Time, u32, u32, &'p Rc<Node>)| child.1 == id;
            let Some(next) = out.children.iter().position(is_ours) else { break };
            let (made, _, child, node) = out.children.remove(next);
            let mut requests = requests.clone();
            requests.extend(abort.map(|abort| abort.reaches(child)));
            let run = run_strand(child, node, next_turn(made), requests, Some(group));
            // A group that begins to join its children polls at once those that have been woken: those that have yet to
            // begin, and those that it aborted in this very step. They may end in it.
            let is_woken = run.out.log.is_empty()
                || abort.is_some_and(|abort| {
                    let in_this_step = joined_at == body_end && abort.at > inside.step;
                    in_this_step && abort.reaches(child) == run.step
                });
            let end = if is_woken { run.end.min(joined_at) } else { run.end };
            is_joined |= end >= joined_at;
            last_end = last_end.max(end);
            if let Some(error) = run.error {
                errors.push(error);
                failures.push(Abort { at: run.end, by: None });
            }
            out.merge(run.out);
        }
        let told = out.cancels.iter().filter(|cancel| cancel.1 == id);
        failures.extend(told.map(|cancel| Abort { at: cancel.0, by: Some(cancel.2) }));
        out.cancels.retain(|cancel| cancel.1 != id);
        inside.out = out;

        if is_joined {
            ended = GroupEnd::Unwound;
        }
        if last_end > body_end {
            if last_end / MICRO == body_end / MICRO {
                inside.joined_at = Some(last_end);
            }
            inside.resume(next_turn(last_end));
        }
        inside.frames.pop();
        let first_failure = failures
            .into_iter()
            .filter(|failure| failure.at <= joined_at)
            .min_by_key(|failure| failure.at);
        Attempt { body: inside, ended, errors, first_failure }
    }
}

enum GroupEnd {
    Value,
    /// Ended by itself, without a value.
    Cut,
    Unwound,
}

struct Attempt<'p> {
    body: Strand<'p>,
    ended: GroupEnd,
    errors: Vec<u32>,
    first_failure: Option<Abort>,
}

/// Why a group cancels its body and its children by itself.
#[derive(Clone, Copy)]
struct Abort {
    at: Time,
    /// The strand that asked for it, which goes on; one that failed has ended.
    by: Option<u32>,
}

impl Abort {
    /// When `strand` hears of it: at once if it has asked, else in its next turn.
    fn reaches(self, strand: u32) -> Time {
        if self.by == Some(strand) { self.at } else { next_turn(self.at) }
    }
}
