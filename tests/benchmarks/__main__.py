"""``python -m tests.benchmarks``: figures, never asserts. Starts its own Kafka and Redis; nothing else should run."""

from __future__ import annotations

import argparse
import platform
import tempfile
from os import cpu_count
from pathlib import Path

from streams.embedded_redis import EmbeddedRedis
from tests.benchmarks.drain import as_json, run_round, table
from tests.support.kafka_broker import KafkaBroker


def main() -> None:
    """Runs the rounds and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="transactions of a round")
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--stock-events", type=int, default=20_000, help="of these, how many the stock agent reads")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bank-triggers-bench-") as scratch:
        folder = Path(scratch)
        with KafkaBroker(folder / "kafka") as broker, EmbeddedRedis(folder / "redis", appendonly=True) as redis:
            rounds = []
            for number in range(given.rounds):
                figures = run_round(
                    broker.bootstrap,
                    redis.url,
                    folder,
                    events=given.events,
                    customers=given.customers,
                    stock_events=min(given.stock_events, given.events),
                    check=number == 0,
                )
                rounds.append(figures)
                print(
                    f"round {number + 1}: " + ", ".join(f"{f.contender} {f.rate:,.0f}/s" for f in figures), flush=True
                )
    print(f"{given.events:,} transactions of {given.customers:,} customers, {given.rounds} rounds; ", end="")
    print(f"{cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}")
    print("the worker's actions, decisions and states equal the oracle's in round 1")
    print(table(rounds))
    if given.json is not None:
        given.json.write_text(as_json(rounds), "utf-8")


if __name__ == "__main__":
    main()
