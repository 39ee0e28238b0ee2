"""What may be said to a customer: one file for each rule, one reason code for each file."""
