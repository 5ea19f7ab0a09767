"""Runs a command to which the system refuses a kind of lock, as some file systems do.

usage: python3 refusing.py KIND ERROR PROGRAM [ARGUMENT..]

KIND is flock (what recert takes beside a ledger) or fcntl (what SQLite takes inside it); ERROR is a
name of the errno module. The refusal is a filter of system calls (seccomp, Linux), which the
program inherits. Ends with 77 where there is no such filter here.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

NUMBERS = {"x86_64": {"flock": 73, "fcntl": 72}, "aarch64": {"flock": 32, "fcntl": 25}}
SET_LOCK = 6
LOAD, EQUALS, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2


def instruction(code, value, if_true=0, if_false=0):
    return struct.pack("HBBI", code, if_true, if_false, value)


def main():
    kind, error, *command = sys.argv[1:]
    number = NUMBERS.get(platform.machine(), {}).get(kind)
    if number is None:
        sys.exit(77)
    refuse = instruction(RETURN, REFUSE | getattr(errno, error))
    allow = instruction(RETURN, ALLOW)
    # The number of the system call; for fcntl its second argument, the lower half, too.
    lines = [instruction(LOAD, 0)]
    if kind == "flock":
        lines += [instruction(EQUALS, number, 0, 1), refuse, allow]
    else:
        lines += [instruction(EQUALS, number, 0, 3), instruction(LOAD, 24)]
        lines += [instruction(EQUALS, SET_LOCK, 0, 1), refuse, allow]
    code = ctypes.create_string_buffer(b"".join(lines))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 4
    if prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or prctl(SECCOMP, FILTER, ctypes.addressof(program), 0, 0):
        sys.exit(77)
    os.execv(command[0], command)


main()
