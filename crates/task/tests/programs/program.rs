//! What a random program is made of, and how it is made and shrunk.

use std::rc::Rc;

/// A program: a task, and when it is cancelled from outside.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) root: Rc<Node>,
    /// Times in microseconds.
    pub(crate) cancels: Vec<u64>,
}

/// A part of a program. Durations are in microseconds, and not 0.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Nothing,
    Sleep(u64),
    /// Returns an error: `Err(number)`.
    Fail(u32),
    /// One after the other, up to the first error.
    Sequence(Vec<Rc<Node>>),
    /// `try_finally`, `with` or `async_with`.
    Finally(u32, Keeper, Rc<Node>, Rc<Node>),
    /// `catch_cancel`.
    Catch(u32, Rc<Node>),
    /// `CancelScope::run`; cancelled after a while, shielded or not.
    Scope {
        id: u32,
        cancel: Option<u64>,
        is_shielded: bool,
        body: Rc<Node>,
    },
    /// `masked`.
    Masked(Rc<Node>),
    /// `deadline_scope`.
    Deadline(u32, u64, Rc<Node>),
    /// A task that is awaited at once, and cancelled by its handle after a while. It begins with a sleep.
    Join {
        id: u32,
        cancel: Option<u64>,
        body: Rc<Node>,
    },
    /// `TaskGroup::scope`.
    Group(u32, Rc<Node>),
    /// Makes a child in the innermost group around it. The child begins with a sleep.
    Child(u32, Rc<Node>),
    /// `cancel` of the innermost group.
    CancelGroup,
    /// `current_task().cancel()`.
    CancelSelf,
}

/// Which function keeps the promise of a cleanup.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keeper {
    TryFinally,
    With,
    AsyncWith,
}

/// Makes programs from a seed.
pub(crate) struct Generator {
    state: u64,
    next_id: u32,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, next_id: 1 }
    }

    pub(crate) fn program(&mut self) -> Program {
        let depth = 2 + self.below(5) as u32;
        let root = self.strand(depth, false);
        let cancels = (0..self.below(4)).map(|_| self.time() * 2).collect();
        Program { root: Rc::new(root), cancels }
    }

    /// A number below `bound`: xorshift64*.
    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    fn time(&mut self) -> u64 {
        1 + self.below(1_000_000)
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    fn some_time(&mut self, one_in: u64) -> Option<u64> {
        (self.below(one_in) == 0).then(|| self.time())
    }

    /// What a new task does: it begins with a sleep, so that its first step does nothing to others.
    fn strand(&mut self, depth: u32, in_group: bool) -> Node {
        let sleep = Rc::new(Node::Sleep(self.time()));
        Node::Sequence(vec![sleep, self.node(depth, in_group)])
    }

    fn node(&mut self, depth: u32, in_group: bool) -> Rc<Node> {
        let Some(depth) = depth.checked_sub(1) else { return Rc::new(self.leaf(in_group)) };
        Rc::new(match self.below(16) {
            0 | 1 => self.leaf(in_group),
            2..=4 => {
                let count = 2 + self.below(2);
                Node::Sequence((0..count).map(|_| self.node(depth, in_group)).collect())
            }
            5 | 6 => {
                let keeper = match self.below(3) {
                    0 => Keeper::TryFinally,
                    1 => Keeper::With,
                    _ => Keeper::AsyncWith,
                };
                let body = self.node(depth, in_group);
                let cleanup = self.node(depth.min(2), in_group);
                Node::Finally(self.id(), keeper, body, cleanup)
            }
            7 => Node::Catch(self.id(), self.node(depth, in_group)),
            8 | 9 => Node::Scope {
                id: self.id(),
                cancel: self.some_time(2),
                is_shielded: self.below(3) == 0,
                body: self.node(depth, in_group),
            },
            10 => Node::Deadline(self.id(), self.time(), self.node(depth, in_group)),
            11 => Node::Masked(self.node(depth, in_group)),
            12 => Node::Join {
                id: self.id(),
                cancel: self.some_time(3),
                body: Rc::new(self.strand(depth, false)),
            },
            _ => {
                let mut parts: Vec<_> = (0..self.below(4))
                    .map(|_| Rc::new(Node::Child(self.id(), Rc::new(self.strand(depth, true)))))
                    .collect();
                parts.push(self.node(depth, true));
                Node::Group(self.id(), Rc::new(Node::Sequence(parts)))
            }
        })
    }

    fn leaf(&mut self, in_group: bool) -> Node {
        match self.below(12) {
            0 => Node::Nothing,
            1 | 2 => Node::Fail(self.id()),
            3 => Node::CancelSelf,
            4 if in_group => Node::CancelGroup,
            5 if in_group => Node::Child(self.id(), Rc::new(self.strand(1, true))),
            _ => Node::Sleep(self.time()),
        }
    }
}

impl Program {
    /// Programs that are a little smaller.
    pub(crate) fn shrunk(&self) -> Vec<Program> {
        let mut smaller: Vec<_> = (0..self.cancels.len())
            .map(|index| {
                let mut cancels = self.cancels.clone();
                cancels.remove(index);
                Program { root: self.root.clone(), cancels }
            })
            .collect();
        let roots = self.root.shrunk();
        smaller.extend(roots.into_iter().map(|root| {
            let (root, cancels) = (Rc::new(root), self.cancels.clone());
            Program { root, cancels }
        }));
        smaller
    }
}

impl Node {
    /// Parts that are a little smaller. A strand still begins with its sleep.
    fn shrunk(&self) -> Vec<Node> {
        let own = |part: &Rc<Node>| Node::clone(part);
        let each = |part: &Rc<Node>, rebuild: &dyn Fn(Rc<Node>) -> Node| -> Vec<Node> {
            part.shrunk().into_iter().map(|part| rebuild(Rc::new(part))).collect()
        };
        let mut smaller = Vec::new();
        match self {
            Node::Nothing => {}
            Node::Sleep(_) | Node::Fail(_) | Node::CancelGroup | Node::CancelSelf => {
                smaller.push(Node::Nothing);
            }
            Node::Sequence(parts) => {
                for index in 0..parts.len() {
                    let is_first_sleep = index == 0 && matches!(*parts[0], Node::Sleep(_));
                    if !is_first_sleep {
                        let mut fewer = parts.clone();
                        fewer.remove(index);
                        smaller.push(Node::Sequence(fewer));
                        for part in parts[index].shrunk() {
                            let mut parts = parts.clone();
                            parts[index] = Rc::new(part);
                            smaller.push(Node::Sequence(parts));
                        }
                    }
                }
            }
            Node::Finally(id, keeper, body, cleanup) => {
                let (id, keeper) = (*id, *keeper);
                smaller.extend([own(body), own(cleanup)]);
                smaller
                    .extend(each(body, &|body| Node::Finally(id, keeper, body, cleanup.clone())));
                smaller
                    .extend(each(cleanup, &|part| Node::Finally(id, keeper, body.clone(), part)));
            }
            Node::Catch(id, body) => {
                smaller.push(own(body));
                smaller.extend(each(body, &|body| Node::Catch(*id, body)));
            }
            Node::Scope { id, cancel, is_shielded, body } => {
                let (id, cancel, is_shielded) = (*id, *cancel, *is_shielded);
                smaller.push(own(body));
                if cancel.is_some() {
                    let body = body.clone();
                    smaller.push(Node::Scope { id, cancel: None, is_shielded, body });
                }
                smaller.extend(each(body, &|body| Node::Scope { id, cancel, is_shielded, body }));
            }
            Node::Masked(body) => {
                smaller.push(own(body));
                smaller.extend(each(body, &Node::Masked));
            }
            Node::Deadline(id, after, body) => {
                smaller.push(own(body));
                smaller.extend(each(body, &|body| Node::Deadline(*id, *after, body)));
            }
            Node::Join { id, cancel, body } => {
                let (id, cancel) = (*id, *cancel);
                smaller.push(own(body));
                if cancel.is_some() {
                    smaller.push(Node::Join { id, cancel: None, body: body.clone() });
                }
                smaller.extend(each(body, &|body| Node::Join { id, cancel, body }));
            }
            Node::Group(id, body) => smaller.extend(each(body, &|body| Node::Group(*id, body))),
            Node::Child(id, body) => {
                smaller.push(Node::Nothing);
                smaller.extend(each(body, &|body| Node::Child(*id, body)));
            }
        }
        smaller
    }
}
