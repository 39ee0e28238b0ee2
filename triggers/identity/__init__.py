"""The identity stage: whose behaviour it is that came under a channel's own id."""
