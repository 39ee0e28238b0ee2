"""The subcommands of ``bank-triggers``, a module for each group."""
