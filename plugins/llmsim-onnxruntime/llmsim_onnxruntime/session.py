"""ONNX Runtime's sessions: threads set, and its errors turned into what llmsim knows."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime

from llmsim.api import InputError, OutOfMemory

# What ONNX Runtime says where an allocation failed; it has no error of its own for it.
FAILED_ALLOCATION = ("bad_alloc", "failed to allocate", "cannot allocate")
# Its errors come back as exceptions, so it need not print them too.
FATAL_ONLY = 4
WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"


def open_session(graph: Path | bytes, threads: int, name: str, folder: Path | None = None) -> Any:
    """A session on the CPU, with so many threads for each operator and one operator at a time.

    Args:
        graph: a file, or what is in one.
        name: what to call it where it cannot be run.
        folder: where the weights lie that are not in it; a file's own unless given.

    Raises:
        InputError: the file cannot be run.
        OutOfMemory: its weights do not fit.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL_ONLY
    if folder is not None:
        options.add_session_config_entry(WEIGHTS_FOLDER, str(folder.absolute()))
    with failed_allocations():
        try:
            return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no base class but this
            if out_of_memory(error):
                raise
            raise InputError(f"{name}: ONNX Runtime cannot run it: {str(error).strip()[:300]}") from error


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that an allocation failed."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in FAILED_ALLOCATION)


@contextmanager
def failed_allocations() -> Iterator[None]:
    """Turns a failed allocation within the block into OutOfMemory; other errors pass."""
    try:
        yield
    except Exception as error:  # ONNX Runtime's errors share no base class but this
        if not out_of_memory(error):
            raise
        raise OutOfMemory(str(error).strip().splitlines()[0] if str(error) else "out of memory") from error


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_name() -> str:
    """What the system calls its CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
