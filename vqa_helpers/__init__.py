"""Visual Question Answering from interchangeable pieces.

A question and an image become vectors, are fused and classified (`pieces`), learnt (`training`) and
measured (`evaluation`). Importing the package loads none of them: each part is imported where it is
used.
"""

__version__ = "0.1.0"
