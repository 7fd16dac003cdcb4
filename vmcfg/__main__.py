"""`python -m vmcfg` is the command `vmcfg`."""

from vmcfg.cli.main import entry

if __name__ == "__main__":
    entry()
