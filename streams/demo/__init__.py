"""``bank-triggers demo``: a bank, a worker and a notifier on one machine, checked against the pure engine."""

from streams.demo.run import DemoOptions, run_demo

__all__ = ["DemoOptions", "run_demo"]
