# SPDX-License-Identifier: Apache-2.0
"""Running the commands that are compared."""
import os, signal, subprocess


def run(words, timeout, **options):
    """As subprocess.run(), but when the time is over every process of the command ends, not only the first: a child would keep the pipes."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **options)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)
