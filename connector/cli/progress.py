"""Shows what the stack on one machine is doing while it comes up: one line a step, a bar a download."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

__all__ = ["ConsoleReport"]


class ConsoleReport:
    """Reports to a terminal, or, without one, in plain lines."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, text: str) -> None:
        """One line."""
        self._console.print(f"{text} …", highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def download(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar with bytes, speed and the time left; without a terminal a line at every tenth."""
        if not self._console.is_terminal:
            yield _Tenths(self._console, name, total).advance
            return
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, TimeRemainingColumn(), console=self._console, transient=True) as progress:
            task = progress.add_task(name, total=total)
            yield lambda count: progress.advance(task, count)


class _Tenths:
    def __init__(self, console: Console, name: str, total: int) -> None:
        self._console, self._name, self._total = console, name, total
        self._done = self._told = 0

    def advance(self, count: int) -> None:
        self._done += count
        tenth = 10 * self._done // self._total
        if tenth > self._told:
            self._told = tenth
            self._console.print(f"  {self._name}: {tenth * 10} %", highlight=False, soft_wrap=True)
