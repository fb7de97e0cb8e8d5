"""Rows of hostile calls on arguments, notifications, decoding, other doors, paths, mounts and namespaces, and the test that shows each.

A row is known by its letter and number: A arguments that change, B life of a notification, C decoding, D other doors to the same power,
E paths, F protected mounts, G the real /proc and /sys, H ids and ownership, I namespaces and the kernel's interfaces.
"""
import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
INSIDE = "container/test_attacks_mounts.py::test_what_each_row_must_see"  # and a line_ROW of container/inside/attacks.py

SHOWN: dict[str, tuple[str, ...]] = {
    "A01": ("container/test_attacks_races.py::test_a01_a12_target_flips",
            "container/test_races.py::test_every_argument_is_rewritten_by_other_threads"),
    "A02": ("container/test_attacks_races.py::test_a02_type_flips",),
    "A03": ("container/test_mount_races.py::test_a01_a03_a09_what_was_judged_or_an_errno",),
    "A04": (INSIDE,),
    "A08": ("container/test_calls_of_the_host.py::test_75_floor",
            "kernel/test_serving_stuck.py::test_memory_that_never_comes_costs_its_caller_a_second"),
    "A09": ("container/test_mount_races.py::test_a01_a03_a09_what_was_judged_or_an_errno",),
    "A10": (INSIDE, "native/test_fuzz.py::test_new_inputs_break_nothing"),
    "A12": ("container/test_attacks_races.py::test_a01_a12_target_flips",),
    "A14": ("container/test_attacks_rows.py::test_a14_full_capabilities_of_another_user_namespace",),
    "A16": ("container/test_attacks_rows.py::test_a16_a_capability_once_held_is_not_held",),
    "B01": ("container/test_races.py::test_b01_b02_callers_that_go", "kernel/test_mounter.py::test_caller_killed_before_it_is_answered"),
    "B02": ("container/test_races.py::test_b01_b02_callers_that_go",),
    "B04": ("container/test_races.py::test_b04_a_storm_of_signals_leaves_the_mount_table_exact",
            "kernel/test_lane.py::test_signals_that_never_stop",
            "kernel/test_mounter_repeats.py::test_what_covers_an_interrupted_mount_stays"),
    "B05": (INSIDE, "container/test_mount_races.py::test_b04_signals"),
    "B06": ("container/test_races.py::test_b06_a_program_whose_runtime_preempts_it_by_signals",),
    "B08": ("container/test_failures.py::test_b08_paused_while_a_call_is_pending",),
    "B09": ("container/test_flood.py::test_b09_a_flood_is_answered_in_bounded_memory",),
    "B10": ("container/test_failures.py::test_supervisor_killed_while_a_call_is_pending",
            "container/test_failures.py::test_supervisor_killed_while_a_container_runs"),
    "B11": ("container/test_attacks_life.py::test_b11_nobody_holds_the_listener_of_a_dead_supervisor",
            "container/test_failures.py::test_b11_supervisor_and_mounter_killed_with_a_child_stuck_in_fuse",
            "container/test_failures.py::test_b11_supervisor_and_mounter_killed_with_a_child_that_cannot_close"),
    "B12": ("container/test_attacks_rows.py::test_b12_no_descriptor_of_ours_is_within_reach",),
    "B14": ("container/test_attacks_life.py::test_b14_after_the_storm_the_serving_threads_rest",),
    "B15": (INSIDE,),
    "B16": (INSIDE,),
    "B19": (INSIDE,),
    "B20": ("container/test_attacks_life.py::test_b20_a_container_ends_with_calls_pending",),
    "B21": ("container/test_attacks_life.py::test_b21_no_exec_ever_runs_unvetted",),
    "C01": ("container/test_vectors.py::test_line_53_bad_arguments_get_the_kernels_errno",),
    "C02": ("container/test_lines_calls.py::test_54_strings_and_structs_before_a_hole",
            "kernel/test_serving.py::test_strings_before_a_hole"),
    "C03": ("container/test_calls.py::test_pointers_and_strings",),
    "C04": ("container/test_calls.py::test_pointers_and_strings",),
    "C05": ("container/test_attacks_rows.py::test_c05_c06_c09_c11_c12_the_kernels_own_answers",),
    "C06": ("container/test_attacks_rows.py::test_c05_c06_c09_c11_c12_the_kernels_own_answers",),
    "C08": (INSIDE, "container/test_lines_calls.py::test_43_a_volume_to_writable"),
    "C09": ("container/test_attacks_rows.py::test_c05_c06_c09_c11_c12_the_kernels_own_answers",),
    "C11": ("container/test_attacks_rows.py::test_c05_c06_c09_c11_c12_the_kernels_own_answers",),
    "C12": ("container/test_attacks_rows.py::test_c05_c06_c09_c11_c12_the_kernels_own_answers",),
    "C14": ("container/test_lines_flags.py::test_58_every_combination_of_flags", "native/test_fuzz.py::test_new_inputs_break_nothing"),
    "D01": ("container/test_attacks_races.py::test_d01_d02_d03_other_abis",
            "container/test_vectors.py::test_line_68_every_abi_has_the_decisions_of_the_others"),
    "D02": ("container/test_attacks_races.py::test_d01_d02_d03_other_abis",),
    "D03": ("container/test_attacks_races.py::test_d01_d02_d03_other_abis",
            "kernel/test_serving.py::test_x32_is_as_on_a_kernel_without_it"),
    "D04": ("container/test_namespace_rules.py::test_d04_each_kind_by_each_call",),
    "D05": ("container/test_lines_calls.py::test_36_a_tree_that_is_not_attached",),
    "D06": ("container/test_lines_procfs.py::test_16_open_tree_without_recursive",
            "container/test_attacks_locked.py::test_locked_in_every_position"),
    "D07": ("container/test_attacks_locked.py::test_locked_in_every_position",
            "container/test_lines_calls.py::test_44_the_same_by_attributes"),
    "D08": ("container/test_attacks_locked.py::test_locked_in_every_position", "container/test_lines_procfs.py::test_23_reconfigure"),
    "D11": ("container/test_attacks_locked.py::test_d11_no_namespace_by_its_handle",),
    "D13": (INSIDE,),
    "D14": ("container/test_exec.py::test_every_process_is_filtered_and_none_holds_a_listener",),
    "E01": ("container/test_attacks_rows.py::test_c05_c06_c09_c11_c12_the_kernels_own_answers",
            "container/test_lines_calls.py::test_65_links"),
    "E02": ("container/test_lines_calls.py::test_62_descriptors", "container/test_lines_calls.py::test_63_the_root_of_another_process"),
    "E03": ("container/test_attacks_rows.py::test_e03_p6_in_a_jail",),
    "E04": ("container/test_attacks_rows.py::test_e04_p7_after_pivot_root",),
    "E05": ("container/test_attacks_rows.py::test_e05_one_locked_tree_for_each_procfs_and_sysfs",),
    "E07": ("container/test_attacks_images.py::test_e07_refused_in_a_sentence",),
    "E10": ("container/test_attacks_races.py::test_e10_a_fuse_server_that_hangs", "kernel/test_mounter.py::test_walk_that_hangs"),
    "E11": ("kernel/test_view.py::test_k01_killed_while_it_asks_itself_it_ends",),
    "E13": ("container/test_lines_procfs.py::test_29_another_mount_namespace",
            "kernel/test_lane.py::test_another_mount_namespace_and_root"),
    "F01": (INSIDE, "container/test_lines_calls.py::test_42_umount_of_a_volume"),
    "F02": ("container/test_attacks_rows.py::test_f02_the_parents_of_what_is_protected",),
    "F03": ("container/test_attacks_locked.py::test_locked_in_every_position",),
    "F04": (INSIDE, "container/test_lines_calls.py::test_50_move_and_pivot"),
    "F05": ("container/test_attacks_locked.py::test_locked_in_every_position", "container/test_lines_calls.py::test_49_a_read_only_root"),
    "F06": (INSIDE, "container/test_lines_procfs.py::test_19_cover_of_a_node"),
    "F07": (INSIDE,),
    "F09": (INSIDE,),
    "F11": ("container/test_attacks_locked.py::test_locked_in_every_position",),
    "F12": ("container/test_attacks_life.py::test_f12_k10_descriptors_of_nodes_outlive_their_server",),
    "G01": (INSIDE,),
    "G02": ("container/test_attacks_rows.py::test_g02_g03_fresh_ones_are_virtual",),
    "G03": ("container/test_attacks_rows.py::test_g02_g03_fresh_ones_are_virtual",),
    "G04": (INSIDE,),
    "G05": (INSIDE,),  # line_g04
    "G11": ("container/test_attacks_rows.py::test_g11_one_value_however_it_is_reached",),
    "G13": ("container/test_attacks_locked.py::test_locked_in_every_position",
            "container/test_lines_procfs.py::test_06_11_15_16_without_us"),
    "H01": ("container/test_attacks_rows.py::test_h01_h02_overlays_of_what_is_protected",),
    "H02": ("container/test_attacks_rows.py::test_h01_h02_overlays_of_what_is_protected",),
    "H03": (INSIDE,),
    "H04": (INSIDE,),
    "H06": (INSIDE,),
    "H07": ("container/test_ids.py::test_volume_that_others_reach_gives_no_set_uid_root",
            "kernel/test_stage_binds.py::test_a_users_directory_is_container_roots_and_a_set_uid_file_is_the_users"),
    "I01": ("container/test_attacks_rows.py::test_i01_no_way_from_a_namespace_here_to_one_outside",),
    "I02": (INSIDE, "container/test_namespace_rules.py::test_76_depth_and_number_of_user_namespaces"),
    "I03": (INSIDE,),
    "I04": ("container/test_attacks_rows.py::test_i04_device_nodes",),
    "I06": ("container/test_calls_of_the_host.py::test_75_floor", "container/test_attacks_locked.py::test_d11_no_namespace_by_its_handle"),
    "I07": ("container/test_calls_of_the_host.py::test_74_keys_in_system_mode",),
    "I08": ("container/test_calls_of_the_host.py::test_75_floor",),
    "I09": ("container/test_calls_of_the_host.py::test_75_floor",),
    "I10": ("container/test_calls_of_the_host.py::test_75_floor",),
    "I12": ("container/test_calls_of_the_host.py::test_71_72_73_reboot_names_and_swap",
            "container/test_calls_of_the_host.py::test_75_floor"),
}  # fmt: skip


@cache
def functions(name: str) -> frozenset[str]:
    tree = ast.parse((TESTS / name).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("row", SHOWN)
def test_the_row_has_its_test(row: str) -> None:
    for shown in SHOWN[row]:
        name, _, function = shown.partition("::")
        assert function in functions(name), shown
    if INSIDE in SHOWN[row] and row != "G05":
        assert f"line_{row.lower()}" in functions("container/inside/attacks.py")


def test_what_is_tried_inside_is_a_row() -> None:
    tried = {name.removeprefix("line_").upper() for name in functions("container/inside/attacks.py") if name.startswith("line_")}
    assert tried <= {row for row, shown in SHOWN.items() if INSIDE in shown}


# The lines of the contract of mount and namespace calls are tests named after their numbers; these are not in such a file's names.
NAMED = ("lines_calls", "lines_flags", "lines_inner", "lines_procfs", "mount_rules", "namespace_rules", "calls_of_the_host", "vectors")
ELSEWHERE = {
    69: "container/test_machine.py::test_11_one_story_at_one_time",
    79: "vm/test_apparmor.py::test_79_docker_default_denies_mounts_and_nothing_is_emulated",  # test_lanes.py asks whether it has passed
    80: "container/test_software.py::test_podman_inside",
    81: "container/test_software.py::test_util_linux",
}
LINES = 81


def test_each_line_has_its_test() -> None:
    names = [name for file in NAMED for name in functions(f"container/test_{file}.py") if name.startswith("test_")]
    shown = {int(number) for name in names for number in re.findall(r"_(\d+)(?=_|$)", name)}
    for shown_by in ELSEWHERE.values():
        assert shown_by.partition("::")[2] in functions(shown_by.partition("::")[0])
    assert set(range(1, LINES + 1)) - shown - ELSEWHERE.keys() == set()
