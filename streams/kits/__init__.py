"""Kits for the system's neighbours: what a publisher or a notifier needs, over the plain ``kafka-python`` client."""
