"""Asks the working process, one question at a time: no answer takes longer than it may."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from cnnatomy.lab import worker
from cnnatomy.lab.limits import GROWTH, LONGEST, SECONDS, WAITING
from cnnatomy.lab.reply import Reply, line

Frame = tuple[dict[str, Any], bytes]
BUSY = 0.9
"""Of the time that has passed, what a process computes that waits for no others."""
READY = 60.0
"""Seconds that a new process has to load torch."""


class Desk:
    """One process that works, and those who wait for it.

    Args:
        run: the folder of a trained run, which the process loads.
        seconds: how long an answer may take.
    """

    def __init__(self, run: Path | None = None, seconds: float = SECONDS) -> None:
        self.run, self.seconds, self.waiting, self.begun = run, seconds, 0, 0
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._size = 0

    async def open(self) -> None:
        """Begin the process, so that it is ready when the first question comes."""
        async with self._turn:
            await self._working()

    async def close(self) -> None:
        """End the process."""
        if self._process is not None:
            await self._end(self._process)

    async def ask(self, path: str, query: Mapping[str, str], body: bytes = b"", wanted: Any = None) -> Reply:
        """The answer to a question, or why there is none.

        Args:
            path: the address without its query.
            query: the settings.
            body: a picture.
            wanted: says, when the turn has come, whether anybody still waits.
        """
        if self.waiting >= WAITING:
            return line("the lab is busy; try again", 429)
        self.waiting += 1
        try:
            async with self._turn:
                if wanted is not None and not await wanted():
                    return line("nobody waits for this", 499)
                return await self._asked({"path": path, "query": dict(query)}, body)
        finally:
            self.waiting -= 1

    async def _asked(self, question: dict[str, Any], body: bytes) -> Reply:
        process = await self._working()
        try:
            head, made = await self._within(process, _exchange(process, question, body))
        except TimeoutError:
            await self._end(process)
            return line(f"this takes more than {self.seconds:g} s of computing: ask for less", 422)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            await self._end(process)
            return line("the process that works has ended, perhaps for want of memory: ask for less", 422)
        except BaseException:
            process.kill()  # half an answer is left in it
            self._process = None
            raise
        if head["memory"] > self._size + GROWTH:
            await self._end(process)  # compiled kernels stay in memory; the next question begins anew
        return Reply(made, head["type"], head["status"], head["name"])

    async def _within(self, process: Process, exchange: Coroutine[Any, Any, Frame]) -> Frame:
        """The answer, if it comes before the process has computed for too long.

        Raises:
            TimeoutError: it does not.
        """
        begun, asked = worker.computed(process.pid), asyncio.ensure_future(exchange)
        try:
            for _ in range(max(1, round(LONGEST / self.seconds))):
                done, _ = await asyncio.wait([asked], timeout=self.seconds)
                if done:
                    return asked.result()
                if worker.computed(process.pid) - begun >= self.seconds * BUSY:
                    break
        finally:
            asked.cancel()
        raise TimeoutError

    async def _working(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            words = [sys.executable, "-m", "cnnatomy.lab.worker", *([str(self.run)] if self.run else [])]
            self._process = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE, limit=2**26)
            self.begun += 1
            async with asyncio.timeout(READY):
                head, _ = await _read(self._process)
            self._size = head["memory"]
        return self._process

    async def _end(self, process: Process) -> None:
        self._process = None
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _exchange(process: Process, question: dict[str, Any], body: bytes) -> Frame:
    assert process.stdin is not None, "a pipe"
    process.stdin.write(json.dumps({**question, "size": len(body)}).encode() + b"\n" + body)
    await process.stdin.drain()
    return await _read(process)


async def _read(process: Process) -> Frame:
    assert process.stdout is not None, "a pipe"
    head = json.loads(await process.stdout.readuntil(b"\n"))
    return head, await process.stdout.readexactly(head["size"])
