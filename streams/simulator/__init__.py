"""A small bank and its neighbours, simulated: what the demo and the load tests feed to the system."""

from streams.simulator.bank import BankPlan, simulate_bank
from streams.simulator.records import BankRecord

__all__ = ["BankPlan", "BankRecord", "simulate_bank"]
