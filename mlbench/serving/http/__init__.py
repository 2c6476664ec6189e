"""The HTTP/1.1 side of a worker: bytes of clients in, requests out; replies in, bytes out."""
