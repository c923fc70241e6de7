"""One run to one result: the harness, the training loop, and what is measured of the finished network."""
