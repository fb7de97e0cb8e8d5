"""The rules of the tunables of /proc/sys and /sys: what each accepts. Source: kernel/sysctl.c and the tables beside each subsystem.

A tunable's rule is its range; what a text must look like to be a number at all is procfs/text.py.
"""
import os

from eci_supervisor.procfs.text import integers

INT_MAX = (1 << 31) - 1
PIDS_PER_CPU_MIN = 8  # include/linux/threads.h
RESERVED_PIDS = 300
PID_MAX_LIMIT = 4 << 20

flag = integers(0, 1)
up_to_2 = integers(0, 2)
up_to_3 = integers(0, 3)
any_int = integers(-INT_MAX - 1, INT_MAX)
natural = integers(0, INT_MAX)
four_ints = integers(-INT_MAX - 1, INT_MAX, count=4)
unsigned_long = integers(0, (1 << 64) - 1)
count_of_files = integers(0, (1 << 63) - 1)

sysrq = integers(0, 511)
nr_open = integers(64, INT_MAX // 64 * 64)  # BITS_PER_LONG at least; the kernel masks its top with it: systemd halves on EINVAL
pid_max = integers(max(RESERVED_PIDS + 1, PIDS_PER_CPU_MIN * os.sysconf("SC_NPROCESSORS_CONF")), PID_MAX_LIMIT)
hash_buckets = integers(1, (1 << 32) - 1)
