# SPDX-License-Identifier: Apache-2.0
"""How ``pio test`` runs and reads the programs in this folder, without a test framework.

PlatformIO's own frameworks are packages of its registry.  Here a test program prints one line
per case, ``PASS name``, ``FAIL name: reason`` or ``SKIP name: reason``, and at last ``DONE``
(tflm_app/test/check.h).  A program that never says DONE has crashed or hung: that is an error.
Emulated boards run under QEMU or rp2040js, everything else as PlatformIO does it.
"""

import re
from pathlib import Path

import click
from platformio.test.result import TestCase, TestStatus
from platformio.test.runners.base import TestRunnerBase

LINE = re.compile(r"^(PASS|FAIL|SKIP) ([^:\s]+)(?:: (.*))?$")
STATUS = {"PASS": TestStatus.PASSED, "FAIL": TestStatus.FAILED, "SKIP": TestStatus.SKIPPED}
TIMEOUT_SECONDS = 120
PROJECT = Path.cwd()
RP2040JS = "build/rp2040js/node_modules/rp2040js/dist/esm/index.js"


class CustomTestRunner(TestRunnerBase):
    """Reads PASS, FAIL, SKIP and DONE lines."""

    def setup(self):
        """Runs the program under QEMU or rp2040js if its board is one of theirs."""
        self._text, self._done = "", False
        env = f"env:{self.test_suite.env_name}"
        board = self.project_config.get(env, "board", None)
        if board is None:
            return
        build_dir = self.project_config.get("platformio", "build_dir")
        elf = f"{build_dir}/{self.test_suite.env_name}/firmware.elf"
        machine = self.platform.board_config(board).get("build.qemu_machine", "")
        command = None
        if machine:
            command = ["qemu-system-arm", "-M", machine]
            command += ["-display", "none", "-monitor", "none", "-serial", "stdio"]
            command += ["-semihosting-config", "enable=on,target=native,arg=test", "-kernel", elf]
        elif self.platform.name == "rp2040":
            command = ["node", f"{PROJECT}/tflm_app/tools/rp2040/device.mjs"]
            command += [f"{PROJECT}/{RP2040JS}", elf, "--"]
        if command:
            command = ["timeout", "-k", "5", str(TIMEOUT_SECONDS), *command]
            self.project_config.set(env, "test_testing_command", command)

    def on_testing_data_output(self, data):
        """Cuts the output into lines; it arrives in arbitrary pieces."""
        *lines, self._text = (self._text + data).split("\n")
        for line in lines:
            self.on_testing_line_output(line.rstrip("\r"))

    def on_testing_line_output(self, line):
        """Takes one line of the program's output."""
        click.echo(line)
        match = LINE.match(line)
        if match:
            verdict, name, reason = match.groups()
            case = TestCase(name=name, status=STATUS[verdict], message=reason, stdout=line)
            self.test_suite.add_case(case)
        elif line == "DONE":
            self._done = True

    def stage_testing(self):
        """Runs the program; one that ends or hangs before DONE is an error."""
        super().stage_testing()
        if not self.options.without_testing and not self._done:
            raise RuntimeError("the test program ended before it printed DONE")
