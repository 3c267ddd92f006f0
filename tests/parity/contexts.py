"""Whose context a callback and a task run in, and what they see of changes."""

import asyncio
import contextvars

who = contextvars.ContextVar("who", default="nobody")


async def main(log):
    loop = asyncio.get_running_loop()

    def says(text):
        log(f"{text}: {who.get()}")

    def sets(text, value):
        log(f"{text}: {who.get()}")
        who.set(value)
        loop.call_soon(says, f"{text}, soon after")

    async def child(name):
        says(f"{name} begins")
        who.set(name)
        await asyncio.sleep(0)
        says(f"{name} goes on")

    who.set("main")
    loop.call_soon(says, "soon")
    loop.call_later(0, says, "later")
    loop.call_soon(sets, "sets", "a callback")
    a = asyncio.create_task(child("a"))
    who.set("main again")
    loop.call_soon(says, "soon, made later")
    a.add_done_callback(lambda _: says("done callback"))
    b = asyncio.create_task(child("b"))
    await a
    await b
    says("main")

    # A context of one's own, shared by what runs in it.
    own = contextvars.copy_context()
    own.run(who.set, "own")
    loop.call_soon(sets, "in own", "set in own", context=own)
    task = asyncio.create_task(child("c"), context=own)
    loop.call_later(1, says, "timer in own", context=own)
    await task
    log(f"own: {own[who]}")
    await asyncio.sleep(2)
    says("main")

    # A future's callback runs in the context in which it was added, not in that of who sets the result.
    future = loop.create_future()
    token = who.set("who adds")
    future.add_done_callback(lambda _: says("callback"))
    future.add_done_callback(lambda _: says("callback in own"), context=own)
    who.reset(token)

    async def setter():
        who.set("setter")
        future.set_result(None)

    await asyncio.create_task(setter())
    await asyncio.sleep(0)
    says("main")

    # What cleans up does so in its task's context.
    async def cleans():
        token = who.set("in the body")
        try:
            await asyncio.sleep(3600)
        finally:
            says("cleanup")
            who.reset(token)
            await asyncio.sleep(0)
            says("cleanup, after reset")

    task = asyncio.create_task(cleans())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    says("main")
