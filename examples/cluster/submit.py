"""Certifies in shards through submitit, on a Slurm cluster or in processes of this machine, and merges.

    python submit.py --of 16 --ledger run.recert -- --model net.onnx --data DATA --sigma 0.5

What follows `--` are options of `recert certify`. `--local` takes processes instead of Slurm. Run
again, it goes on with what is missing.
"""

import argparse
import pathlib
import subprocess

import submitit


def certify(recert: str, options: list[str], number: int, of: int, ledger: pathlib.Path) -> None:
    """Runs a shard into its ledger; a job that is started again goes on there."""
    shard = ["--shard", f"{number}/{of}", "--ledger", str(ledger)]
    subprocess.run([recert, "certify", *options, *shard, "--quiet"], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--of", type=int, default=16, help="how many shards")
    parser.add_argument("--ledger", type=pathlib.Path, required=True, help="the merged ledger")
    parser.add_argument("--shards", type=pathlib.Path, default=pathlib.Path("shards"))
    parser.add_argument("--recert", default="recert", help="the program")
    parser.add_argument("--local", action="store_true", help="processes of this machine")
    parser.add_argument("--minutes", type=int, default=240)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("options", nargs="*", help="options of recert certify, after --")
    given = parser.parse_args()

    given.shards.mkdir(parents=True, exist_ok=True)
    executor = submitit.AutoExecutor(given.shards / "log", cluster="local" if given.local else None)
    executor.update_parameters(timeout_min=given.minutes, cpus_per_task=given.cpus)
    if not given.local:
        executor.update_parameters(slurm_array_parallelism=given.at_once)
    ledgers = [given.shards.absolute() / f"{number}.recert" for number in range(1, given.of + 1)]
    options = [*given.options, "--threads", str(given.cpus)]
    # In groups where there is no scheduler that would hold jobs back.
    size = given.at_once if given.local else given.of
    for first in range(0, given.of, size):
        numbers = range(first + 1, min(first + size, given.of) + 1)
        jobs = executor.map_array(
            lambda number: certify(given.recert, options, number, given.of, ledgers[number - 1]),
            numbers,
        )
        for job in jobs:
            job.result()
    subprocess.run([given.recert, "merge", str(given.ledger), *map(str, ledgers)], check=True)


if __name__ == "__main__":
    main()
