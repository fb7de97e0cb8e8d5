"""The virtual nodes as processes see them: what is cached and what is asked for, what may be written, what happens without a server."""
import errno
import mmap
import os
import random
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.view import ROOT, Served, read_once, sent_once, served, write_once
from tests.support.waiting import wait_gone, wait_until

pytestmark = pytest.mark.requires("root", "fuse")

OVERCOMMIT = "sys/vm/overcommit_memory"
LIFE_S = 0.1
FUSE_SUPER_MAGIC = 0x65735546


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all tests that leave it as useful as they found it."""
    with served(tmp_path_factory.mktemp("view")) as serving:
        yield serving


@pytest.fixture
def tunable(view: Served) -> str:
    return str(view.proc(OVERCOMMIT))


def test_each_node_is_another_file(tmp_path: Path) -> None:
    with served(tmp_path) as view:
        assert read_once(view.proc("uptime")) == b"0.00 0.00\n"  # nobody attached yet
        assert read_once(view.proc("swaps")).startswith(b"Filename\t")
        assert read_once(view.proc("meminfo")).startswith(b"MemTotal:")
        assert read_once(view.proc(OVERCOMMIT)) == Path("/proc", OVERCOMMIT).read_bytes()


def test_uptime_counts_from_the_start_of_init(view: Served) -> None:
    with subprocess.Popen(["sleep", "60"]) as init:
        view.ask(f"attach {init.pid}")
        first = float(read_once(view.proc("uptime")).split()[0])
        time.sleep(2 * LIFE_S)
        second, idle = (float(word) for word in read_once(view.proc("uptime")).split())
        init.kill()
    assert 0 <= first < 2
    assert LIFE_S < second - first < 5
    assert 0 <= idle <= second * (os.cpu_count() or 1)


def test_a_tunables_content_is_asked_for_each_time(tunable: str, view: Served) -> None:
    read_once(tunable)
    before = view.requests()
    read_once(tunable)
    assert view.requests() - before in (3, 4)  # GETATTR, OPEN, READ, and RELEASE, for which nobody waits


@pytest.mark.parametrize("name", ["uptime", "meminfo", "swaps", OVERCOMMIT])
def test_attributes(tmp_path: Path, name: str) -> None:
    with served(tmp_path, 100000) as view:
        fd = os.open(view.proc(name), os.O_RDONLY)
        try:
            content, seen = os.read(fd, 65536), os.fstat(fd)
            assert seen.st_size == len(content) == os.lseek(fd, 0, os.SEEK_END)
        finally:
            os.close(fd)
        assert stat.S_IMODE(seen.st_mode) == (0o644 if name == OVERCOMMIT else 0o444)
        assert stat.S_ISREG(seen.st_mode)
        assert (seen.st_uid, seen.st_gid, seen.st_nlink, seen.st_blocks) == (100000, 100000, 1, 0)
        assert int(subprocess.check_output(["stat", "-f", "-c", "%t", view.proc(name)]), 16) == FUSE_SUPER_MAGIC


def test_an_inode_number_is_the_trees(view: Served) -> None:
    assert os.stat(view.proc("uptime")).st_ino == 16


def test_reads_of_every_shape(view: Served) -> None:
    fd = os.open(view.proc("meminfo"), os.O_RDONLY)
    try:
        whole = os.pread(fd, 65536, 0)
        assert os.pread(fd, 10, 5) == whole[5:15]
        assert os.pread(fd, 10, 1 << 20) == b""
        assert os.pread(fd, 10, len(whole)) == b""
        assert b"".join(iter(lambda: os.read(fd, 1), b""))[:8] == b"MemTotal"
        assert len(whole) == os.fstat(fd).st_size
    finally:
        os.close(fd)


def test_sendfile_sees_each_sample(tmp_path: Path) -> None:
    with served(tmp_path) as view, subprocess.Popen(["sleep", "60"]) as init:
        view.ask(f"attach {init.pid}")
        first = sent_once(view.proc("uptime"))
        time.sleep(2 * LIFE_S)
        assert sent_once(view.proc("uptime")) != first
        init.kill()


def test_a_first_read_in_the_middle(view: Served) -> None:
    fd = os.open(view.proc("swaps"), os.O_RDONLY)
    try:
        assert os.pread(fd, 4, 4) == b"name"
    finally:
        os.close(fd)


def test_mmap(view: Served) -> None:
    with open(view.proc("swaps"), "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[:8] == b"Filename"


def test_slow_readers_see_no_error_and_no_gap(view: Served) -> None:
    fd = os.open(view.proc("meminfo"), os.O_RDONLY)
    try:
        size, text = os.fstat(fd).st_size, b""
        while part := os.read(fd, 512):
            text += part
            time.sleep(LIFE_S * 1.2)
    finally:
        os.close(fd)
    assert len(text) == size
    assert b"\0" not in text


@pytest.mark.parametrize(("written", "text"), [(b"2\n", b"2\n"), (b" 1 \n", b"1\n"), (b"0x2", b"2\n"), (b"01", b"1\n"), (b"1 1", b"1\n")])
def test_a_store_reads_back(tunable: str, written: bytes, text: bytes) -> None:
    host = Path("/proc", OVERCOMMIT).read_bytes()
    assert write_once(tunable, written, os.O_TRUNC) == len(written)
    assert sent_once(tunable) == text
    assert write_once(tunable, written) == len(written)
    assert read_once(tunable) == text
    assert os.stat(tunable).st_size == len(text)
    assert Path("/proc", OVERCOMMIT).read_bytes() == host


@pytest.mark.parametrize("written", [b"3", b"-1", b"1x", b"\n", b"+1"])
def test_a_refused_store_keeps_the_old_value(tunable: str, written: bytes) -> None:
    assert write_once(tunable, b"2\n") == 2
    assert read_once(tunable) == b"2\n"
    assert write_once(tunable, written, os.O_TRUNC) == -errno.EINVAL
    assert sent_once(tunable) == b"2\n"
    assert write_once(tunable, written) == -errno.EINVAL
    assert read_once(tunable) == b"2\n"


def test_the_second_write_on_one_file_is_ignored(tunable: str) -> None:
    fd = os.open(tunable, os.O_RDWR)
    try:
        assert os.write(fd, b"2") == 1
        assert os.write(fd, b"1") == 1
        assert os.pread(fd, 10, 0) == b"2\n"
        assert os.pwrite(fd, b"1", 7) == 1
        assert os.pread(fd, 10, 0) == b"2\n"
    finally:
        os.close(fd)
    assert read_once(tunable) == b"2\n"


def test_an_open_file_goes_on_with_what_it_began(tunable: str) -> None:
    """cat reads until the end: what is stored meanwhile, and is longer, must not look like more of it."""
    assert write_once(tunable, b"2\n") == 2
    fd = os.open(tunable, os.O_RDONLY)
    try:
        assert os.read(fd, 1) == b"2"
        assert write_once(tunable, b"1\n") == 2
        assert os.read(fd, 10) == b"\n"
        assert os.pread(fd, 10, 0) == b"1\n"
    finally:
        os.close(fd)


def test_append_is_a_write_at_the_beginning(tunable: str) -> None:
    assert write_once(tunable, b"2\n", os.O_APPEND) == 2
    assert read_once(tunable) == b"2\n"
    assert write_once(tunable, b"1\n", os.O_APPEND) == 2
    assert read_once(tunable) == b"1\n"


def test_truncation_changes_nothing(tunable: str) -> None:
    assert write_once(tunable, b"2\n", os.O_TRUNC) == 2
    os.close(os.open(tunable, os.O_WRONLY | os.O_TRUNC))
    os.truncate(tunable, 0)
    os.truncate(tunable, 100)
    assert read_once(tunable) == b"2\n"


def test_more_than_a_page(tunable: str) -> None:
    assert write_once(tunable, b"2" + b" " * 10000) == 10001
    assert read_once(tunable) == b"2\n"
    assert write_once(tunable, b" " * 4095 + b"1") == -errno.EINVAL
    assert read_once(tunable) == b"2\n"


def test_a_shell_writes_it(view: Served) -> None:
    script = "cd $0 && echo 2 > overcommit_memory && cat overcommit_memory && echo 1 >> overcommit_memory && cat overcommit_memory"
    assert subprocess.check_output(["sh", "-c", script, view.proc("sys/vm")]) == b"2\n1\n"


def test_a_shared_mapping_is_a_write(tunable: str) -> None:
    assert write_once(tunable, b"1") == 1
    fd = os.open(tunable, os.O_RDWR)
    try:
        os.pread(fd, 10, 0)
        with mmap.mmap(fd, 2) as mapped:
            mapped[0:1] = b"2"
            mapped.flush()
    finally:
        os.close(fd)
    assert read_once(tunable) == b"2\n"


@pytest.mark.parametrize("name", ["uptime", OVERCOMMIT])
def test_mode_and_owner_stay(view: Served, name: str) -> None:
    with pytest.raises(PermissionError, match="not permitted"):
        os.chmod(view.proc(name), 0o777)
    with pytest.raises(PermissionError, match="not permitted"):
        os.chown(view.proc(name), 5, 5)
    os.utime(view.proc(name), (1, 1))
    assert os.stat(view.proc(name)).st_mtime > 1


def test_a_view_cannot_be_written(view: Served) -> None:
    """Root of the host opens it by CAP_DAC_OVERRIDE; the write is refused."""
    assert write_once(str(view.proc("uptime")), b"1") == -errno.EACCES


def test_who_may_write(tmp_path: Path) -> None:
    with served(tmp_path, 100000) as view:
        script = "import os,sys; os.setgroups([]); os.setgid({0}); os.setuid({0}); os.write(os.open(sys.argv[1], os.O_WRONLY), b'2')"
        for uid, succeeds in ((100000, True), (101000, False)):
            fd = os.open(view.proc(OVERCOMMIT), os.O_PATH)
            try:
                command = ["python3", "-c", script.format(uid), f"/proc/self/fd/{fd}"]
                result = subprocess.run(command, pass_fds=(fd,), capture_output=True, text=True, check=False)
            finally:
                os.close(fd)
            assert (result.returncode == 0) is succeeds, result.stderr
            assert succeeds or "PermissionError" in result.stderr
        [(node, old, new, host, pid, writer)] = eval(view.ask("stores"))  # noqa: S307 # our own program's
        assert (node, new, writer) == (b"proc/" + OVERCOMMIT.encode(), b"2\n", 100000)
        assert old == host == Path("/proc", OVERCOMMIT).read_bytes()
        assert pid > 0


def test_no_attributes_besides(view: Served) -> None:
    with pytest.raises(OSError, match="not supported"):
        os.listxattr(view.proc("uptime"))
    with pytest.raises(OSError, match="not supported"):
        os.getxattr(view.proc("uptime"), "user.x")
    with pytest.raises(OSError, match="not supported"):
        os.setxattr(view.proc("uptime"), "user.x", b"1")


def test_nothing_can_be_made_beside(view: Served) -> None:
    with pytest.raises(OSError, match="not implemented"):
        os.mkdir(view.proc("new"))
    with pytest.raises(OSError, match="not implemented"):
        os.open(view.proc("new"), os.O_CREAT | os.O_WRONLY)
    assert not view.proc("new").exists()


def test_writers_and_readers_at_once(tunable: str) -> None:
    """Only whole values that were written are ever read."""
    end, seen, faults = time.monotonic() + 1.5, set(), []

    def write() -> None:
        try:
            while time.monotonic() < end:
                assert write_once(tunable, random.choice([b"0\n", b"1\n", b"2\n"])) == 2
        except BaseException as error:  # noqa: BLE001 # handed to the test
            faults.append(error)

    def read() -> None:
        try:
            while time.monotonic() < end:
                seen.add(read_once(tunable))
        except BaseException as error:  # noqa: BLE001 # handed to the test
            faults.append(error)

    threads = [threading.Thread(target=target) for target in [write] * 5 + [read] * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert seen <= {b"0\n", b"1\n", b"2\n"}


def test_readers_never_see_a_mixture(view: Served) -> None:
    with subprocess.Popen(["sleep", "60"]) as init:
        view.ask(f"attach {init.pid}")
        last, end = 0.0, time.monotonic() + 1
        while time.monotonic() < end:
            text = read_once(view.proc("uptime"))
            first, idle = text.split()
            assert text.endswith(b"\n")
            assert float(first) >= last
            assert float(idle) >= 0
            last = float(first)
        init.kill()


def test_a_tunable_survives_its_server(tmp_path: Path) -> None:
    with served(tmp_path) as view:
        assert write_once(str(view.proc(OVERCOMMIT)), b"2") == 1
        view.process.kill()
        view.process.wait()
    with served(tmp_path) as view:
        assert read_once(view.proc(OVERCOMMIT)) == b"2\n"


def test_without_a_server_every_node_fails_within_a_life(tmp_path: Path) -> None:
    with served(tmp_path) as view, open(view.proc("uptime"), "rb", buffering=0) as held:
        assert held.read()
        read_once(view.proc(OVERCOMMIT))
        view.process.kill()
        view.process.wait()
        start = time.monotonic()
        time.sleep(LIFE_S * 1.2)  # the kernel counts it in jiffies
        for name in ("uptime", "meminfo", OVERCOMMIT):
            with pytest.raises(OSError, match="not connected") as failed:
                read_once(view.proc(name))
            assert failed.value.errno == errno.ENOTCONN
        with pytest.raises(OSError, match="not connected"):
            os.pread(held.fileno(), 100, 0)
        assert write_refused(str(view.proc(OVERCOMMIT)))
        assert time.monotonic() - start < 2


def write_refused(path: str) -> bool:
    try:
        return write_once(path, b"1") == -errno.ENOTCONN
    except OSError as error:
        return error.errno == errno.ENOTCONN


def test_k01_killed_while_it_asks_itself_it_ends(tmp_path: Path) -> None:
    """A supervisor of a container that is refused is killed at any time, its own check of the nodes under way too."""
    process = subprocess.Popen([sys.executable, "-m", "tests.programs.stuck_view", str(tmp_path)], cwd=ROOT)
    try:
        tasks = Path(f"/proc/{process.pid}/task")
        wait_until(lambda: "request_wait_answer" in [(task / "wchan").read_text() for task in tasks.iterdir()], "the check waits")
    finally:
        process.kill()
    wait_gone(process.pid, 5.0)
    process.wait()
