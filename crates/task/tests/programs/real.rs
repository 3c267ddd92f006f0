//! Runs a program for real.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use asyncio_coro::{
    AsyncContextManager, CancelScope, Deadline, ExitReason, async_with, catch_cancel,
    deadline_scope, masked, try_finally, with,
};
use asyncio_loop::{EventLoop, get_running_loop};
use asyncio_task::{TaskGroup, all_tasks, create_task, current_task, sleep};

use super::program::{Keeper, Node, Program};
use super::{Ended, Event, Log, Outcome};

/// Runs a program on the running loop, whose clock is to be virtual.
pub(crate) async fn run(program: &Program) -> Outcome {
    let event_loop = get_running_loop().expect("a loop runs");
    let world = Rc::new(World { start: event_loop.time(), event_loop, log: RefCell::default() });
    // Cleanups that are cut are reported, and nothing else goes wrong.
    world.event_loop.set_exception_handler(|_, context| {
        assert!(context.to_string().contains("was cut short"), "{context}");
    });
    let root = program.root.clone();
    let task = create_task({
        let world = world.clone();
        async move { strand(&root, &world, 0, None).await }
    });
    let handle = all_tasks().into_iter().find(|listed| listed.id() == task.id());
    let handle = handle.expect("it is listed");
    for when in &program.cancels {
        let handle = handle.clone();
        world.event_loop.call_later(micros(*when), move || {
            handle.cancel();
        });
    }
    let ended = match task.await {
        Ok(Ok(())) => Ended::Value,
        Ok(Err(error)) => Ended::Failed(error),
        Err(error) if error.is_cancelled() => Ended::Cancelled,
        Err(error) => panic!("{error}"),
    };
    let left = all_tasks();
    assert!(left.is_empty(), "{left:?} are left");
    Outcome { log: world.log.take(), ended }
}

/// What the parts of a program share.
struct World {
    event_loop: EventLoop,
    start: Instant,
    log: RefCell<Log>,
}

impl World {
    fn log(&self, strand: u32, event: Event) {
        let now = self.event_loop.time() - self.start;
        let now = u64::try_from(now.as_micros()).expect("it is not that long");
        self.log.borrow_mut().entry(strand).or_default().push((now, event));
    }

    /// Logs `event` when dropped.
    fn on_drop(&self, strand: u32, event: Event) -> OnDrop<'_> {
        OnDrop { world: self, strand, event: Some(event) }
    }
}

struct OnDrop<'a> {
    world: &'a World,
    strand: u32,
    event: Option<Event>,
}

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        let event = self.event.take().expect("dropped once");
        self.world.log(self.strand, event);
    }
}

type Group<'s, 'e> = Option<&'s TaskGroup<'s, 'e, u32>>;

/// The body of a task or child.
async fn strand<'s, 'e: 's>(
    node: &'e Rc<Node>,
    world: &'e Rc<World>,
    id: u32,
    group: Group<'s, 'e>,
) -> Result<(), u32> {
    world.log(id, Event::Begun(id));
    let _gone = world.on_drop(id, Event::BodyGone(id));
    let result = part(node, world, id, group).await;
    world.log(id, Event::Returned(id, result));
    result
}

/// One part of a program, in the strand of that number.
fn part<'s, 'e: 's>(
    node: &'e Rc<Node>,
    world: &'e Rc<World>,
    strand: u32,
    group: Group<'s, 'e>,
) -> Pin<Box<dyn Future<Output = Result<(), u32>> + 's>> {
    Box::pin(async move {
        match &**node {
            Node::Nothing => Ok(()),
            Node::Sleep(time) => {
                sleep(micros(*time)).await;
                Ok(())
            }
            Node::Fail(number) => Err(*number),
            Node::Sequence(parts) => {
                for node in parts {
                    part(node, world, strand, group).await?;
                }
                Ok(())
            }
            Node::Finally(id, keeper, body, cleanup) => {
                let body = async {
                    world.log(strand, Event::Begun(*id));
                    let _gone = world.on_drop(strand, Event::BodyGone(*id));
                    part(body, world, strand, group).await
                };
                let cleanup = async || {
                    world.log(strand, Event::CleanupBegun(*id));
                    let _gone = world.on_drop(strand, Event::CleanupGone(*id));
                    // A cleanup gives no error.
                    let _ = part(cleanup, world, strand, group).await;
                    world.log(strand, Event::CleanupEnded(*id));
                };
                match keeper {
                    Keeper::TryFinally => try_finally(body, cleanup).await,
                    Keeper::With => {
                        with(7, async |_: &mut u32| body.await, async |_| cleanup().await).await
                    }
                    Keeper::AsyncWith => async_with(Manager(cleanup), async |()| body.await).await,
                }
            }
            Node::Catch(id, body) => match catch_cancel(part(body, world, strand, group)).await {
                Ok(result) => result,
                Err(_) => {
                    world.log(strand, Event::Caught(*id));
                    Ok(())
                }
            },
            Node::Scope { id, cancel, is_shielded, body } => {
                let scope = CancelScope::new().shielded(*is_shielded);
                if let Some(after) = cancel {
                    let scope = scope.clone();
                    world.event_loop.call_later(micros(*after), move || scope.cancel());
                }
                match scope.run(part(body, world, strand, group)).await {
                    Ok(result) => result,
                    Err(_) => {
                        world.log(strand, Event::ScopeCancelled(*id));
                        Ok(())
                    }
                }
            }
            Node::Masked(body) => masked(part(body, world, strand, group)).await,
            Node::Deadline(id, after, body) => {
                let after = Deadline::After(micros(*after));
                match deadline_scope(after, part(body, world, strand, group)).await {
                    Ok(result) => result,
                    Err(_) => {
                        world.log(strand, Event::DeadlinePassed(*id));
                        Ok(())
                    }
                }
            }
            Node::Join { id, cancel, body } => {
                let (body, inside, number) = (body.clone(), world.clone(), *id);
                let task =
                    create_task(async move { self::strand(&body, &inside, number, None).await });
                if let Some(after) = cancel {
                    let mut listed = all_tasks().into_iter();
                    let handle = listed.find(|listed| listed.id() == task.id());
                    let handle = handle.expect("it is listed");
                    world.event_loop.call_later(micros(*after), move || {
                        handle.cancel();
                    });
                }
                match task.await {
                    Ok(result) => result,
                    Err(_) => {
                        world.log(strand, Event::JoinCancelled(*id));
                        Ok(())
                    }
                }
            }
            Node::Group(id, body) => {
                let ended =
                    TaskGroup::scope(async |group| part(body, world, strand, Some(group)).await);
                match ended.await {
                    Ok(()) => {
                        world.log(strand, Event::GroupSucceeded(*id));
                        Ok(())
                    }
                    Err(errors) => {
                        let mut errors = errors.into_errors();
                        errors.sort_unstable();
                        let result = if errors.is_empty() { Ok(()) } else { Err(*id) };
                        world.log(strand, Event::GroupFailed(*id, errors));
                        result
                    }
                }
            }
            Node::Child(id, body) => {
                let group = group.expect("children are made in groups");
                let child = group.create_task(self::strand(body, world, *id, Some(group)));
                if child.cancelled() {
                    world.log(strand, Event::Refused(*id));
                }
                Ok(())
            }
            Node::CancelGroup => {
                group.expect("there is a group").cancel();
                Ok(())
            }
            Node::CancelSelf => {
                current_task().expect("it runs in a task").cancel();
                Ok(())
            }
        }
    })
}

struct Manager<C>(C);

impl<C: AsyncFnOnce()> AsyncContextManager for Manager<C> {
    type Entered = ();

    async fn aenter(&mut self) {}

    async fn aexit(self, (): (), _: ExitReason) {
        (self.0)().await;
    }
}

fn micros(time: u64) -> Duration {
    Duration::from_micros(time)
}
