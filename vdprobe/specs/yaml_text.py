"""YAML as a person reads it: the only place where YAML text becomes values.

A value that two readers could take for two things is refused, with the place and what to write instead:

- A number is decimal, as people write it: `7`, `-0.5`, `1e-4`. With leading zeros (`007`), underscores (`1_000`),
  another base (`0x1F`, `0o17`) or colons (`1:30`) it is text, which no option that asks for a number takes.
- `true` and `false` are the only switches; `yes`, `no`, `on`, `off` and dates are text.
- `null` is nothing. `~` (a home folder?) and `None` are refused, and so are tags, anchors, aliases and merge keys.
- A key is text as it is written, and stands once in a mapping.
- A comment behind text without quotes has a space on both sides of its `#`; `path: videos #1` is refused.
"""

import math
import re
from typing import Any, NoReturn

import yaml

from vdprobe.errors import ConfigError, shown
from vdprobe.specs.numbers import FRACTION, WHOLE

LIMIT = 1 << 18
"""Characters of a text: ten times what the longest study or list of videos needs, and read in seconds."""
DEPTH = 40
"""Mappings and lists within each other."""
LARGEST = 2**63 - 1

_NOT_FINITE = re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE)
_COMMENT = re.compile(r"[ \t]+#")
_GLUED = re.compile(r"[ \t]+#[^\s#]")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters that no option needs; some of them end a line in YAML, and none can be seen."""
_WORDS: dict[str, Any] = {
    word: value
    for name, value in (("null", None), ("true", True), ("false", False))
    for word in (name, name.capitalize(), name.upper())
}


def parse_yaml(text: str, where: str) -> Any:
    """The value that a document holds, None for one without any.

    - `where`: what the text is, for the error: the path of a file, or an option.

    Raises `ConfigError`, in a line with the place, for what is no YAML, or what could be read in two ways.
    """
    node = _compose(text, where)
    return None if node is None else _Values(where).of(node)


def parse_yaml_value(text: str, where: str) -> Any:
    """The value of an option on the command line: as `parse_yaml`, but the whole text is the value.

    Raises `ConfigError` for nothing, a comment, a marker of documents and text over several lines too.
    """
    quoted = 'put text that means itself in quotes, such as "a #b"'
    if not text.strip():
        raise ConfigError(f"{where} has no value; write null for nothing, or '' in quotes for empty text")
    node = _compose(text, where)
    if node is None or text[: node.start_mark.index].strip() or _behind(text, node).strip():
        raise ConfigError(f"{where} (={shown(text)}): not all of it is a value; {quoted}")
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        raise ConfigError(f"{where} (={shown(text)}): '{node.style}' begins a block of text; {quoted}")
    return _Values(where, comments=False).of(node)


def _behind(text: str, node: yaml.Node) -> str:
    """What follows a node: nothing where it is a mapping or a list in lines of its own, which takes all to its end."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        return ""
    return text[node.end_mark.index :]


def _compose(text: str, where: str) -> yaml.Node | None:
    if len(text) > LIMIT:
        raise ConfigError(f"{where} has more than {LIMIT:,} characters, which no options need; give fewer")
    if found := re.search("[\ud800-\udfff]", text):
        raise ConfigError(f"{where} holds bytes that are not UTF-8 (character {found.start() + 1}); write it anew")
    try:
        return _Nodes(text).get_single_node()
    except yaml.reader.ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        at = f" at line {line}, column {column}"
        raise ConfigError(f"{where} is not valid YAML{at}: U+{ord(text[error.position]):04X} is not allowed") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{where} is not valid YAML{at}: {str(error.problem or error.context)[:200]}") from None
    except Exception as error:  # such as an escape of a character that is none: the parser raises many kinds
        raise ConfigError(f"{where} is not valid YAML: {str(error)[:200]}") from None


class _Nodes(yaml.SafeLoader):
    """Nodes of plain YAML. What points elsewhere, or to a type, is refused as it is met: a bomb never opens."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            self._refuse(
                event, f"{sign} begins an anchor or alias, which is not read; write the value out, or in quotes"
            )
        if event.tag is not None:
            self._refuse(event, "! begins a tag, which is not read; leave it out, or put text in quotes")
        self.depth += 1
        if self.depth > DEPTH:
            self._refuse(event, f"more than {DEPTH} mappings and lists are within each other; write it flatter")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    @staticmethod
    def _refuse(event: Any, why: str) -> None:
        raise yaml.composer.ComposerError(None, None, why, event.start_mark)


class _Values:
    """From nodes to values; `where` they are from is for the errors, and whether there may be `comments`."""

    def __init__(self, where: str, *, comments: bool = True) -> None:
        self.where = where
        self.comments = comments

    def of(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._plain(node) if node.style is None else self._text(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.of(inner) for inner in node.value]
        assert isinstance(node, yaml.MappingNode)
        out: dict[str, Any] = {}
        for name, inner in node.value:
            key = self._key(name)
            if key in out:
                self._refuse(name, f"the key {shown(key)} stands twice in one mapping; merge or rename one")
            if node.flow_style and _is_empty(inner):
                self._refuse(name, f"{shown(key)} has no value; write '{{key: value}}' with a space, or null")
            out[key] = self.of(inner)
        return out

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self._refuse(node, "a key is a list or a mapping; a key is text")
        key = self._text(node)
        if _is_empty(node):
            self._refuse(node, "a key is empty; name it, or write ''")
        if key == "<<" and node.style is None:
            self._refuse(node, "'<<' would merge another mapping, which is not done; write its keys out")
        return key

    def _plain(self, node: yaml.ScalarNode) -> Any:
        """What a scalar without quotes means."""
        text = node.value
        if not text:
            return None
        if text in _WORDS:
            return _WORDS[text]
        if text in ("~", "None"):
            self._refuse(node, f"'{text}' could mean nothing or itself; write null, or '{text}' in quotes")
        if _NOT_FINITE.fullmatch(text):
            self._refuse(node, f"'{text}' is no finite number; give one, or put text in quotes")
        if WHOLE.fullmatch(text):
            return self._integer(node, text)
        if FRACTION.fullmatch(text):
            return self._float(node, text)
        rest = node.end_mark.buffer[node.end_mark.pointer :] if node.end_mark.buffer else ""
        if (_GLUED if self.comments else _COMMENT).match(rest):
            space = ", or a space behind its '#'" if self.comments else ""
            self._refuse(node, f"what follows {shown(text)} would be a comment; put it all in quotes{space}")
        if node.start_mark.line != node.end_mark.line:
            self._refuse(node, f"{shown(text)} goes over several lines; put it in quotes or on one line")
        return self._text(node)

    def _integer(self, node: yaml.Node, text: str) -> int:
        if len(text) > 20 or abs(int(text)) > LARGEST:
            self._refuse(node, f"{shown(text)} is beyond {LARGEST}, the largest whole number; put text in quotes")
        return int(text)

    def _float(self, node: yaml.Node, text: str) -> float:
        value = float(text)
        digits = text.lower().partition("e")[0]
        if math.isinf(value) or (value == 0 and re.search("[1-9]", digits)):
            self._refuse(node, f"{shown(text)} is too large or too small for a number; put text in quotes")
        return value

    def _text(self, node: yaml.ScalarNode) -> str:
        try:  # as in JSON, a character beyond the first 65536 may be written as two
            text = str(node.value).encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._refuse(node, "half of a surrogate pair is no character; write the character itself")
        if found := _CONTROLS.search(text):
            self._refuse(node, f"a text holds the control character U+{ord(found[0]):04X}; leave it out")
        return text

    def _refuse(self, node: yaml.Node, why: str) -> NoReturn:
        mark = node.start_mark
        raise ConfigError(f"{self.where}, line {mark.line + 1}, column {mark.column + 1}: {why}")


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and not node.value
