"""What programs make of `docker run -m 512m --cpus 1.5 --cpuset-cpus 0`: one number of processors, one amount of memory. Lines 14 to 16.

The programs are the host's, seen through read-only volumes; a JVM and Node.js are asked where they are installed.
"""
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.engine import Engine
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse", "psutil")
LIMIT = 512 << 20
LIMITS = ("-m", "512m", "--cpus", "1.5", "--cpuset-cpus", "0")
LIFE_S = 0.1
JVM_FILES = ("/etc/alternatives", "/etc/java-17-openjdk")
BINDS = ["/usr:/usr", "/usr/lib:/lib", "/usr/lib64:/lib64", *(f"{path}:{path}" for path in JVM_FILES if shutil.which("java"))]
HOSTS = [word for path in BINDS for word in ("-v", f"{path}:ro")]
PYTHON = "/usr/bin/python3"
JVM = """
public class Machine {
    public static void main(String[] words) {
        var system = (com.sun.management.OperatingSystemMXBean) java.lang.management.ManagementFactory.getOperatingSystemMXBean();
        System.out.println(words[0].equals("cpus") ? Runtime.getRuntime().availableProcessors() : system.getTotalMemorySize());
    }
}
"""


@dataclass(frozen=True)
class Asked:
    """A program and what of its output is the number."""

    command: tuple[str, ...]
    pattern: str
    unit: int = 1

    def number(self, engine: Engine, container: str) -> int:
        shown = engine.docker("exec", container, *self.command).ok()
        found = re.search(self.pattern, shown.out + shown.err, re.MULTILINE)
        assert found, (self.command, shown)
        return round(float(found[1]) * self.unit)


def python(expression: str) -> tuple[str, ...]:
    return PYTHON, "-c", f"import os, psutil; print({expression})"


def jvm(what: str) -> tuple[str, ...]:
    """Compiled by itself; the -XX options make it start sooner and decide nothing else."""
    start = "/usr/bin/java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 /tmp/Machine.java"
    return "sh", "-c", f"echo '{JVM}' >/tmp/Machine.java; exec {start} {what}"


PROCESSORS = {
    "nproc": Asked(("/usr/bin/nproc",), r"^(\d+)$"),
    "getconf": Asked(("/usr/bin/getconf", "_NPROCESSORS_ONLN"), r"^(\d+)$"),
    "lscpu": Asked(("sh", "-c", "/usr/bin/lscpu --online --parse=cpu | grep -vc '#'"), r"^(\d+)$"),
    "cpuinfo": Asked(("grep", "-c", "^processor", "/proc/cpuinfo"), r"^(\d+)$"),
    "os.cpu_count": Asked(python("os.cpu_count()"), r"^(\d+)$"),
    "sched_getaffinity": Asked(python("len(os.sched_getaffinity(0))"), r"^(\d+)$"),
    "psutil": Asked(python("psutil.cpu_count()"), r"^(\d+)$"),
    "psutil times": Asked(python("len(psutil.cpu_times(percpu=True))"), r"^(\d+)$"),
    "stat": Asked(("grep", "-c", "^cpu[0-9]", "/proc/stat"), r"^(\d+)$"),
}
MEMORY = {
    "free": Asked(("/usr/bin/free", "-b"), r"^Mem: +(\d+)"),
    "busybox free": Asked(("busybox", "free", "-k"), r"^Mem: +(\d+)", 1024),
    "top": Asked(("/usr/bin/top", "-b", "-n1", "-E", "k"), r"^KiB Mem : +(\d+)", 1024),
    "vmstat": Asked(("/usr/bin/vmstat", "-s"), r"^ *(\d+) K total memory", 1024),
    "sysconf": Asked(python("os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGESIZE')"), r"^(\d+)$"),
    "psutil": Asked(python("psutil.virtual_memory().total"), r"^(\d+)$"),
}
INSTALLED: dict[str, tuple[dict[str, Asked], Asked]] = {
    "node cpus": (PROCESSORS, Asked(("/usr/bin/node", "-p", "os.cpus().length"), r"^(\d+)$")),
    "node totalmem": (MEMORY, Asked(("/usr/bin/node", "-p", "os.totalmem()"), r"^(\d+)$")),
    "java cpus": (PROCESSORS, Asked(jvm("cpus"), r"^(\d+)$")),
    "java memory": (MEMORY, Asked(jvm("memory"), r"^(\d+)$")),
}
for name, (table, asked) in INSTALLED.items():
    if shutil.which(name.split()[0]):
        table[name] = asked


def test_16_every_program_tells_the_same(engine: Engine) -> None:
    container = engine.detached(*LIMITS, *HOSTS, "box", "sleep", "1000")
    assert {name: asked.number(engine, container) for name, asked in PROCESSORS.items()} == dict.fromkeys(PROCESSORS, 1)
    assert {name: asked.number(engine, container) for name, asked in MEMORY.items()} == dict.fromkeys(MEMORY, LIMIT)
    times = [float(engine.docker("exec", container, *command).ok().out.split()[0])
             for command in (("cat", "/proc/uptime"), python("__import__('time').time() - psutil.boot_time()"))]
    assert times[0] < 60 < times[1]  # btime is the host's without a time namespace
    assert "load average: " in engine.docker("exec", container, "/usr/bin/uptime").ok().out
    htop = "TERM=xterm timeout 1 /usr/bin/htop -d 1 </dev/null >/tmp/htop 2>&1; grep -c Mem /tmp/htop"
    assert engine.docker("exec", "-t", container, "sh", "-c", htop).out.strip() != "0"


def test_14_update_shows_within_a_life(engine: Engine) -> None:
    """Some time goes into docker itself: what is asserted is that the files never are older than their life."""
    container = engine.detached("-m", "256m", "--memory-swap", "256m", "--cpuset-cpus", "0", "box", "sleep", "1000")

    def shown(script: str) -> Callable[[], str]:
        return lambda: engine.docker("exec", container, "sh", "-c", script).ok().out

    total, online = shown("grep MemTotal /proc/meminfo | tr -dc 0-9"), shown("cat /sys/devices/system/cpu/online")
    assert (total(), online()) == ("262144", "0\n")
    engine.docker("update", "-m", "128m", "--memory-swap", "128m", "--cpuset-cpus", "0-1", container).ok()
    wait_until(lambda: (total(), online()) == ("131072", "0-1\n"), "the new limits are shown", 1)


def test_15_a_quota_narrows_nothing(engine: Engine) -> None:
    """The default view is the cpuset's, as sched_getaffinity has it: see virtualNodes.cpuView for the other one."""
    shown = engine.run("--cpus", "1", "box", "sh", "-c", "nproc; grep -c ^processor /proc/cpuinfo; cat /sys/devices/system/cpu/online")
    host = engine.run("--runtime=runc", "box", "nproc").ok().out
    assert shown.ok().lines[:2] == [host.strip()] * 2
