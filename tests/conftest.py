import sys

import pytest

from vdprobe.cli.main import main


@pytest.fixture
def vdprobe(monkeypatch, capsys):
    """Runs the command as a user types it; gives (exit status, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vdprobe", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status, out, err

    return run
