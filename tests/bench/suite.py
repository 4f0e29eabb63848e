"""``make bench``: everything that README claims, measured beside its rivals on this machine, as one page with plots.

    python -m tests.bench.suite [--out out/bench] [--data CAPTURES] [--models CATALOGUE…] [--rooms 4]
    python -m tests.bench.suite --only consistency viewers --again     # some of it, anew
    python -m tests.bench.suite --list                                 # what there is, and how long it takes

Each measurement is a command in a process of its own; its answer is kept as NAME.json in the output folder, so a run
that was stopped goes on where it was, and one that failed is tried again. BENCH.md and the plots are made of these
files alone (``--render``). Without ``--models`` rooms are furnished with boxes, without ``--data`` only the demo and
these rooms are measured; rows whose data or rival is not there say so.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import tyro

from engine.storage import write_json
from tests.bench.simple_models import write_catalogue
from tests.bench.suite_data import Data, Measurement, found_data
from tests.bench.suite_measures import measurements

PATIENCE_S = 7200.0
"""For one measurement."""


@dataclass(frozen=True)
class Options:
    """Measure everything beside its rivals, and write BENCH.md with plots."""

    out: Path = Path("out/bench")
    """Folder of results, page and plots."""
    data: Path | None = None
    """Folder whose folders are captures with depth, to be measured beside the demo."""
    models: tuple[Path, ...] = ()
    """Catalogues to furnish rooms from (default: boxes)."""
    rooms: int = 4
    """Rooms to make."""
    only: tuple[str, ...] = ()
    """Names of what to measure (default: all but what takes long)."""
    again: bool = False
    """Measure what is there already, too."""
    render: bool = False
    """Write the page from what is there; measure nothing."""
    listed: Annotated[bool, tyro.conf.arg(name="list")] = False
    """Name the measurements and the minutes that they take."""


def machine() -> dict[str, Any]:
    """What this computer is."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = (line for line in info.read_text().splitlines() if line.startswith("model name"))
        cpu = next(lines, f": {cpu}").split(":", 1)[1].strip()
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": cpu,
        "cores": cores,
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "torch": torch.__version__,
    }


def commit() -> str:
    """Of this checkout, or an empty string."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def answer_of(stdout: str) -> dict[str, Any]:
    """The JSON object that a command printed: all of it, its last line, or its lines as rows.

    Raises:
        ValueError: it printed none.
    """
    found: list[dict[str, Any]] = []
    for text in (stdout, *stdout.splitlines()):
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if isinstance(value, dict):
            if text is stdout:
                return value
            found.append(value)
    if not found:
        raise ValueError("no JSON object")
    last = found[-1]
    return last if len(found) == 1 or "rows" in last else {"rows": found}


def run(arguments: Sequence[str], cache: Path) -> subprocess.CompletedProcess[str]:
    """``python -m`` these, with a cache of their own, so that no older fit is found; stderr is shown.

    Raises:
        subprocess.SubprocessError: it failed, or took too long.
    """
    command = [sys.executable, "-m", *arguments]
    own = {**os.environ, "CONDENSE_CACHE": str(cache.absolute())}
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE_S, env=own)


def measure(one: Measurement, data: Data, made: set[str]) -> dict[str, Any]:
    """Make what it needs beside what was ``made`` in this run, run it, and return what its file is to hold."""
    about = {"name": one.name, "command": data.said(one.command), "data": one.data, "seed": 0}
    if one.absent is not None:
        return {**about, "absent": one.absent}
    cache = data.out / "cache"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    begun = time.monotonic()
    try:
        for kind in [k for k in one.needs if k not in made]:
            if not data.models:
                write_catalogue(data.catalogues()[0])
            run(data.generate(kind), cache)  # quick when it is there, and goes on where it was stopped
            made.add(kind)
        begun = time.monotonic()
        answer = answer_of(run(one.command, cache).stdout)
    except (subprocess.SubprocessError, ValueError) as e:
        return {**about, "failed": f"{type(e).__name__}: {e}"[-300:]}
    seconds = round(time.monotonic() - begun, 1)
    when = {"date": date.today().isoformat(), "seconds": seconds, "load": load}
    return {**about, **when, "commit": commit(), "machine": machine(), "answer": answer}


def is_done(path: Path) -> bool:
    """Whether a measurement is there."""
    try:
        return "answer" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; how many measurements failed."""
    options = tyro.cli(Options, args=arguments)
    data = found_data(options.out, options.data, options.models, options.rooms)
    every = measurements(data)
    names = [m.name for m in every]
    unknown = sorted(set(options.only) - set(names))
    if unknown:
        print(f"no such measurement: {', '.join(unknown)}\n  expected: {', '.join(names)}", file=sys.stderr)
        return 2
    wanted = [m for m in every if m.name in options.only or (not options.only and not m.asked)]
    if options.listed:
        for m in every:
            print(f"{m.name:13} {m.minutes:5.1f} min  {m.absent or m.title}{'  (when named)' if m.asked else ''}")
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    todo = [m for m in wanted if options.again or not is_done(options.out / f"{m.name}.json")]
    failed, made = 0, set[str]()
    for n, one in enumerate([] if options.render else todo):
        left = sum(m.minutes for m in todo[n:] if m.absent is None)
        print(f"[{n + 1} of {len(todo)}, {left:.0f} min left] {one.name}: {data.said(one.command)}", file=sys.stderr)
        found = measure(one, data, made)
        failed += "failed" in found
        if "failed" in found:
            print(f"  failed: {found['failed']}", file=sys.stderr)
        write_json(options.out / f"{one.name}.json", found)
    from tests.bench.suite_page import write_page

    print(write_page(options.out, every))
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
