import ast
import importlib

from numba.core.registry import CPUDispatcher

from tests.architecture.source import dotted, functions, modules

KERNELS = [path for path in modules() if path.startswith("kernels/")]


def dispatchers():
    for path in KERNELS:
        module = importlib.import_module(f"vecstore.{path[:-3].replace('/', '.')}")
        for name, value in vars(module).items():
            if isinstance(value, CPUDispatcher) and value.py_func.__module__ == module.__name__:
                yield f"{path}:{name}", value


def test_kernels_release_the_lock_and_are_cached_and_serial():
    found = dict(dispatchers())

    assert len(found) >= 30
    for name, kernel in found.items():
        options = kernel.targetoptions
        assert options.get("nogil") is True, name
        assert not options.get("parallel"), name
        assert not options.get("fastmath"), name
        assert type(kernel._cache).__name__ == "FunctionCache", name


def test_kernels_say_so_in_the_source():
    for path in KERNELS:
        for name, function in functions(modules()[path]):
            for decorator in function.decorator_list:
                if isinstance(decorator, ast.Call) and dotted(decorator.func).endswith("njit"):
                    options = {k.arg: ast.unparse(k.value) for k in decorator.keywords}
                    assert options.pop("nogil") == "True", f"{path}:{name}"
                    assert options.pop("cache") == "True", f"{path}:{name}"
                    assert set(options) <= {"forceinline"}, f"{path}:{name}"


def test_no_source_mentions_fastmath_or_parallel_as_an_option():
    for path, module in modules().items():
        for node in ast.walk(module):
            if isinstance(node, ast.keyword):
                assert node.arg not in ("fastmath", "parallel"), path


def test_compiled_kernels_live_in_our_own_directory():
    from vecstore.kernels.jit import cache_directory

    for name, kernel in dispatchers():
        assert str(kernel._cache.cache_path).startswith(str(cache_directory())), name
