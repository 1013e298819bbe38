"""One run from several: of processes that share a machine, of machines that share images."""
