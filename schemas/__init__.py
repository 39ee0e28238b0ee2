"""What crosses a boundary: the record of every topic, and how its bytes are read. Nothing else lives here.

``examples/<topic>/`` holds valid messages of each topic; ``examples/invalid/<topic>/<REASON>.<field>.json`` messages
that are refused for that reason at that field. Every one of them is tested.
"""
