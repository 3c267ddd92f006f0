//! The tests of the queue crate on smol.

mod stories;
mod suite;

mod driver {
    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        smol::block_on(future)
    }
}

#[test]
fn the_tools_work_together_on_smol() {
    let executor = smol::LocalExecutor::new();
    let spawn: &stories::Spawn = &|future| {
        let task = executor.spawn(future);
        let task = std::cell::RefCell::new(Some(task));
        Box::new(move || drop(task.take()))
    };
    driver::block_on(executor.run(stories::all(spawn)));
}
