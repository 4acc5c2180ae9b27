# SPDX-License-Identifier: Apache-2.0
"""SCons script of the host platform: the system's g++ (or CC, CXX, AR of the environment)."""

import os
import shutil
import sys

from SCons.Script import AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()

tools = {name: os.environ.get(name, tool) for name, tool in [("CC", "gcc"), ("CXX", "g++")]}
missing = [tool for tool in tools.values() if shutil.which(tool) is None]
if missing:
    sys.exit(
        f"The host platform needs {' and '.join(missing)}. "
        "On Debian or Ubuntu: apt-get install g++. Another compiler: set CC and CXX."
    )

env.Replace(**tools, AR=os.environ.get("AR", "ar"), RANLIB=os.environ.get("RANLIB", "ranlib"))
env.Append(CCFLAGS=["-O2", "-g", "-Wall", "-Wextra"], LINKFLAGS=[], LIBS=["m"])

program = env.BuildProgram()
env.AddPlatformTarget(
    "upload", program, f'"{program[0].abspath}"', "Run", "Run the program on this computer"
)
AlwaysBuild(env.Alias("nobuild", program))
Default([program])
