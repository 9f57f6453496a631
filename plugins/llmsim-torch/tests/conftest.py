"""Without a GPU the kernels run in Triton's interpreter, which must be chosen before Triton is imported.

Toy models are quicker on one thread than on several that wait for each other.
"""

import os
import shutil

os.environ.setdefault("OMP_NUM_THREADS", "1")
if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")
