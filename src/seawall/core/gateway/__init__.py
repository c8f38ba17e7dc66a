"""One trip of a request to a model and back, as rules without sockets."""
