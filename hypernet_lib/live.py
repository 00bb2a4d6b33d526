"""How far all runs are: a line when one begins and ends and, in a terminal, a bar for each that is running."""

from __future__ import annotations

import os
import sys
import time

from tqdm import tqdm

from hypernet_lib.execution import Execution

RUN = "{desc}: task {n_fmt} of {total_fmt} |{bar:20}| {elapsed} so far, {remaining} left{postfix}"
ALL = "{n_fmt} of {total_fmt} runs have ended, {elapsed} so far"
SECONDS_BETWEEN_LINES = 60


class Live:
    """The progress of executions, on stderr: call `show` a few times in a second, and `close` at the end."""

    def __init__(self, executions: list[Execution], in_terminal: bool | None = None):
        self._executions = executions
        self._in_terminal = os.isatty(2) if in_terminal is None else in_terminal
        self._said = {}  # execution: what its last line said of its state, and when
        self._bars = {}  # running execution: its bar
        self._all = self._bar(ALL, total=len(executions))

    def show(self) -> None:
        for execution in self._executions:
            self._say(execution)
            if self._in_terminal:
                self._draw(execution)
        if self._in_terminal:
            self._all.n = sum(bool(execution.ended) for execution in self._executions)
            self._all.refresh()

    def close(self) -> None:
        """Take all bars away; the lines stay."""
        for bar in [*self._bars.values(), self._all]:
            bar.close()

    def _draw(self, execution: Execution) -> None:
        if execution.ended:
            if execution in self._bars:
                self._bars.pop(execution).close()
        elif execution.begun:  # those that wait have no files to look into
            (learned, accuracy), bar = execution.progress(), self._bars.get(execution)
            if not bar:
                total, name = execution.experiment.n_tasks_to_learn, execution.experiment.run_name
                self._bars[execution] = self._bar(RUN, total=total, initial=learned, desc=name)
                return
            if not bar.n:
                bar.initial = max(0, learned - 1)  # what an earlier start has learned took none of this time
            bar.n = learned
            bar.set_postfix_str("" if accuracy is None else f"newest accuracy {accuracy:.4f}")

    def _say(self, execution: Execution) -> None:
        now, state = time.time(), (execution.state, execution.tries)
        said, when = self._said.get(execution, (("waiting", 0), now))
        if execution.state == "running" and (self._in_terminal or state == said and now - when < SECONDS_BETWEEN_LINES):
            return  # in a terminal its bar says it
        if execution.state != "running" and state == said:
            return
        self._said[execution] = state, now
        learned, accuracy = execution.progress()
        why = f" ({execution.outcome.error})" if execution.state == "trying again" else ""
        parts = [f"{execution.state}{why}", f"{learned} of {execution.experiment.n_tasks_to_learn} tasks"]
        parts += [f"newest accuracy {accuracy:.4f}"] if accuracy is not None else []
        parts += [f"{tqdm.format_interval((execution.ended or now) - execution.begun)} so far"]
        tqdm.write(f"{execution.experiment.run_name}: {', '.join(parts)}", file=sys.stderr)

    def _bar(self, bar_format: str, **settings) -> tqdm:
        return tqdm(bar_format=bar_format, leave=False, disable=not self._in_terminal, dynamic_ncols=True, **settings)
