"""What a rule set would have done on recorded events: the pure engine over files or topics, summed up."""
