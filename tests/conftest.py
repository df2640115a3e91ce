"""What every test stands on: one thread each, and nothing of this machine found by chance."""

import os

# Before torch is imported, and for every process that a test starts: several workers share the
# cores, threads that wait for each other make them crawl, and sums must come out the same.
os.environ["OMP_NUM_THREADS"] = "1"
for variable in ("VQA_GLOVE", "VQA_SENTENCE_ENCODER", "VQA_MIRROR", "VQA_SOURCES"):
    os.environ.pop(variable, None)
