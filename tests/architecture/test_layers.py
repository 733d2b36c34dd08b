import ast

import pytest

from tests.architecture.source import ROOT, dotted, modules

ON_THE_WAY_TO_AN_INDEX = ("kernels/", "index/", "engine/", "storage/")
NOT_DETERMINISTIC = {
    "np.dot": "BLAS",
    "np.matmul": "BLAS",
    "np.einsum": "BLAS",
    "np.inner": "BLAS",
    "np.random": "its streams may change",
    "np.linalg": "LAPACK",
    "np.exp": "libm",
    "np.log": "libm",
    "np.sin": "libm",
    "np.cos": "libm",
    "np.power": "libm",
    "math.exp": "libm",
    "math.log": "libm",
    "math.pow": "libm",
    "random": "not ours",
}
DOOR = {"storage/files.py", "storage/descriptors.py", "storage/mapping.py"}
SYSTEM_CALLS = {
    "os.open",
    "os.write",
    "os.pwrite",
    "os.fsync",
    "os.replace",
    "os.rename",
    "os.unlink",
    "os.truncate",
    "os.ftruncate",
    "mmap.mmap",
    "fcntl.flock",
    "open",
    "np.memmap",
    "np.fromfile",
}


def uses(path: str) -> set[str]:
    return {dotted(n) for n in ast.walk(modules()[path]) if isinstance(n, ast.Attribute | ast.Name)}


@pytest.mark.parametrize("path", [p for p in modules() if p.startswith(ON_THE_WAY_TO_AN_INDEX)])
def test_nothing_on_the_way_to_an_index_depends_on_the_machine(path):
    banned = {name for used in uses(path) for name in NOT_DETERMINISTIC if used == name}
    multiplied = [n for n in ast.walk(modules()[path]) if isinstance(n, ast.MatMult)]

    assert not banned
    assert not multiplied


def test_the_door_to_the_operating_system_is_used_by_files_alone():
    for path, module in modules().items():
        names = {node.module for node in ast.walk(module) if isinstance(node, ast.ImportFrom)}
        inner = {"vecstore.storage.descriptors", "vecstore.storage.mapping"}
        assert not names & inner or path == "storage/files.py", path


@pytest.mark.parametrize(
    "path", [p for p in modules() if p.startswith(("index/", "engine/", "storage/", "store.py"))]
)
def test_only_files_talks_to_the_operating_system(path):
    if path in DOOR:
        return
    calls = {dotted(n.func) for n in ast.walk(modules()[path]) if isinstance(n, ast.Call)}
    allowed = {"open"} if path == "store.py" else set()

    assert not (calls & SYSTEM_CALLS) - allowed
    assert not {c for c in calls if c.endswith((".read_bytes", ".write_bytes", ".read_text"))}


def test_only_kernels_import_numba():
    for path, module in modules().items():
        names = {
            (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
            for node in ast.walk(module)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not names & {"pickle", "shelve", "marshal"}, path
        if not path.startswith("kernels/"):
            assert not names & {"numba", "llvmlite"}, path


def test_errors_are_raised_from_the_tree():
    plain = {"ValueError", "TypeError", "KeyError", "RuntimeError", "Exception", "OSError"}
    for path, module in modules().items():
        for node in ast.walk(module):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                assert dotted(node.exc.func) not in plain, f"{path}:{node.lineno}"


def test_only_the_command_line_prints():
    for path, module in modules().items():
        calls = {dotted(n.func) for n in ast.walk(module) if isinstance(n, ast.Call)}
        assert "print" not in calls, path


def test_no_module_is_a_drawer():
    drawers = {"utils", "util", "helpers", "common", "misc", "manager", "io", "types", "inspect"}

    assert not {path.rsplit("/")[-1][:-3] for path in modules()} & drawers


def test_documents_name_no_path_of_a_machine():
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "vecstore").rglob("*.py")]

    assert texts
    for text in texts:
        assert "/work/" not in text.read_text(encoding="utf-8"), text
        assert "shared/data" not in text.read_text(encoding="utf-8"), text
