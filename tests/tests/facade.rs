//! The facade: what is flat is the tier's own item, and docs/index.md knows where everything is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lists the names of the paved path, each with its tier, after the compiler has found them.
///
/// The facade and the tier are both imported by glob: were there two items of one name, the import
/// of that name would be ambiguous and not compile.
macro_rules! flat {
    ($($tier:ident: $($name:ident)+;)+) => {
        const FLAT: &[&str] = &[$($(stringify!($name),)+)+];
        $($(
            const _: () = {
                mod found {
                    #[allow(unused_imports, reason = "it need only compile")]
                    use {asyncio::*, asyncio::$tier::*, self::$name as _};
                }
            };
        )+)+
    };
}

/// Lists the names that only the tier's module has, after the compiler has found them.
macro_rules! in_modules {
    ($($tier:ident: $($name:ident)+;)+) => {
        const IN_MODULES: &[&str] =
            &[$($(concat!(stringify!($tier), "::", stringify!($name)),)+)+];
        $($(
            const _: () = {
                #[allow(unused_imports, reason = "it need only compile")]
                use asyncio::$tier::$name as _;
            };
        )+)+
    };
}

flat! {
    coro: AsyncExitStack CancelScope CancelledError async_with catch_cancel masked try_finally with
        yield_now;
    event_loop: Exit RunError Runner get_running_loop run;
    task: ExceptionGroup JoinError ReturnWhen Task TaskGroup Timeout TimeoutError all_tasks as_completed create_task
        create_try_task current_task eager_task_factory gather gather_results interval run_coroutine_threadsafe shield sleep sleep_until timeout timeout_at try_gather wait wait_for;
    executor: run_in_executor to_thread;
    queue: Barrier BoundedSemaphore Condition Event LifoQueue Lock PriorityQueue Queue Semaphore;
    stream: StreamReader StreamWriter create_subprocess_exec open_connection start_server;
}

in_modules! {
    coro: AsyncClose AsyncContextManager AsyncGenerator Context ContextVar Stream StreamExt aclosing copy_context generator scoped_generator
        try_generator;
    event_loop: Config CtrlC EventLoop GracePeriods Guest Handle Interrupted IoHandle LoopHandle
        SendfileError ShutdownReport Signal SignalError Signals ThreadSafeHandle TimeSource TimerHandle ctrl_c
        report_exception signals sock_accept sock_connect sock_recv sock_recv_into sock_recvfrom
        sock_recvfrom_into sock_sendall sock_sendfile sock_sendto testing;
    future: Future InvalidStateError concurrent wrap_future;
    task: Builder CallbackId DoneTask OwnedTaskGroup Registered StartError TaskFactory TaskLoopExt TaskLoopHandleExt TaskStatus interval_at register_task staggered_race;
    executor: ThreadPoolExecutor getaddrinfo set_default_executor spawn_process;
    queue: Broadcast BrokenBarrierError CapacityLimiter GetError PutError QueueShutDown RwLock Storage
        Watch sync;
    transport: Transport TransportBuilder;
    protocol: BufferedProtocol ByMut Protocol Server connect_accepted_socket connect_read_pipe
        connect_write_pipe create_connection create_server;
    stream: IncompleteReadError LimitOverrunError Process;
}

#[test]
fn the_facade_has_the_names_of_the_paved_path_and_no_others() {
    let flat: BTreeSet<&str> = FLAT.iter().copied().collect();
    assert_eq!(flat.len(), FLAT.len(), "a name is listed twice");
    let source = read("crates/asyncio/src/lib.rs");
    let (paved, _) = source.split_once("pub mod prelude").unwrap();
    let exported: BTreeSet<&str> = paved
        .split("pub use ")
        .filter_map(|item| item.split_once("::{")?.1.split_once('}'))
        .flat_map(|(names, _)| names.split(',').map(str::trim).filter(|name| !name.is_empty()))
        .collect();
    assert_eq!(exported, flat);
}

#[test]
fn the_index_names_what_there_is_and_says_that_it_is_available() {
    let index = read("docs/index.md");
    let rows = index.lines().filter_map(|line| {
        let [_, _, here, state, _] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            return None;
        };
        Some((here, state))
    });
    let available = rows.filter(|&(_, state)| state == "available");
    // In backticks: every second piece, whatever stands around it.
    let named: BTreeSet<&str> = available
        .flat_map(|(here, _)| here.split('`').skip(1).step_by(2))
        .filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':'))
        .collect();
    let (methods, named): (BTreeSet<&str>, BTreeSet<&str>) = named
        .into_iter()
        .partition(|name| name.starts_with(char::is_uppercase) && name.contains("::"));
    let sources = sources();
    let untrue: Vec<_> =
        methods.into_iter().filter(|method| !has_method(&sources, method)).collect();
    assert!(untrue.is_empty(), "docs/index.md calls {untrue:?} available");
    let known: BTreeSet<&str> = FLAT.iter().chain(IN_MODULES).copied().collect();
    let missing: Vec<_> = known.difference(&named).collect();
    assert!(missing.is_empty(), "docs/index.md does not name {missing:?}");
    let untrue: Vec<_> = named.difference(&known).collect();
    assert!(untrue.is_empty(), "docs/index.md calls {untrue:?} available");
}

/// Is there a public method of that name in a file that implements something for that type?
fn has_method(sources: &[String], name: &str) -> bool {
    let (of, method) = name.split_once("::").unwrap();
    sources.iter().any(|source| {
        source.lines().any(|line| line.starts_with("impl") && line.contains(of))
            && source.contains(&format!("fn {method}"))
    })
}

/// The files of the tiers.
fn sources() -> Vec<String> {
    let mut folders = vec!["crates".to_owned()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(path(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                if !name.ends_with("/target") {
                    folders.push(name);
                }
            } else if name.ends_with(".rs") && name.contains("/src/") {
                sources.push(read(&name));
            }
        }
    }
    sources
}

fn path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(of)
}

/// A file of the workspace.
fn read(path: &str) -> String {
    fs::read_to_string(self::path(path)).unwrap()
}
