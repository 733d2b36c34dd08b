"""The package's sources, parsed once for the tests of its shape."""

import ast
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vecstore"


@cache
def modules() -> dict[str, ast.Module]:
    """Paths below the package, such as ``kernels/simd.py``, to syntax trees."""
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def functions(module: ast.Module) -> list[tuple[str, ast.FunctionDef]]:
    found = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                found.append((prefix + child.name, child))
                visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}{child.name}.")

    visit(module, "")
    return found


def code_lines(path: str, function: ast.FunctionDef) -> int:
    """Lines of a function that hold code: no docstring, comment or blank line."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    if not body:
        return 0
    first, last = body[0].lineno, function.end_lineno or body[-1].lineno
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    with tokenize.open(PACKAGE / path) as file:
        lines = {
            number
            for token in tokenize.generate_tokens(file.readline)
            if token.type not in skipped
            for number in range(token.start[0], token.end[0] + 1)
        }
    return sum(first <= number <= last for number in lines)


def dotted(node: ast.AST) -> str:
    """``np.linalg.norm`` for the expression that says so, else an empty string."""
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return node.id if isinstance(node, ast.Name) else ""
