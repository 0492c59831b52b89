"""Configuration of Sallyport's Python kernels, read by IPython at the start."""

import asyncio
import json
import os
import select
import signal
import sys
import time
import types

from IPython import get_ipython
from jupyter_client import session as _session

_module = types.ModuleType("sallyport_kernel")


def _pack(obj):
    # A lone surrogate can't be written as UTF-8, and the kernel would drop the
    # whole message without a word. As an escape it can.
    try:
        return _session.json_packer(obj)
    except UnicodeEncodeError:
        return json.dumps(obj, default=_session.json_default, allow_nan=False).encode("ascii")


def _drain():
    # What a subprocess wrote comes through a pipe that a thread of the kernel
    # reads. Without a look at it a cell's last output would come after its end.
    pipes = [fd for fd in (getattr(s, "_fid", None) for s in (sys.stdout, sys.stderr)) if isinstance(fd, int)]
    end = time.monotonic() + 0.2
    while pipes and select.select(pipes, [], [], 0)[0] and time.monotonic() < end:
        time.sleep(0.001)


def _wake():
    # A signal that comes while the loop waits must wake it, or an interrupt of
    # "await asyncio.sleep(1000)" is noted and never acted on. The loop sees to
    # that as soon as it handles any signal; this one means nothing here.
    asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, lambda: None)
    get_ipython().events.unregister("pre_execute", _wake)


def _load(shell):
    # ipykernel asks programs for colours; whoever reads here wants none.
    for name in ("CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR"):
        os.environ.pop(name, None)
    os.environ["TERM"] = "dumb"
    shell.events.register("pre_execute", _wake)
    shell.events.register("post_execute", _drain)


_module.pack = _pack
_module.load_ipython_extension = _load
sys.modules[_module.__name__] = _module

c = get_config()  # noqa: F821
c.Session.packer = "sallyport_kernel.pack"
c.InteractiveShellApp.extensions = ["sallyport_kernel"]
# History is the host's business; a file of it would only grow.
c.HistoryManager.hist_file = ":memory:"
