from tests.architecture.source import PACKAGE, code_lines, functions, modules

MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 40
MOST_KERNEL_LINES = 60
MOST_PARAMETERS = 8

LONG_FILES = {
    "store.py": "the facade: most of it is the documentation of the public methods",
}
LONG_FUNCTIONS: dict[str, str] = {}
WIDE_FUNCTIONS = {"store.py:VecStore.query": "the public signature"}


def test_files_are_short_enough_to_read():
    long = {
        path: count
        for path in modules()
        if (count := len((PACKAGE / path).read_text().splitlines())) > MOST_FILE_LINES
    }

    assert set(long) == set(LONG_FILES), long


def test_functions_are_short_enough_to_read():
    long = {}
    for path, module in modules().items():
        most = MOST_KERNEL_LINES if path.startswith("kernels/") else MOST_FUNCTION_LINES
        for name, function in functions(module):
            if (count := code_lines(path, function)) > most:
                long[f"{path}:{name}"] = count

    assert set(long) == set(LONG_FUNCTIONS), long


def test_functions_take_few_parameters():
    wide = {}
    for path, module in modules().items():
        for name, function in functions(module):
            given = function.args
            names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            count = len([n for n in names if n not in ("self", "cls")])
            if count > MOST_PARAMETERS:
                wide[f"{path}:{name}"] = count

    assert set(wide) == set(WIDE_FUNCTIONS), wide
