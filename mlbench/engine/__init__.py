"""The one loop, and the only place that knows all rooms: it decides and delegates."""
