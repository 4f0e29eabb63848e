"""Starting the processes of a training, by torchrun's agent: when one of them dies it ends the others.

On one machine they find each other by themselves. Of several machines each runs the same command, with the address of
the first one, ``MASTER_ADDR`` and ``MASTER_PORT``, and its own ``NODE_RANK``, from 0, in its environment. Or start
``condense train`` under ``torchrun`` yourself.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from engine.api.errors import CondenseError, QueryError, ResourceError, WeightsError
from engine.cli import Train
from engine.training.checkpoint import STATE_FILE, load_state
from engine.training.workers import cores

MOST = 1024
"""Processes of one training."""
CLOSING_SECONDS = 10
"""For a process to end when asked to; then it is killed."""

Work = Callable[[Train], dict[str, Any]]


def other_devices(command: Train) -> Train:
    """``command`` with as many devices and machines as torchrun has.

    Raises:
        QueryError: the command says otherwise.
    """
    devices = int(os.environ["LOCAL_WORLD_SIZE"])
    nodes = int(os.environ["WORLD_SIZE"]) // devices
    if (command.devices, command.nodes) not in ((1, 1), (devices, nodes)):
        raise QueryError(
            "torchrun and the command do not agree",
            found=f"--devices {command.devices} --nodes {command.nodes}",
            expected=f"--devices {devices} --nodes {nodes}, or neither",
        )
    return _shared(replace(command, devices=devices, nodes=nodes))


def launch(command: Train, work: Work) -> dict[str, Any]:
    """Start ``command.devices`` processes on this machine, each calls ``work(command)``; the first one's answer.

    Raises:
        QueryError: no such number of processes, or the other machines are not named.
        ResourceError: a process is gone.
        CondenseError: what a process raised.
    """
    if not (command.devices >= 1 and command.nodes >= 1 and command.devices * command.nodes <= MOST):
        found = f"--devices {command.devices} --nodes {command.nodes}"
        raise QueryError("no such number of processes", found=found, expected=f"1 to {MOST} in all")
    for talker in list(logging.root.manager.loggerDict):
        if talker.startswith(("torch.distributed", "torch.multiprocessing")):
            logging.getLogger(talker).setLevel(logging.CRITICAL)  # what they say is said below
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder)
        config = LaunchConfig(
            min_nodes=command.nodes,
            max_nodes=command.nodes,
            nproc_per_node=command.devices,
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            shutdown_timeout=CLOSING_SECONDS,
            signals_to_handle="SIGTERM,SIGINT",
            **_meeting(command.nodes),
        )
        try:
            answers = elastic_launch(config, _told)(_shared(command), work, errors)
        except SignalException as e:
            raise KeyboardInterrupt from e
        except ChildFailedError as e:
            raise _first_error(command, errors, e) from e
        except (RuntimeError, OSError) as e:  # also the store's errors
            mend = "are MASTER_ADDR, MASTER_PORT and NODE_RANK right, and did all machines start?"
            raise ResourceError("the processes did not find each other", found=str(e)[:200], mend=mend) from e
    return answers[min(answers)]


def _meeting(nodes: int) -> dict[str, Any]:
    """Where the machines meet."""
    if nodes == 1:
        return {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "run_id": "condense", "local_addr": "localhost"}
    try:
        host, port, rank = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), int(os.environ["NODE_RANK"])
        if not (0 < port < 1 << 16 and 0 <= rank < nodes):
            raise ValueError(f"MASTER_PORT={port} NODE_RANK={rank}")
    except (KeyError, ValueError) as e:
        raise QueryError(
            "the other machines are not named",
            found=f"no {e.args[0]}" if isinstance(e, KeyError) else str(e),
            expected=f"MASTER_ADDR and MASTER_PORT of the first machine, NODE_RANK from 0 to {nodes - 1}",
            mend="set these environment variables, or start the command by torchrun",
        ) from e
    meeting = {"rdzv_endpoint": f"{host}:{port}", "rdzv_configs": {"rank": rank, "timeout": 900}}
    return {"rdzv_backend": "static", "run_id": "condense", **meeting}


def _shared(command: Train) -> Train:
    """``command`` with a share of this machine's threads, unless it says how many."""
    if command.devices == 1 or command.threads is not None:
        return command
    return replace(command, threads=max(1, cores() // command.devices))


def _told(command: Train, work: Work, errors: Path) -> dict[str, Any]:
    """``work`` in a process of its own; what the user can mend is left in ``errors`` for the launcher to say."""
    try:
        return work(command)
    except CondenseError as e:
        said = {k: getattr(e, k) for k in ("what", "path", "found", "expected", "mend")}
        said["gone"] = isinstance(e, ResourceError)
        (errors / f"{os.environ['RANK']}.json").write_text(json.dumps(said), encoding="utf-8")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _first_error(command: Train, errors: Path, failed: ChildFailedError) -> CondenseError:
    """What went wrong first: a process that was killed, before what the others said of it."""
    rank, failure = failed.get_first_failure()
    said = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(errors.glob("*.json"))]
    said.sort(key=lambda s: s["gone"])
    if failure.exitcode >= 0 and said:
        return CondenseError(**{k: v for k, v in said[0].items() if k != "gone"})
    how = f"exit code {failure.exitcode}"
    if failure.exitcode < 0:
        how = signal.Signals(-failure.exitcode).name
    elif failure.message:
        how = failure.message.strip().splitlines()[-1][:200]
    try:
        kept = f"the checkpoint of step {load_state(command.out / STATE_FILE).step} is whole: add --resume"
    except WeightsError:
        kept = "give the command again; there is no checkpoint yet"
    return ResourceError(
        f"process {rank + 1} of {command.devices * command.nodes} is gone, so the others were ended",
        path=command.out,
        found=f"{how} (pid {failure.pid})",
        mend=kept,
    )
