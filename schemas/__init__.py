"""What crosses a boundary: the record of every topic, and how its bytes are read. Nothing else lives here."""
