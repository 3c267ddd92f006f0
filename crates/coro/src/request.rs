//! The rules of cancellation: how a request travels, who unwinds when, who may swallow it.
//!
//! A request is an *epoch*, a number newer than all before it, put on the scope it is addressed to. It is pulled, not pushed:
//! a scope whose body is pending looks up its chain. (From one task to another that it waits for there is no chain: there it
//! is handed down, with its epoch, as soon as it is made, or when the leaf that waits finds it.) An epoch on the way up counts unless a cleanup that is newer runs in
//! between (it is *masked*), or a shield stands there. A scope that finds one unwinds: when no started, unfinished inner scope
//! is left, it drops its body and runs its cleanup.
//!
//! Whether inner scopes are left is decided by evidence. Every scope numbers the polls of its body (*passes*), an inner scope
//! records the number in which it was polled. If one was polled in this pass, it is being taken care of: wait. Otherwise wake
//! each of them once and try again; after [`GRACE`] passes in which none was polled the rest are *parked*, held by somebody
//! who does not poll them, and there is no use in waiting. The simpler rule "poll once more, then drop" loses cleanups
//! behind anything that polls only what was woken, or only so many at a time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Context, Waker};

use crate::hooks::{self, Report, SkipReason};
use crate::node::{
    ABOVE, Above, BEYOND, Base, CIRCLE, CLEANING, CUTTING, DONE, GENERATOR, HAS_CLEANUP, LATE,
    Leaf, Node, OLDEST_EPOCH, OWN, PROBED, REPORTED, Root, SHIELD, STARTED, TOO_LATE, TWICE,
    UNWINDING, UNWOUND, fresh_epoch, newest_epoch, outstanding, with_current_scope,
};
use crate::panics;
use crate::task::TaskRef;

/// Passes, in a row, in which nobody polled an inner scope, until it counts as parked. Long enough for any container that
/// polls a few of many futures at a time, short enough to be over in well under a millisecond.
const GRACE: u16 = 1024;

/// A request as one scope sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) epoch: u64,
    /// Addressed to a scope further up, not to this one.
    pub(crate) is_above: bool,
}

impl Node {
    /// Asks this scope to unwind. The wakers of everything inside are to be called once no reference to the node is left.
    pub(crate) fn ask(&self) -> Wakers {
        self.ask_with(fresh_epoch())
    }

    /// The same, but what cleans up already may go on: as if it had been asked before it began to.
    pub(crate) fn ask_gently(&self) -> Wakers {
        self.ask_with(OLDEST_EPOCH)
    }

    fn ask_with(&self, epoch: u64) -> Wakers {
        self.base().request.set(self.base().request.get().max(epoch));
        self.base().set(OWN);
        self.recount();
        let mut wakers = Wakers::default();
        let mut tasks = Vec::new();
        // To the tasks that are waited for inside it is a request like any other, and each of those has its own number.
        let handed = if epoch == OLDEST_EPOCH { fresh_epoch() } else { epoch };
        wakers.ask_inside(self.base(), handed, &mut tasks);
        wakers.ask_tasks(tasks, handed, None);
        wakers
    }

    /// After a pending poll: the newest request this scope must follow, if there is one.
    #[inline]
    pub(crate) fn requested(&self) -> Option<Request> {
        if outstanding() { self.look_up_or_follow() } else { None }
    }

    #[cold]
    fn look_up_or_follow(&self) -> Option<Request> {
        // A request from above this scope may be gone from the way up, swallowed by one inner scope, and followed by another.
        let beyond = unwinding_children(self.base()).filter(|child| child.base().has(BEYOND));
        if let Some(epoch) = beyond.map(|child| child.inherited.get()).max() {
            self.inherited.set(self.inherited.get().max(epoch));
            self.recount();
        }
        if let Some(request) = self.look_up() {
            return Some(request);
        }
        // The request that an inner scope unwinds for may be gone meanwhile: swallowed by its sibling, or left behind with the
        // task that the inner scope was moved from. Unwinding wins, and the other inner scopes must hear of it.
        if let Some(epoch) = escalated(self.base()) {
            let is_above = !self.base().has(OWN);
            let slot = if is_above { &self.inherited } else { &self.base().request };
            slot.set(slot.get().max(epoch));
            self.recount();
            return Some(Request { epoch, is_above });
        }
        if self.base().has(UNWINDING) {
            self.base().clear(UNWINDING | ABOVE | CUTTING | TWICE);
            self.recount();
        }
        None
    }

    /// The newest request on the way up that is neither swallowed nor masked.
    pub(crate) fn look_up(&self) -> Option<Request> {
        let mut mask = self.mask();
        let mut found = Request { epoch: 0, is_above: false };
        let own = self.base().request.get();
        if own > mask {
            found.epoch = own;
        }
        let mut next = None;
        if !self.base().has(SHIELD) {
            let inherited = self.inherited.get();
            if inherited > mask {
                found = Request { epoch: found.epoch.max(inherited), is_above: true };
            }
            next = self.parent();
        }
        while let Some(above) = next {
            mask = mask.max(above.mask());
            let epoch = above.epoch();
            if epoch > mask {
                found = Request { epoch: found.epoch.max(epoch), is_above: true };
            }
            next = if above.base().has(SHIELD) { None } else { above.parent() };
        }
        (found.epoch > 0).then_some(found)
    }

    /// Requests up to this epoch do not reach what runs inside.
    fn mask(&self) -> u64 {
        if self.base().has(CLEANING) { self.epoch.get() } else { 0 }
    }

    /// Decides to unwind for `request`, which must have come from [`requested`](Node::requested).
    pub(crate) fn unwind_for(&self, request: Request) {
        if !self.base().has(CLEANING) {
            if self.base().has(UNWINDING) && request.epoch > self.epoch.get() {
                self.base().set(TWICE);
            }
            self.epoch.set(request.epoch);
        }
        if request.is_above {
            self.base().set(ABOVE);
        } else {
            self.base().clear(ABOVE);
        }
        if self.base().has(UNWINDING) {
            return;
        }
        self.base().set(UNWINDING);
        self.recount();
        begin_unwinding(self.base());
    }

    /// The body is gone, the cleanup begins: no request made so far reaches it.
    pub(crate) fn begin_cleanup(&self) {
        self.base().orphan_children();
        self.base().set(CLEANING);
        self.base().clear(TWICE);
        self.base().grace.set(0);
        self.epoch.set(newest_epoch());
    }

    /// Whether `request` was made after the running cleanup began; else it comes from a scope inside the cleanup that has
    /// unwound and can only be dropped.
    pub(crate) fn is_newer(&self, request: Request) -> bool {
        request.epoch > self.mask()
    }

    /// Decides to cut the running cleanup as soon as the scopes inside it have unwound.
    pub(crate) fn cut(&self) {
        if self.base().has(CUTTING) {
            return;
        }
        self.base().set(CUTTING | UNWINDING | ABOVE | TWICE);
        self.recount();
        begin_unwinding(self.base());
    }

    /// A part of the cleanup was cut, and the next part begins: no request made so far reaches it.
    pub(crate) fn resume_cleanup(&self) {
        self.base().clear(UNWINDING | ABOVE | CUTTING);
        self.recount();
        self.begin_cleanup();
    }

    /// The running cleanup has taken note of a newer request: it no longer reaches it.
    pub(crate) fn mask_newest(&self) {
        self.epoch.set(newest_epoch());
    }

    /// Says that this scope has unwound for a request from above: whoever polls it must unwind too.
    pub(crate) fn end_unwound(&self) {
        self.base().orphan_children();
        self.base().clear(CLEANING | HAS_CLEANUP | UNWINDING);
        self.base().set(UNWOUND | ABOVE);
        self.epoch.set(newest_epoch());
        self.recount();
    }

    /// Ends the scope, with a value or a panic: it is nobody's inner scope any more.
    pub(crate) fn finish(&self) {
        self.base().orphan_children();
        self.unlink();
        self.base().clear(UNWINDING | ABOVE | CLEANING | HAS_CLEANUP);
        self.base().set(DONE);
        self.base().request.set(0);
        self.inherited.set(0);
        self.recount();
    }

    /// Takes every request up to `newest` that reaches this scope off the way up to the task. The other scopes that it
    /// reached, off that way, keep it: so the order in which they are polled does not matter.
    pub(crate) fn swallow(&self, newest: u64) {
        let mut wakers = Wakers::default();
        let mut mask = self.mask();
        if self.base().request.get() <= newest {
            self.base().request.set(0);
        }
        let mut next = None;
        if !self.base().has(SHIELD) {
            if self.inherited.get() <= newest {
                self.inherited.set(0);
            }
            next = self.parent();
        }
        self.recount();
        while let Some(above) = next {
            mask = mask.max(above.mask());
            let taken = above.take(mask, newest);
            if taken > 0 {
                self.leave_to_the_others(above, taken, &mut wakers);
            }
            next = if above.base().has(SHIELD) { None } else { above.parent() };
        }
        self.calm();
        wakers.wake();
    }

    /// After a request was swallowed here: the scopes further up that unwound for it and for nothing else do not any more.
    /// What begins in them from now on, and what is asked of them, is not for a scope that unwinds.
    fn calm(&self) {
        let others_escalate =
            |base: &Base| unwinding_children(base).any(|child| !std::ptr::eq(child, self));
        let mut next = if self.base().has(SHIELD) { None } else { self.parent() };
        while let Some(above) = next {
            let base = above.base();
            if base.has(UNWINDING) && !above.is_asked() && !others_escalate(base) {
                base.clear(UNWINDING | ABOVE | CUTTING | TWICE);
                match above {
                    Above::Node(node) => node.recount(),
                    Above::Root(root) => root.recount(),
                }
            }
            next = if base.has(SHIELD) { None } else { above.parent() };
        }
    }

    /// Hands `epoch`, taken off `top`, to the scopes beside the way from `top` down to this one.
    fn leave_to_the_others(&self, top: Above<'_>, epoch: u64, wakers: &mut Wakers) {
        let mut on_the_way = self;
        while let Some(level) = on_the_way.parent() {
            for other in level.base().children() {
                let is_live = !std::ptr::eq(other, on_the_way) && other.is_live();
                if !is_live || epoch <= other.mask() {
                    continue;
                }
                if !std::ptr::eq(level.base(), top.base()) {
                    other.base().set(BEYOND);
                }
                if epoch > other.inherited.get() {
                    other.inherited.set(epoch);
                    other.recount();
                    wakers.extend(other.take_waker());
                    wakers.extend_from(other.base());
                }
            }
            match level {
                Above::Node(node) if !std::ptr::eq(node.base(), top.base()) => on_the_way = node,
                _ => return,
            }
        }
    }

    /// Started, and neither ended nor unwound.
    fn is_live(&self) -> bool {
        !self.base().has(UNWOUND | DONE)
    }

    fn escalates(&self) -> bool {
        self.base().has(ABOVE) && self.base().has(UNWINDING | UNWOUND)
    }

    /// Notes whether the cleanup has anything to do.
    #[inline]
    pub(crate) fn owe(&self, is_owed: bool) {
        if is_owed != self.base().has(HAS_CLEANUP) {
            if is_owed {
                self.base().set(HAS_CLEANUP);
            } else {
                self.base().clear(HAS_CLEANUP);
            }
        }
    }

    /// Reports that the cleanup is skipped, once, if one is owed.
    pub(crate) fn report_skipped(&self, reason: SkipReason) {
        if let Some(report) = self.skipped(reason) {
            hooks::report(report);
        }
    }

    /// What is to be reported, once, if the cleanup is skipped and one is owed.
    pub(crate) fn skipped(&self, reason: SkipReason) -> Option<Report> {
        let base = self.base();
        if !base.has(HAS_CLEANUP) || !base.has(STARTED) || base.has(REPORTED | DONE | UNWOUND) {
            return None;
        }
        base.set(REPORTED);
        let reason = if base.has(CLEANING) { SkipReason::Cut } else { reason };
        Some(Report::SkippedCleanup { task: self.task_label(), site: self.site, reason })
    }
}

impl Root {
    /// Puts a request on the task, unless it has a newer one.
    pub(crate) fn ask(&self, epoch: u64) {
        if self.base().has(UNWINDING) && epoch > self.base().request.get() {
            self.base().set(TWICE);
        }
        self.base().request.set(self.base().request.get().max(epoch));
        self.recount();
    }

    /// Takes the request back. If some scope already unwinds for it, the task follows that scope all the same.
    pub(crate) fn withdraw(&self) {
        self.base().request.set(0);
        self.recount();
    }

    /// After a pending step: whether the task is to unwind.
    #[inline]
    pub(crate) fn is_requested(&self) -> bool {
        outstanding() && self.look_or_follow()
    }

    #[cold]
    fn look_or_follow(&self) -> bool {
        if self.base().request.get() == 0 {
            let Some(epoch) = escalated(self.base()) else {
                self.base().clear(UNWINDING | TWICE);
                self.recount();
                return false;
            };
            self.base().request.set(epoch);
            self.recount();
        }
        if !self.base().has(UNWINDING) {
            self.base().set(UNWINDING);
            begin_unwinding(self.base());
        }
        true
    }
}

impl Above<'_> {
    fn mask(self) -> u64 {
        match self {
            Above::Node(node) => node.mask(),
            Above::Root(_) => 0,
        }
    }

    /// Whether a request reaches this level.
    fn is_asked(self) -> bool {
        match self {
            Above::Node(node) => node.look_up().is_some(),
            Above::Root(root) => root.base().request.get() != 0,
        }
    }

    /// The newest request at this level.
    fn epoch(self) -> u64 {
        match self {
            Above::Node(node) if !node.base().has(SHIELD) => {
                node.base().request.get().max(node.inherited.get())
            }
            _ => self.base().request.get(),
        }
    }

    /// Takes away the requests at this level that are newer than `mask` and not newer than `newest`.
    fn take(self, mask: u64, newest: u64) -> u64 {
        let is_ours = |epoch: u64| epoch > mask && epoch <= newest;
        let mut taken = 0;
        let request = self.base().request.get();
        if is_ours(request) {
            taken = request;
            self.base().request.set(0);
        }
        match self {
            Above::Node(node) => {
                let inherited = node.inherited.get();
                if !node.base().has(SHIELD) && is_ours(inherited) {
                    taken = taken.max(inherited);
                    node.inherited.set(0);
                }
                node.recount();
            }
            Above::Root(root) => root.recount(),
        }
        taken
    }
}

/// Wakers moved out of the tree, so that they are called with no node in our hands: a waker may drop or poll anything.
#[derive(Default)]
#[must_use = "whoever was to be woken is still asleep"]
pub(crate) struct Wakers(Vec<Waker>);

impl Wakers {
    pub(crate) fn extend(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        self.0.extend(wakers);
    }

    pub(crate) fn extend_from(&mut self, base: &Base) {
        base.take_wakers(&mut self.0);
    }

    /// Asks `task` to unwind, and what it waits for, and what that waits for, as far down as one finds anybody. `None` when
    /// it has ended.
    pub(crate) fn ask_task(task: &TaskRef, message: Option<Arc<str>>) -> Option<Self> {
        let mut wakers = Wakers::default();
        let mut tasks = Vec::new();
        let epoch = fresh_epoch();
        if !wakers.ask_one(task, epoch, message.clone(), &mut tasks) {
            return None;
        }
        wakers.ask_tasks(tasks, epoch, message);
        Some(wakers)
    }

    /// Asks the tasks that a leaf waits for, if any is left.
    pub(crate) fn ask_leaf(&mut self, leaf: &Leaf, epoch: u64, message: Option<Arc<str>>) {
        let mut tasks = Vec::new();
        leaf.hand_down(epoch, &mut tasks);
        self.ask_tasks(tasks, epoch, message);
    }

    /// Asks each of `tasks`, the last one first, and all below it before the next. Takes no stack, however deep.
    fn ask_tasks(&mut self, mut tasks: Vec<TaskRef>, epoch: u64, message: Option<Arc<str>>) {
        while let Some(task) = tasks.pop() {
            self.ask_one(&task, epoch, message.clone(), &mut tasks);
        }
    }

    /// Asks `task` alone, and adds those that it waits for to `tasks`. False when it has ended.
    fn ask_one(
        &mut self,
        task: &TaskRef,
        epoch: u64,
        message: Option<Arc<str>>,
        tasks: &mut Vec<TaskRef>,
    ) -> bool {
        let is_live = task.ask(epoch, message);
        if is_live {
            self.0.push(task.waker().clone());
            task.with_root(|root| self.ask_inside(root, epoch, tasks));
        }
        is_live
    }

    /// Collects the wakers of everything inside `top`, which has just been asked, and the tasks that leaves in it wait for
    /// and are to be asked: in the order in which they were linked, seen from the end.
    fn ask_inside(&mut self, top: &Base, epoch: u64, tasks: &mut Vec<TaskRef>) {
        top.take_wakers(&mut self.0);
        for node in top.descendants() {
            let Some(leaf) = node.leaf() else { continue };
            if leaf.handed.get() == epoch {
                // Nobody has more than one awaiter: we have come round.
                node.base().set(CIRCLE);
            } else if node.look_up().is_some_and(|request| request.epoch > leaf.handed.get()) {
                leaf.hand_down(epoch, tasks);
            }
        }
    }

    /// Calls them all. A waker that panics costs the others nothing; its panic goes on afterwards.
    pub(crate) fn wake(self) {
        let mut panicked = None;
        for waker in self.0 {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                panicked.replace(payload).into_iter().for_each(panics::discard);
            }
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    }
}

/// The newest epoch for which an inner scope unwinds that was addressed above it.
fn escalated(base: &Base) -> Option<u64> {
    unwinding_children(base).map(|child| child.epoch.get().max(1)).max()
}

/// The inner scopes that unwind, or have unwound, for a request addressed above them.
fn unwinding_children(base: &Base) -> impl Iterator<Item = &Node> {
    base.children().filter(|child| child.escalates())
}

/// A scope has just decided to unwind. Inner scopes polled earlier in this pass, before the request was made, and linked too
/// late to be woken by it, must look again.
fn begin_unwinding(base: &Base) {
    base.grace.set(0);
    let mut wakers = Wakers::default();
    let asleep = base.descendants().filter(|node| !node.base().has(UNWINDING | UNWOUND));
    wakers.extend(asleep.filter_map(Node::take_waker));
    wakers.wake();
}

/// The body is pending and its scope is to unwind: may the body be dropped now?
///
/// A body whose inner scopes come to their ends is waited for as long as they take. One that goes on beginning new ones is
/// not: a scope that begins in this very pass is no evidence that anything comes to an end, and one that begins after a
/// second request is not waited for at all.
pub(crate) fn may_drop(base: &Base, cx: &Context<'_>) -> bool {
    let pass = base.pass.get();
    let was_polled = |child: &Node| child.polled_in.get() == pass;
    let was_born = |child: &Node| child.base().has(LATE) && child.born_in.get() == pass;
    let is_too_late = |child: &Node| child.base().has(TOO_LATE) && base.has(TWICE);
    let live = || base.children().filter(|child| child.is_live() && !is_too_late(child));
    if live().next().is_none() {
        if base.has(TWICE) {
            report_parked(base, SkipReason::Cut);
        }
        return true;
    }
    let is_attended = live().any(|child| was_polled(child) && !was_born(child));
    let is_waited_for = live().any(was_polled);
    let mut wakers = Wakers::default();
    for child in live().filter(|child| !was_polled(child) && !child.base().has(PROBED)) {
        child.base().set(PROBED);
        if !child.base().has(LATE) {
            base.grace.set(0);
        }
        wakers.extend(child.take_waker());
    }
    if is_attended {
        base.grace.set(0);
        wakers.wake();
        return false;
    }
    if base.grace.get() == GRACE {
        report_parked(base, SkipReason::Parked);
        return true;
    }
    base.grace.set(base.grace.get() + 1);
    wakers.wake();
    if !is_waited_for {
        cx.waker().wake_by_ref();
    }
    false
}

/// Whether what is being polled is to be dropped for a request.
pub(crate) fn is_current_requested() -> bool {
    let is_requested = |scope: Above<'_>| match scope {
        Above::Node(node) if node.base().has(CLEANING) => {
            node.base().has(CUTTING) || node.look_up().is_some()
        }
        Above::Node(node) => node.base().has(UNWINDING) || node.look_up().is_some(),
        Above::Root(root) => root.base().has(UNWINDING) || root.base().request.get() != 0,
    };
    with_current_scope(is_requested).unwrap_or(false)
}

/// Reports the cleanups that are lost when a scope drops its body now: not those in a generator, which may be finished by
/// somebody else.
fn report_parked(base: &Base, reason: SkipReason) {
    let is_lost = |node: &&Node| {
        let mut at = *node;
        loop {
            if at.base().has(GENERATOR) {
                return false;
            }
            match at.parent() {
                Some(Above::Node(above)) if !std::ptr::eq(above.base(), base) => at = above,
                _ => return true,
            }
        }
    };
    let lost = base.descendants().filter(is_lost);
    let reports: Vec<Report> = lost.filter_map(|node| node.skipped(reason)).collect();
    reports.into_iter().for_each(hooks::report);
}
