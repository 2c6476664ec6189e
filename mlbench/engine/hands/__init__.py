"""The hands carry effects out, one file a room; each answers by putting an input into the queue."""
