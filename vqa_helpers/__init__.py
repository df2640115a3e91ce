"""Visual Question Answering from interchangeable pieces.

A question and an image become vectors (`language`, `vision`), are fused and classified
(`model`), learnt (`training`) and measured (`evaluation`). Importing the package loads none of
them: each room is imported where it is used.
"""

__version__ = "0.1.0"
