//! The tests of the queue crate on tokio's runtime of one thread.

mod stories;
mod suite;

mod driver {
    use tokio::runtime::{Builder, Runtime};

    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().build().unwrap();
    }

    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        RUNTIME.with(|runtime| runtime.block_on(future))
    }
}

#[test]
fn the_tools_work_together_on_tokio() {
    let tasks = tokio::task::LocalSet::new();
    let spawn: &stories::Spawn = &|future| {
        let task = tokio::task::spawn_local(future);
        Box::new(move || task.abort())
    };
    driver::block_on(tasks.run_until(stories::all(spawn)));
}
