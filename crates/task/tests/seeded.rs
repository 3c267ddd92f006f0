//! One seed, one trace: a program of tasks, timers and sockets runs twice in the same way.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use asyncio_coro::yield_now;
use asyncio_loop::testing::{self, ClockMode, Trace, TraceEvent, Traced, virtual_loop};
use asyncio_loop::{IoHandle, RunError};
use asyncio_task::{OwnedTaskGroup, TaskGroup, create_task, sleep};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Four echo connections, two of each kind, with clients that pause between their messages, and tasks that only sleep.
async fn program() {
    let mut tasks = Vec::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for n in 0..2 {
        let (client, server) = UnixStream::pair().unwrap();
        tasks.push(create_task(echo(IoHandle::new(server).unwrap())));
        tasks.push(create_task(talk(IoHandle::new(client).unwrap(), n)));
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        client.set_nonblocking(true).unwrap();
        server.set_nonblocking(true).unwrap();
        tasks.push(create_task(echo(IoHandle::new(server).unwrap())));
        tasks.push(create_task(talk(IoHandle::new(client).unwrap(), n + 2)));
    }
    for n in 1..4 {
        let sleeper = create_task(async move {
            for _ in 0..5 {
                sleep(MILLISECOND * n).await;
            }
        });
        sleeper.set_name(format!("sleeper {n}"));
        tasks.push(sleeper);
    }
    for task in tasks {
        task.await.unwrap();
    }
}

async fn echo<T: Send + 'static + std::os::fd::AsFd>(stream: IoHandle<T>)
where
    for<'a> &'a T: Read + Write,
{
    let mut byte = [0];
    while stream.read_with(|mut stream| stream.read(&mut byte)).await.unwrap() > 0 {
        stream.write_with(|mut stream| stream.write_all(&byte)).await.unwrap();
    }
}

async fn talk<T: Send + 'static + std::os::fd::AsFd>(stream: IoHandle<T>, n: u32)
where
    for<'a> &'a T: Read + Write,
{
    for round in 0..4 {
        let mut byte = [n as u8 + round];
        stream.write_with(|mut stream| stream.write_all(&byte)).await.unwrap();
        stream.read_with(|mut stream| stream.read_exact(&mut byte)).await.unwrap();
        assert_eq!(byte, [n as u8 + round]);
        sleep(MILLISECOND * n).await;
    }
}

fn trace_of(seed: u64) -> Trace {
    let (event_loop, _clock) = virtual_loop(ClockMode::AutoJump).unwrap();
    testing::shuffle(&event_loop, seed);
    let trace = Trace::start(&event_loop);
    testing::run_with(&event_loop, program()).unwrap();
    trace
}

#[test]
fn two_runs_with_one_seed_give_one_trace() {
    let mut distinct = Vec::new();
    for seed in 0..10 {
        let trace = trace_of(seed);
        assert_eq!(trace, trace_of(seed), "seed {seed}");
        if !distinct.contains(&trace) {
            distinct.push(trace);
        }
    }
    assert!(distinct.len() > 5, "only {} different traces", distinct.len());
    let text = distinct[0].to_string();
    for kind in ["task 0 of ", "\"sleeper 2\"", "timer", "descriptor 7 "] {
        assert!(text.contains(kind), "{kind}: {text}");
    }
}

#[test]
fn a_deadlock_names_every_task_that_waits() {
    let (event_loop, clock) = virtual_loop(ClockMode::AutoJump).unwrap();
    clock.set_deadlock_grace(Duration::ZERO);
    let result = testing::run_with(&event_loop, async {
        let (first, second) =
            (create_task(std::future::pending::<()>()), create_task(sleep(MILLISECOND)));
        first.set_name("left over");
        second.await.unwrap();
        first.await.unwrap();
    });
    let Err(RunError::Deadlock(deadlock)) = result else { panic!("it ended") };
    let [main, left_over] = deadlock.blocked() else { panic!("{deadlock}") };
    assert!(main.starts_with("Task-"), "{main}");
    assert!(left_over.starts_with("left over (created at "), "{left_over}");
}

/// The order in which four children take turns, twice each, in a scope or in a group in a struct.
fn order_of(seed: Option<u64>, is_owned: bool) -> (String, Trace) {
    let (event_loop, _clock) = virtual_loop(ClockMode::AutoJump).unwrap();
    if let Some(seed) = seed {
        testing::shuffle(&event_loop, seed);
    }
    let trace = Trace::start(&event_loop);
    let order = Rc::new(RefCell::new(String::new()));
    let child = |name| {
        let order = order.clone();
        async move {
            for _ in 0..2 {
                order.borrow_mut().push(name);
                yield_now().await;
            }
            Ok::<_, String>(())
        }
    };
    let program = async {
        if is_owned {
            // A supervisor polls its children by a loop of its own.
            let group = OwnedTaskGroup::supervising(|_, _| ());
            "abcd".chars().for_each(|name| drop(group.create_task(child(name))));
            group.join().await.unwrap();
        } else {
            let group = TaskGroup::scope(async |group| {
                "abcd".chars().for_each(|name| drop(group.create_task(child(name))));
                Ok(())
            });
            group.await.unwrap();
        }
    };
    testing::run_with(&event_loop, program).unwrap();
    (order.take(), trace)
}

#[test]
fn a_seed_lets_the_children_of_a_group_change_places() {
    for is_owned in [false, true] {
        assert_eq!(order_of(None, is_owned).0, "abcdabcd", "in the order of their wakes");
        let mut distinct = Vec::new();
        for seed in 0..50 {
            let (order, trace) = order_of(Some(seed), is_owned);
            let again = order_of(Some(seed), is_owned);
            assert_eq!((&order, &trace), (&again.0, &again.1), "one seed, one order");
            // Each has its turn once a tick, whatever the order.
            for turns in [&order[..4], &order[4..]] {
                let mut sorted: Vec<char> = turns.chars().collect();
                sorted.sort_unstable();
                assert_eq!(sorted, ['a', 'b', 'c', 'd'], "{order}");
            }
            if !distinct.contains(&order) {
                distinct.push(order);
            }
        }
        assert!(distinct.len() > 20, "only {} different orders of {}", distinct.len(), 24 * 24);
    }
}

#[test]
fn a_trace_names_the_children_of_a_group() {
    let (event_loop, _clock) = virtual_loop(ClockMode::AutoJump).unwrap();
    let trace = Trace::start(&event_loop);
    let line = line!() + 3;
    let group = TaskGroup::scope(async |group| {
        for name in ["first", "second"] {
            let child = group.create_task(async {
                yield_now().await;
                Ok::<_, String>(())
            });
            child.set_name(name);
        }
        Ok(())
    });
    testing::run_with(&event_loop, group).unwrap().unwrap();
    let named = |event: TraceEvent| match event.what {
        Traced::Task { name: Some(name), site, .. } => Some((name, site.line())),
        _ => None,
    };
    let children: Vec<_> = trace.take().into_iter().filter_map(named).collect();
    let name = |name: &str| (String::from(name), line);
    let (first, second) = (name("first"), name("second"));
    assert_eq!(children, [first.clone(), second.clone(), first, second]);
}
