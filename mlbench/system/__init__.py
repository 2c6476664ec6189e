"""What the operating system gives: locks, safe files, the content store, processes."""
