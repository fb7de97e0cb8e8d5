"""The command lines that engines send, and any other: parsed, or refused by one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.model.state import Mode
from eci_supervisor.oci.argv import ArgvError, CommandLine, log_of, parse
from eci_supervisor.oci.deleted import deleted


def line(text: str, program: str = "/usr/bin/eci-runc") -> CommandLine:
    return parse(program, text.split())


def test_docker_create() -> None:
    words = "--root /run/r --log /b/log.json --log-format json --systemd-cgroup create --bundle /b --pid-file /b/init.pid web1"
    found = line(words)
    assert (found.command, found.id, found.root, found.options) == ("create", "web1", "/run/r", {"bundle": "/b", "pid-file": "/b/init.pid"})
    assert " ".join((*found.before, *found.words)) == words
    assert log_of(words.split()) == ("/b/log.json", True)


def test_our_options_are_taken_out_wherever_they_stand() -> None:
    found = line("--mode=system --root /r --real-runtime /usr/bin/crun -state-dir /s --log-format=json --audit-dir=/a create web1")
    assert found.before == ("--root", "/r", "--log-format=json")
    assert (found.mode, found.state_dir, found.audit_dir) == (Mode.SYSTEM, "/s", "/a")


@pytest.mark.parametrize(
    ("program", "options", "mode"),
    [
        ("/usr/bin/eci-runc", "", Mode.ECI),
        ("/usr/bin/eci-runc-system", "", Mode.SYSTEM),
        ("eci-runc-system", "--mode=eci", Mode.ECI),
    ],
)
def test_the_mode_comes_by_name_or_option(program: str, options: str, mode: Mode) -> None:
    assert line(f"{options} create web1", program).mode is mode


@pytest.mark.parametrize("text", ["--mode=privileged create x", "--state-dir=s create x", "--frob nicate create x", "--audit-dir= run x"])
def test_what_cannot_be_followed_is_refused(text: str) -> None:
    with pytest.raises(ArgvError):
        line(text)


def test_an_unknown_switch_before_the_command_is_passed_on() -> None:
    assert line("--frobnicate create web1").before == ("--frobnicate",)
    assert line("--frob=nicate create web1").id == "web1"


@pytest.mark.parametrize(
    ("text", "container_id"),
    [
        ("create -b /b web1", "web1"),
        ("create web1 -b /b", "web1"),
        ("create --unknown value web1", "web1"),
        ("run --detach -- web1", "web1"),
        ("exec --process /p --detach web1", "web1"),
        ("exec -u 1000 -t web1 sh -c -p", "web1"),
        ("exec -u1000 web1 create web2", "web1"),
        ("exec --env A=B -e C=D --cap CAP_KILL web1 ls", "web1"),
        ("create", ""),
    ],
)
def test_the_container_is_named_last_but_in_exec(text: str, container_id: str) -> None:
    assert line(text).id == container_id


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("--no-pivot", True),
        ("-no-pivot", True),
        ("--no-pivot=true", True),
        ("--no-pivot=false", False),
        ("--no-pivot=0", False),
        ("--detach", False),
    ],
)
def test_switches(text: str, on: bool) -> None:  # a table of truth values
    assert line(f"create {text} web1").switched("no-pivot") is on


def test_short_names_are_long_ones() -> None:
    assert line("run -d -b /b web1").options == {"detach": "", "bundle": "/b"}
    assert line("exec -p /p web1").options == {"process": "/p"}


WORDS = st.lists(
    st.text(min_size=1) | st.sampled_from(["--root", "--mode=eci", "--log=l", "create", "exec", "-b", "--", "-", "--=", "web1"])
)


@given(WORDS)
def test_any_command_line_is_parsed_or_refused(words: list[str]) -> None:
    try:
        found = parse("eci-runc", words)
    except ArgvError:
        return
    assert list(found.words) == words[len(words) - len(found.words) :]
    log_of(words)


@pytest.mark.parametrize(("words", "code", "found"), [
    ("--root /r/ delete web1", 0, ("/r", "web1")), ("--root=r delete web1", 0, ("/here/r", "web1")),
    ("delete web1", 0, ("/run/crun", "web1")),
    ("delete web1", 1, None), ("delete --force web1", 1, ("/run/crun", "web1")), ("delete -f web1", 3, ("/run/crun", "web1")),
    ("delete -force web1", 1, ("/run/crun", "web1")), ("delete --force=false web1", 1, None), ("delete", 0, None),
    ("--mode=none delete web1", 0, None),
])
def test_what_a_delete_leaves_to_us(words: str, code: int, found: tuple[str, str] | None) -> None:
    assert deleted(["eci-runc", *words.split()], "/usr/bin/crun", "/here", code) == found
