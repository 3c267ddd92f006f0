"""Groups inside each other, a child that is cancelled alone, one that begins in a cleanup."""

import asyncio


async def main(log):
    async def child(name, delay, cleanup=0, fails=False):
        log(f"{name} begins")
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            log(f"{name} cleans up")
            await asyncio.sleep(cleanup)
            log(f"{name} is clean")
            raise
        log(f"{name} ends")
        if fails:
            raise ValueError(name)

    def show(group, depth=0):
        for error in group.exceptions:
            if isinstance(error, BaseExceptionGroup):
                log("  " * depth + "group:")
                show(error, depth + 1)
            else:
                log("  " * depth + f"error: {error}")

    # The inner group fails: its error ends the outer one, whose other child cleans up.
    try:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(child("neighbour", 5, 2))
            async with asyncio.TaskGroup() as inner:
                inner.create_task(child("fails", 1, fails=True))
                inner.create_task(child("brother", 5, 1))
            log("not reached")
    except ExceptionGroup as group:
        show(group)

    # A child of the outer one fails: the inner group, in the outer one's body, is cut first.
    try:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(child("fails outside", 1, fails=True))
            try:
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(child("inside", 5, 1))
            finally:
                log("the inner group is over")
    except ExceptionGroup as group:
        show(group)

    # A child that is cancelled alone is nobody's error.
    async with asyncio.TaskGroup() as group:
        alone = group.create_task(child("alone", 5, 1))
        group.create_task(child("stays", 3))
        await asyncio.sleep(1)
        log(f"cancel: {alone.cancel()}")
        try:
            await alone
        except asyncio.CancelledError:
            log("the body is told")

    # A child that a child starts while the group waits belongs to it.
    async def parent(group):
        await child("parent", 1)
        group.create_task(child("late child", 2))

    async with asyncio.TaskGroup() as group:
        group.create_task(parent(group))
        log("the body ends")
    log("the group ends")

    # A child in a group that unwinds does not begin.
    async def starter(group):
        try:
            await asyncio.sleep(5)
        finally:
            log("starter cleans up")
            coroutine = child("too late", 0)
            try:
                started = group.create_task(coroutine)
            except RuntimeError:
                coroutine.close()
            else:
                await asyncio.wait([started])
            log("starter is clean")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(starter(group))
            group.create_task(child("fails first", 1, fails=True))
    except ExceptionGroup as group:
        show(group)

    # The task of a group is cancelled.
    async def holder():
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(child("held", 5, 3))
        finally:
            log("holder unwinds")

    task = asyncio.create_task(holder())
    await asyncio.sleep(1)
    log(f"cancel: {task.cancel()}")
    await asyncio.wait([task])
    log(f"cancelled: {task.cancelled()}")
