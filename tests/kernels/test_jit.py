import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from numba.core import config

from tests.kernels.processes import ROOT, python
from vecstore.kernels import jit
from vecstore.kernels.distance import normalize_rows

# an event as Numba sends it when one of our functions is compiled
OURS = SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=jit.target_cpu)})

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")

FLAT_SEARCH = """
import sys
from vecstore.kernels import jit
jit.NOTICE_AFTER_S = 0.05
from vecstore.index import FlatIndex
index = FlatIndex(2)
index.add([[0, 0], [3, 4], [6, 8]])
print(index.search([0, 0], k=3).distances.tolist())
print(sys.modules["vecstore"].__file__)
"""
ORIGINAL = """
    return hsum16(add16(even, odd))


@njit(nogil=True, cache=True, forceinline=True)
def _cosine"""
EDITED = ORIGINAL.replace("return", "return np.float32(4) *")


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """Copy the package, search cold and read only, then warm, then with an edited kernel."""
    site, cache = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("cache")
    shutil.copytree(
        ROOT / "vecstore", site / "vecstore", ignore=shutil.ignore_patterns("data", "__pycache__")
    )
    _make_writable(site, False)
    before = _listing(site)
    runs = {}
    for name in ("cold", "warm"):
        runs[name] = python("-c", FLAT_SEARCH, at=site, VECSTORE_CACHE_DIR=cache)
        runs[f"{name} cache"] = _listing(cache)
    unchanged = _listing(site) == before
    _make_writable(site, True)
    kernel = site / "vecstore" / "kernels" / "distance.py"
    source = kernel.read_text()
    assert source.count(ORIGINAL) == 1
    kernel.write_text(source.replace(ORIGINAL, EDITED))
    runs["edited"] = python("-c", FLAT_SEARCH, at=site, VECSTORE_CACHE_DIR=cache)
    return runs | {"unchanged": unchanged, "site": site, "cache": cache}


def _make_writable(root, writable):
    for path in [root, *root.rglob("*")]:
        path.chmod((0o755 if path.is_dir() else 0o644) if writable else 0o555)


def _listing(root):
    return {path.relative_to(root): path.stat().st_mtime_ns for path in root.rglob("*")}


def _answer(done):
    distances, package = done.stdout.splitlines()
    return distances, Path(package)


def test_search_works_when_the_package_is_read_only(copied):
    assert _answer(copied["cold"])[0] == "[[0.0, 5.0, 10.0]]"
    assert _answer(copied["cold"])[1] == copied["site"] / "vecstore" / "__init__.py"
    assert copied["unchanged"]


def test_search_compiles_nothing_when_the_cache_is_warm(copied):
    assert _answer(copied["warm"]) == _answer(copied["cold"])
    assert copied["warm cache"] == copied["cold cache"]
    assert any(path.suffix == ".nbc" for path in copied["cold cache"])


def test_search_sees_the_new_kernel_when_another_module_was_edited(copied):
    assert _answer(copied["edited"])[0] == "[[0.0, 10.0, 20.0]]"
    assert len(list(copied["cache"].iterdir())) == 2


def test_notice_is_printed_once_when_the_cache_is_cold(copied):
    for name in ("cold", "edited"):
        assert copied[name].stderr.count("vecstore: compiling kernels") == 1
        assert str(copied["cache"]) in copied[name].stderr


def test_notice_is_not_printed_when_the_cache_is_warm(copied):
    assert copied["warm"].stderr == ""


def test_cache_is_private_and_temporary_when_its_directory_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    show = (
        "from vecstore.kernels import jit, topk\n"
        "print(jit.cache_directory(), topk.unpack._cache.cache_path)"
    )

    done = python("-c", show, VECSTORE_CACHE_DIR=tmp_path / "file" / "cache")

    used, by_numba = map(Path, done.stdout.split())
    assert used.parent == Path(tempfile.gettempdir())
    assert used in by_numba.parents
    assert not used.exists()  # any more
    assert (tmp_path / "file").read_text() == ""


def test_import_does_not_bring_numba_when_nothing_is_used():
    show = "import sys, vecstore; print(*sys.modules); import vecstore.index; print(*sys.modules)"

    unused, used = python("-c", show).stdout.splitlines()

    assert "numba" not in unused.split()
    assert "llvmlite" not in unused.split()
    assert "numba" in used.split()


# ---- where compiled code goes


@pytest.fixture
def find_directory(monkeypatch, tmp_path):
    """Return a way to look for the directory anew under other settings."""
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setenv("VECSTORE_CACHE_DIR", str(tmp_path / "ours"))

    return jit.cache_directory.__wrapped__


def test_cache_directory_is_below_numbas_when_that_is_set(find_directory, monkeypatch, tmp_path):
    ours = find_directory()
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "numbas"))

    numbas = find_directory()

    assert ours.parent == tmp_path / "ours"
    assert numbas == tmp_path / "numbas" / ours.name
    assert numbas.is_dir()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="has a place of its own")
def test_cache_directory_is_below_the_users_when_nothing_is_set(
    find_directory, monkeypatch, tmp_path
):
    monkeypatch.delenv("VECSTORE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))

    assert find_directory().parent == tmp_path / "xdg" / "vecstore"


def test_cache_directory_has_another_name_when_the_target_differs(find_directory, monkeypatch):
    names = {find_directory().name}

    monkeypatch.setattr(config, "CPU_NAME", "generic")
    names.add(find_directory().name)
    monkeypatch.setattr(jit.numba, "__version__", "0.1")
    names.add(find_directory().name)
    monkeypatch.setattr(jit.llvmlite, "__version__", "0.1")
    names.add(find_directory().name)

    assert len(names) == 4


def test_foreign_functions_keep_their_cache_when_kernels_are_imported(tmp_path, monkeypatch):
    (tmp_path / "foreign_cached.py").write_text(
        "import numba\n\n\n@numba.njit(cache=True)\ndef double(x):\n    return 2 * x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import foreign_cached

    theirs = Path(foreign_cached.double._cache.cache_path)
    ours = Path(normalize_rows._cache.cache_path)

    assert os.environ.get("NUMBA_CACHE_DIR", "") == config.CACHE_DIR
    assert jit.cache_directory() in ours.parents
    assert not any("kernels-" in part for part in theirs.parts)


@pytest.mark.parametrize("fails", [False, True])
def test_numbas_setting_is_as_before_when_a_kernel_was_decorated(fails, monkeypatch, tmp_path):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    decorate = jit.njit(nogil=True, cache=True)

    if fails:
        with pytest.raises(TypeError):
            decorate(3)
    else:
        decorate(_twice)

    assert str(tmp_path) == config.CACHE_DIR


def _twice(x):
    return 2 * x


def test_njit_returns_the_function_when_the_jit_is_disabled(monkeypatch):
    monkeypatch.setattr(config, "DISABLE_JIT", True)

    assert jit.njit(nogil=True, cache=True)(_twice) is _twice


def test_kernels_have_one_signature_when_arrays_are_mapped_or_not(tmp_path):
    from vecstore.index import FlatIndex
    from vecstore.kernels import flat

    index = FlatIndex(3)
    index.add(np.eye(3))
    index.search(np.eye(3), k=2)
    index.save(tmp_path / "index")
    before = set(flat.scan.signatures)

    mapped = FlatIndex.load(tmp_path / "index")
    mapped.search(np.eye(3), k=2)
    mapped.search(np.eye(3).tolist(), k=np.int64(2), admit=np.ones(3, np.bool_))

    assert set(flat.scan.signatures) == before


# ---- the word to the user who waits


@pytest.fixture
def notice():
    notice = jit.CompileNotice()
    yield notice
    assert notice._timer is None


def test_notice_speaks_while_the_compile_runs_when_it_is_long(notice, monkeypatch, capsys):
    monkeypatch.setattr(jit, "NOTICE_AFTER_S", 0.0)

    notice.on_start(OURS)
    notice._timer.join()
    during = capsys.readouterr().err
    notice.on_end(OURS)
    notice.on_start(OURS)
    notice.on_end(OURS)

    assert during.count("vecstore: compiling") == 1
    assert capsys.readouterr().err == ""


def test_notice_is_silent_when_compiles_are_short(notice, monkeypatch, capsys):
    monkeypatch.setattr(jit, "NOTICE_AFTER_S", 3600.0)

    for _ in range(5):
        notice.on_start(OURS)
        timer = notice._timer
        notice.on_end(OURS)
        timer.join()

    assert capsys.readouterr().err == ""
    assert notice._spent_s > 0


def test_notice_counts_the_outermost_compile_when_compiles_nest(notice, monkeypatch):
    monkeypatch.setattr(jit, "NOTICE_AFTER_S", 3600.0)

    notice.on_start(OURS)
    timer = notice._timer
    notice.on_start(OURS)
    notice.on_end(OURS)

    assert notice._timer is timer
    notice.on_end(OURS)


def test_notice_is_silent_when_disabled(notice, monkeypatch, capsys):
    monkeypatch.setattr(jit, "NOTICE_AFTER_S", 0.0)
    notice.enabled = False

    notice.on_start(OURS)
    notice.on_end(OURS)

    assert capsys.readouterr().err == ""


def test_notice_is_silent_when_a_foreign_function_compiles(monkeypatch, capsys):
    monkeypatch.setattr(jit, "NOTICE_AFTER_S", 0.0)
    monkeypatch.setattr(jit.notice, "enabled", True)

    numba.njit(_twice)(3)

    assert capsys.readouterr().err == ""


def test_notice_promises_no_cache_when_the_directory_is_temporary(notice, monkeypatch, capsys):
    monkeypatch.setattr(jit, "NOTICE_AFTER_S", 0.0)
    monkeypatch.setattr(jit, "cache_directory", lambda: Path(f"/tmp/{jit._TEMPORARY}x"))

    notice.on_start(OURS)
    notice._timer.join()
    notice.on_end(OURS)

    told = capsys.readouterr().err
    assert "in every process anew" in told
    assert "cached in" not in told
