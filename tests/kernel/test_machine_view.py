"""The processor and load files as a mount serves them, and as programs of the host that know nothing of us read them."""
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.view import Served, served

pytestmark = pytest.mark.requires("root", "fuse")
LIFE_S = 0.1
FILES = ("proc/stat", "proc/cpuinfo", "proc/loadavg", "proc/meminfo", "proc/uptime", "sys/devices/system/cpu/online",
         "sys/devices/system/cpu/present")
# Reads the files at their usual places, in a mount namespace of its own.
OVER = "; ".join(f"mount --bind $0/{file} /{file}" for file in FILES) + '; exec "$@"'


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machine")


@pytest.fixture(scope="module")
def view(directory: Path) -> Iterator[Served]:
    with served(directory) as serving, subprocess.Popen(["sleep", "600"]) as init:
        serving.ask(f"attach {init.pid}")
        yield serving
        init.kill()


def run(view: Served, directory: Path, *command: str) -> str:
    """Our files over the host's, in a copy of the server's mount namespace, then `command`."""
    words = ["nsenter", f"--mount=/proc/{view.process.pid}/ns/mnt", "unshare", "--mount", "sh", "-ec", OVER, f"{directory}/m/nodes"]
    return subprocess.run([*words, *command], capture_output=True, text=True, check=True).stdout


def test_every_file_is_there_and_has_its_size(view: Served) -> None:
    for file in (*FILES, "sys/devices/system/cpu/offline"):
        with open(view.top / file, "rb", buffering=0) as opened:
            content = opened.read()
            assert os.fstat(opened.fileno()).st_size == len(content) > 0, file
            assert content.endswith(b"\n")


def test_what_says_the_same_again_is_not_read_again(view: Served) -> None:
    path = view.top / "proc/cpuinfo"
    path.read_bytes()
    time.sleep(2 * LIFE_S)
    before = view.requests()
    path.read_bytes()
    assert view.requests() - before == 1  # GETATTR; what is in the page cache is what it says


def test_counters_never_go_back(view: Served) -> None:
    last = [0] * 4
    for _ in range(20):
        now = [int(word) for word in (view.top / "proc/stat").read_text().splitlines()[0].split()[1:5]]
        assert all(after >= before for before, after in zip(last, now, strict=True))
        last = now
        time.sleep(LIFE_S / 4)


@pytest.mark.parametrize(("command", "pattern"), [
    (("free", "-k"), r"Mem: +{MemTotal} "),
    (("vmstat", "-S", "k"), r"(?s)r +b.* us +sy +id"),
    (("top", "-b", "-n1"), r"%Cpu\(s\): .* id,"),
    (("uptime",), r"load average: \d+\.\d\d, \d+\.\d\d, \d+\.\d\d"),
    (("nproc",), r"^{cpus}\n"),
    (("lscpu",), r"(?m)^CPU\(s\): +{cpus}$"),
    (("getconf", "_NPROCESSORS_ONLN"), r"^{cpus}\n"),
    (("python3", "-c", "import os; print(os.cpu_count(), os.getloadavg())"), r"^{cpus} \("),
])  # fmt: skip
def test_programs_read_them(view: Served, directory: Path, command: tuple[str, ...], pattern: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.fail(f"{command[0]} is not installed")
    total = re.search(r"MemTotal: +(\d+)", (view.top / "proc/meminfo").read_text())
    assert total
    wanted = pattern.format(MemTotal=total[1], cpus=os.cpu_count())
    assert re.search(wanted, run(view, directory, *command)), command


def test_20_one_start_time_in_a_time_namespace(view: Served) -> None:
    """What ps goes by, the start time in /proc/PID/stat, CLOCK_BOOTTIME, /proc/uptime and btime, all of them of the namespace."""
    offset = -int(time.clock_gettime(time.CLOCK_BOOTTIME))
    tell = "cat /proc/uptime; cut -d' ' -f22 /proc/self/stat; date +%s; exec sleep 60"
    command = ["unshare", "--time", "--boottime", str(offset), "--fork", "--mount-proc", "--pid", "sh", "-c", tell]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        kernels, ticks, now = (process.stdout.readline() for _ in range(3))
        [inner] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        view.ask(f"attach {inner}")
        ours = float((view.top / "proc/uptime").read_text().split()[0])
        btime = int(re.findall(r"^btime (\d+)", (view.top / "proc/stat").read_text(), re.MULTILINE)[0])
        os.kill(int(inner), signal.SIGKILL)
    assert 0 <= ours - float(kernels.split()[0]) < 2
    assert 0 <= int(ticks) / 100 <= ours
    assert abs(btime + ours - int(now)) <= 2
