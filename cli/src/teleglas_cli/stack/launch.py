"""Runs a program that must not outlive the process that started it.

    python launch.py --parent PID [--signal N] [--unprivileged] [--watch] -- program argument ...

On Linux the kernel is asked to signal the program when the thread that started it ends, and this
process becomes the program. Elsewhere (macOS has no such request), or with `--watch`, this process
stays, passes signals on, and kills the program when the parent is gone. It is a script of its own,
run with `-I -S`, because code between fork and exec in a process that has threads can deadlock.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
WATCH_INTERVAL_S = 0.5


def main() -> int:  # noqa: RET503  exec does not return
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--signal", type=int, default=int(signal.SIGKILL))
    parser.add_argument("--unprivileged", action="store_true")
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("argv", nargs="+")
    options = parser.parse_args()
    if options.unprivileged and os.geteuid() == 0:
        become_unprivileged()
    if options.watch or sys.platform != "linux":
        return watch(options.argv, options.parent, options.signal)
    prctl(PR_SET_PDEATHSIG, options.signal)
    if os.getppid() != options.parent:
        return 1
    os.execvp(options.argv[0], options.argv)  # noqa: S606  the command of our own caller


def prctl(option: int, *arguments: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    padded = [*arguments, 0, 0, 0, 0][:4]
    if libc.prctl(option, *(ctypes.c_ulong(value) for value in padded)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def become_unprivileged() -> None:
    """Give up root, but keep the right to read folders that only root may enter.

    PostgreSQL refuses to run as root. Its programs and data can lie below a home that other
    accounts may not enter; the ambient capability CAP_DAC_OVERRIDE opens them without changing any
    permission. Where it is not to be had, the folders must be open to the account.
    """
    import pwd

    account = pwd.getpwnam("nobody")
    if sys.platform == "linux":
        keep_dac_override(account.pw_uid, account.pw_gid)
    else:
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)


def keep_dac_override(uid: int, gid: int) -> None:
    import ctypes
    import struct

    pr_set_keepcaps, pr_cap_ambient, pr_cap_ambient_raise = 8, 47, 2
    cap_dac_override, capability_version_3 = 1, 0x20080522
    prctl(pr_set_keepcaps, 1)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    bit = 1 << cap_dac_override
    header = struct.pack("=Ii", capability_version_3, 0)
    data = struct.pack("=6I", bit, bit, bit, 0, 0, 0)
    if ctypes.CDLL(None).capset(header, data) == 0:
        prctl(pr_cap_ambient, pr_cap_ambient_raise, cap_dac_override)


def watch(argv: list[str], parent: int, death_signal: int) -> int:
    child = subprocess.Popen(argv)

    def pass_on(number: int, _frame: object) -> None:
        child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, pass_on)
    while True:
        try:
            return child.wait(WATCH_INTERVAL_S)
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:
                child.send_signal(death_signal)
                return child.wait()


if __name__ == "__main__":
    sys.exit(main())
