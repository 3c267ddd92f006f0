//! Awaiting a task, cancelled at each of its suspension points.

mod support;

use std::cell::Cell;
use std::rc::Rc;

use asyncio_cancel_everywhere::{Way, on_loop};
use asyncio_coro::try_finally;
use asyncio_task::{Builder, DoneTask, Task, all_tasks, create_try_task, sleep};
use support::{here, reports, secs};

/// What must hold of a task however its awaiter ended.
#[derive(Clone, Default)]
struct Scene {
    /// It has begun, and not cleaned up.
    is_open: Rc<Cell<bool>>,
    /// How often its done callback was called, and whether the task was cancelled.
    called: Rc<Cell<usize>>,
    cancelled: Rc<Cell<bool>>,
}

impl Scene {
    fn task(&self, is_eager: bool) -> Task<u8> {
        let (is_open, scene) = (self.is_open.clone(), self.clone());
        let task = Builder::new().eager_start(is_eager).create_task(async move {
            is_open.set(true);
            let work = async {
                sleep(secs(1)).await;
                sleep(secs(1)).await;
                7
            };
            try_finally(work, async || {
                sleep(secs(1)).await;
                is_open.set(false);
            })
            .await
        });
        task.add_done_callback(move |task: &DoneTask| {
            scene.called.set(scene.called.get() + 1);
            scene.cancelled.set(task.cancelled());
        });
        task
    }
}

#[test]
fn awaiting_a_task_loses_neither_its_value_nor_its_cleanup_nor_its_callback() {
    for is_eager in [false, true] {
        let points = on_loop(
            async || {
                let scene = Scene::default();
                let task = scene.task(is_eager);
                (scene, async move { task.await.map_err(|error| error.is_cancelled()) })
            },
            async |scene, case| {
                if case.way == Way::Requested {
                    assert!(!scene.is_open.get(), "it had cleaned up when its awaiter ended");
                }
                // What was detached goes on; nothing else is left.
                sleep(secs(10)).await;
                assert!(all_tasks().is_empty());
                assert!(!scene.is_open.get());
                assert_eq!(scene.called.get(), 1);
                match case.output {
                    Some(output) => assert_eq!(output, Ok(7)),
                    None => assert_eq!(scene.cancelled.get(), !case.way.is_drop()),
                }
            },
        );
        assert!(points > 0);
    }
}

#[test]
fn an_error_is_told_to_who_awaits_or_to_the_exception_handler_and_only_once() {
    on_loop(
        async || {
            let told = reports();
            let task = create_try_task(async {
                sleep(secs(1)).await;
                Err::<(), _>(std::io::Error::other("disk full"))
            });
            (told, async move { task.await.map(|result| result.is_err()).ok() })
        },
        async |told, case| {
            sleep(secs(10)).await;
            let reports = told.take().iter().filter(|text| text.contains("disk full")).count();
            let is_seen = case.output == Some(Some(true));
            let is_cancelled = case.output.is_none() && !case.way.is_drop();
            assert_eq!(reports, usize::from(!is_seen && !is_cancelled), "{case:?}");
            assert!(here().is_running() && all_tasks().is_empty());
        },
    );
}
