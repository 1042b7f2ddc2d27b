"""YAML and JSON of a configuration, within limits on what they expand to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import yaml

from grokpredict._util.opening import in_words
from grokpredict.logs.source import MAX_CONFIGURATION

#: How deep sections may lie in each other.
MAX_DEPTH = 50


def parse_yaml(text: str, loader: type[Any]) -> Any:
    """Return what a YAML text says.

    Parameters
    ----------
    text : str
        Not larger than :data:`~grokpredict.logs.source.MAX_CONFIGURATION`, which holds for what
        its aliases expand to as well: a kilobyte of them can stand for terabytes.
    loader : type
        A safe loader of PyYAML.

    Raises
    ------
    ValueError
        If it nests too deep, expands to too much, or contains itself.
    yaml.YAMLError
        If it is not YAML.
    """
    parser = loader(text)
    try:
        node = parser.get_single_node()
        if node is None:
            return None
        _check_nodes(node)
        return parser.construct_document(node)
    finally:
        parser.dispose()


def parse_json(text: str) -> Any:
    """Return what a JSON text says, None if it is blank; ValueError if it nests too deep."""
    if not text.strip():
        return None
    document = json.loads(text)
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return document
    raise ValueError(f"it nests deeper than {MAX_DEPTH} levels")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_nodes(root: yaml.Node) -> None:
    """See to it that a graph of nodes is a small tree when every alias is written out."""
    sizes: dict[int, int] = {}  # characters of each node with all that is in it
    open_nodes: list[yaml.Node] = [root]
    above: set[int] = set()
    while open_nodes:
        node = open_nodes[-1]
        if id(node) in sizes:
            open_nodes.pop()
            continue
        children = _children(node)
        if id(node) not in above:
            above.add(id(node))
            if len(above) > MAX_DEPTH:
                raise ValueError(f"it nests deeper than {MAX_DEPTH} levels")
            if any(id(child) in above for child in children):
                raise ValueError("a part of it contains itself")
            open_nodes.extend(child for child in children if id(child) not in sizes)
            continue
        above.remove(id(node))
        size = len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        sizes[id(node)] = 1 + size + sum(sizes[id(child)] for child in children)
        if sizes[id(node)] > MAX_CONFIGURATION:
            raise ValueError(f"its aliases expand to more than {in_words(MAX_CONFIGURATION)}")
        open_nodes.pop()


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
