"""Starting points of triggers, one file for each kind; ``$id``, ``$owner`` and ``$offer`` are filled in."""
