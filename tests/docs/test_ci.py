"""CI installs the programs that a machine lacks, and no others."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def asked_of_apt(tmp_path: Path, present: list[str]) -> str:
    """Run the script where only `present` can be found, and give what it asks of apt."""
    for name in [*present, "apt-get"]:
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/said\n')
        program.chmod(0o755)
    bash = shutil.which("bash")
    assert bash is not None
    script = [bash, str(ROOT / ".ci/packages")]
    subprocess.run(script, check=True, env={"PATH": str(tmp_path)}, capture_output=True)
    said = tmp_path / "said"
    return said.read_text() if said.exists() else ""


def test_what_is_there_from_elsewhere_is_not_installed_again(tmp_path: Path) -> None:
    said = asked_of_apt(tmp_path, ["npm", "make", "git", "ssh"])
    installed = said.splitlines()[1].split("--no-install-recommends ")[1].split()
    assert {"chromium", "adb"} <= set(installed)
    assert not {"npm", "make", "git", "openssh-client"} & set(installed)


def test_ci_starts_with_it() -> None:
    assert "\nbash .ci/packages\n" in (ROOT / ".ci/run").read_text()
