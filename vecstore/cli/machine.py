"""`vecstore warmup` and `vecstore env`: what concerns this machine, and no store."""

import json
import os

import click

from vecstore import __version__


@click.command()
def warmup() -> None:
    """Compile every kernel into the cache, so that no later call has to wait."""
    import time

    from vecstore.index.warmup import warmup_steps
    from vecstore.kernels.jit import cache_directory, watch_compiling

    began, compiled = time.perf_counter(), 0

    def _tell(kernel: str, seconds: float) -> None:
        nonlocal compiled
        compiled += 1
        click.echo(f"{metric:12} {step:7} {kernel:18} {seconds:6.2f} s")

    with watch_compiling(_tell):
        for metric, step, run in warmup_steps():
            before = compiled
            run()
            if compiled == before:
                click.echo(f"{metric:12} {step:7} already in the cache")
    seconds = time.perf_counter() - began
    click.echo(f"{compiled} kernels compiled in {seconds:.1f} s; they are in {cache_directory()}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def env(as_json: bool) -> None:
    """Show versions, CPU, threads and the kernel cache: what a bug report should contain."""
    import platform
    from importlib.metadata import version

    from vecstore.kernels.environment import describe

    packages = ("numpy", "scipy", "msgpack", "click", "rich")
    facts = {
        "vecstore": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        **{package: version(package) for package in packages},
        **describe(),
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        shown = f"{len(value)} features" if isinstance(value, list) else value
        click.echo(f"{name:18} {shown}")
