"""The rules of the tunables of /proc/sys: what each accepts. Source: kernel/sysctl.c, mm/util.c."""
from eci_supervisor.procfs.text import integers

overcommit_memory = integers(0, 2)
