"""The front door: `python run.py method=erm dataset=scene seed=3`; `--help` lists the choices."""

from mlbench.commands import begin

if __name__ == "__main__":
    begin("run")
