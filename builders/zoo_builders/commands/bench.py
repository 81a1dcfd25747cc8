"""`zoo bench`: measure published or other files on this machine's devices.

Beside what was published.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from zoo_builders.lab import path_check, requests, view
from zoo_builders.lab.candidates import Order
from zoo_builders.lab.path_check import Evidence
from zoo_builders.lab.requests import Asked, Desk, Result
from zoo_builders.tflite import litert
from zoo_builders.tflite.litert import Kernels
from zoo_client.cache import Cache
from zoo_client.commands.options import From, Json
from zoo_client.output import console, emit_json
from zoo_client.remotes import open_remote
from zoo_client.settings import Settings
from zoo_registry.model.errors import WrongUse

VERB = {
    "group": "Everyone",
    "rank": 50,
    "help": "Measure latency here, beside what was published.",
    "extra": "bench",
    "call": "bench_verb",
}

What = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="REF|FILE…", help="Published artifacts, or .tflite files.", show_default=False
    ),
]
Devices = Annotated[
    list[str] | None,
    typer.Option("--device", "-d", metavar="D", help="Where; may be repeated. Default: host-cpu"),
]
Threads = Annotated[
    list[int] | None,
    typer.Option("--threads", "-t", metavar="N", min=1, help="May be repeated. Default: 1"),
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against", metavar="REF|FILE", help="Baseline. Default: each family's float release."
    ),
]
Runs = Annotated[int, typer.Option(min=5, max=100_000, help="Timed runs of each file in a round.")]
Rounds = Annotated[int, typer.Option(min=2, max=100, help="Rounds; each loads every file afresh.")]
Warmup = Annotated[int, typer.Option(min=1, max=1000, help="Least runs before timing.")]
Who = Annotated[
    str, typer.Option("--kernels", help=f"Who computes: {', '.join(get_args(Kernels))}.")
]
Patience = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="S", min=0.1, help="Longest wait for one answer of a device."
    ),
]
Submit = Annotated[
    bool, typer.Option("--submit", help="Add the measurements to the published artifacts.")
]
AsAgent = Annotated[
    bool, typer.Option("--agent", help="Serve another machine's session on stdin and stdout.")
]


def bench_verb(  # noqa: PLR0913  the options of the command
    *,
    what: What = None,
    device: Devices = None,
    threads: Threads = None,
    against: Against = None,
    runs: Runs = 50,
    rounds: Rounds = 5,
    warmup: Warmup = 5,
    kernels: Who = "xnnpack",
    timeout: Patience = 120.0,
    url: From = None,
    submit: Submit = False,
    as_json: Json = False,
    agent: AsAgent = False,
) -> None:
    """Measure files here by the zoo's protocol.

    Golden outputs are checked first; files run in turns with their float baseline.

    Prints ours beside the published row. Exit code 1 when a file could not be measured.
    """
    if agent:
        raise typer.Exit(_serve())
    litert.version()  # told at once where it is missing, not by a process that dies of it
    if not what:
        raise WrongUse("zoo bench wants a published artifact or a file", hint="zoo bench REF|FILE")
    chosen = _kernels(kernels)
    if submit and (chosen != "xnnpack" or against is not None):
        raise WrongUse(
            "only what XNNPACK computed, beside the family's own float release, can stand beside"
            " published rows",
            hint="leave --submit out, or --kernels and --against",
        )
    orders = [
        Order(one, count, runs, rounds, warmup, chosen, timeout)
        for one in dict.fromkeys(device or ("host-cpu",))
        for count in dict.fromkeys(threads or (1,))
    ]
    timed, witnessed = path_check.split(orders)
    if submit and witnessed:
        raise WrongUse(
            f"{witnessed[0].device} gives no latency to submit", hint="leave --submit out"
        )
    results, seen = _measure(
        what, _Orders(timed, witnessed), against, url, _Say(submit=submit, as_json=as_json)
    )
    refused = next((result.refused for result in results if result.refused), None)
    if refused is not None:
        raise refused
    if any(result.failure for result in results) or any(one.failure for one in seen):
        raise typer.Exit(1)


def _serve() -> int:
    from zoo_builders.devices.agent.child import main

    return main()


def _kernels(name: str) -> Kernels:
    known: tuple[Kernels, ...] = get_args(Kernels)
    for one in known:
        if one == name:
            return one
    raise WrongUse(f"there are no {name!r} kernels", hint=f"--kernels {'|'.join(known)}")


@dataclass(frozen=True, slots=True)
class _Orders:
    """What to do on places that give latencies, and on those that only give evidence."""

    timed: Sequence[Order]
    witnessed: Sequence[Order]


@dataclass(frozen=True, slots=True)
class _Say:
    """How results are told, and whether they are sent."""

    submit: bool
    as_json: bool


def _measure(
    words: Sequence[str], orders: _Orders, against: str | None, url: str | None, say: _Say
) -> tuple[list[Result], list[Evidence]]:
    """Run all sessions; Ctrl-C ends them, and what was finished is told all the same."""
    settings, results, seen = Settings.read(), list[Result](), list[Evidence]()
    patience = (*orders.timed, *orders.witnessed)[0].timeout_s
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        desk = Desk(
            Path(folder), Cache(settings.cache), lambda: open_remote(url, settings), patience
        )
        files = list({asked.name: asked for asked in map(desk.ask, words)}.values())
        timed = files if orders.timed else []
        baselines = [
            desk.ask(against) if against else desk.baseline(asked, timed[0]) for asked in timed
        ]
        try:
            with _progress(show=not say.as_json) as report:
                for order in orders.witnessed:
                    seen += _evidence(files, order)
                for session in requests.sessions(timed, baselines, orders.timed):
                    found = session.run(report)
                    results += requests.submit(desk.remote, found) if say.submit else found
        finally:
            _tell(results, seen, as_json=say.as_json)
    return results, seen


def _evidence(files: Sequence[Asked], order: Order) -> Iterator[Evidence]:
    yield from (
        Evidence(asked.name, order.device, failure=asked.failure)
        for asked in files
        if asked.candidate is None
    )
    yield from path_check.gather([asked.candidate for asked in files if asked.candidate], order)


def _tell(results: Sequence[Result], seen: Sequence[Evidence], *, as_json: bool) -> None:
    if as_json:
        emit_json(
            view.plain(results)
            | ({"evidence": [asdict(one) | {"path": one.path} for one in seen]} if seen else {})
        )
        return
    for one in seen:
        console().print(
            f"{one.device}: {one.told()}", soft_wrap=True, highlight=False, markup=False
        )
    if results:
        view.show(results)


@contextmanager
def _progress(*, show: bool) -> Iterator[Callable[[int, int, str], None]]:
    """Show turns going by on a terminal; elsewhere nothing."""
    target = console(err=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=target, disable=not (show and target.is_terminal), transient=True
    ) as bars:
        task = bars.add_task("", total=None)
        yield lambda done, total, note: bars.update(
            task, completed=done, total=total, description=note
        )
