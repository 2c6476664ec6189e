"""A worker: the process that answers, with others of its kind on one listening socket."""
