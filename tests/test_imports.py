import grimp

GRAPH = grimp.build_graph("vdprobe", include_external_packages=False, exclude_type_checking_imports=False)
"""Also the imports that only type checkers follow."""


def cycles() -> list[set[str]]:
    """Modules that import each other, by Tarjan's strongly connected components."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(GRAPH.find_modules_directly_imported_by(module)):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            circle = set(stack[stack.index(module) :])
            del stack[stack.index(module) :]
            if len(circle) > 1:
                found.append(circle)

    for module in sorted(GRAPH.modules):
        if module not in index:
            visit(module)
    return found


def test_no_modules_import_each_other():
    assert cycles() == []
