"""XMP packets (ISO 16684-1): every property with its byte range, in one streaming pass of expat.

expat comes with Python. A DOCTYPE is refused at sight, so no entity can be declared, and elements, depth and bytes
are bounded; offsets let the label be spliced in without touching any other metadata.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_MAX_ELEMENTS, _MAX_DEPTH, _MAX_ATTRIBUTES = 20_000, 64, 512
_ATTRIBUTE = re.compile(rb"""\s+([^\s=/>"']+)\s*=\s*("[^"]*"|'[^']*')""")
_TAG_NAME = re.compile(rb"<[^\s>/]*")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Property:
    """A property, in attribute or element form; start and end are its byte range in the packet.

    value: empty for a structure, whose fields are separate properties.
    """

    namespace: str
    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Packet:
    """A parsed packet.

    body: the packet as UTF-8, which all offsets refer to.  rdf_start, rdf_end: where the content of rdf:RDF begins
    and ends, -1 if there is none.  about: the value its descriptions share.  sound: it was read to its end.
    """

    body: bytes
    properties: tuple[Property, ...] = ()
    rdf_start: int = -1
    rdf_end: int = -1
    about: str = ""
    sound: bool = False

    def values(self, name: str) -> list[str]:
        """The values of all properties with this local name, whatever their namespace."""
        return [each.value for each in self.properties if each.name == name]


class _Refused(Exception):
    """The packet carries a DOCTYPE or is beyond the limits."""


@dataclass(slots=True)
class _Open:
    namespace: str
    name: str
    start: int
    text: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    resource: str = ""


def parse_packet(packet: bytes) -> Packet:
    """Read a packet. If it is not XML or is refused, what came before the fault is kept, with `sound` false."""
    body = _utf8(packet)
    reader = _Reader(body)
    try:
        reader.parse()
    except (expat.ExpatError, _Refused, ValueError):
        return Packet(body, tuple(reader.found), about=reader.about)
    return Packet(body, tuple(reader.found), reader.rdf_start, reader.rdf_end, reader.about, True)


class _Reader:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.found: list[Property] = []
        self.rdf_start = self.rdf_end = -1
        self.about = ""
        self._stack: list[_Open] = []
        self._elements = 0
        self._parser = expat.ParserCreate("utf-8", " ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype

    def parse(self) -> None:
        self._parser.Parse(self.body, True)

    def _doctype(self, *_: object) -> None:
        raise _Refused

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements > _MAX_ELEMENTS or len(self._stack) >= _MAX_DEPTH or len(attributes) > _MAX_ATTRIBUTES:
            raise _Refused
        place = self._parser.CurrentByteIndex
        namespace, local = _split(name)
        opened = _Open(namespace, local, place)
        if attributes:
            self._attributes(attributes, opened)
        self._stack.append(opened)
        if (namespace, local) == (RDF, "RDF") and self.rdf_start < 0:
            self.rdf_start = _tag(self.body, place)[1]

    def _attributes(self, attributes: Mapping[str, str], opened: _Open) -> None:
        spans, _ = _tag(self.body, opened.start)
        for name, value in attributes.items():
            namespace, local = _split(name)
            if namespace == RDF and local == "about":
                self.about = self.about or value
            elif namespace == RDF and local == "resource":
                opened.resource = value
            elif namespace and namespace != RDF:
                start, end = spans.get(local, (-1, -1))
                self.found.append(Property(namespace, local, value, start, end))

    def _text(self, text: str) -> None:
        if self._stack:
            self._stack[-1].text.append(text)

    def _end(self, name: str) -> None:
        closed = self._stack.pop()
        text = "".join(closed.text).strip()
        place = self._parser.CurrentByteIndex
        if closed.namespace == RDF:
            if closed.name == "RDF":
                self.rdf_end = place
            elif closed.name in ("li", "value") and text and self._stack:
                # a list item is two levels below its property, a qualified value one or two
                self._stack[-2 if closed.name == "li" and len(self._stack) > 1 else -1].items.append(text)
            elif closed.name == "Description" and closed.items and self._stack:
                self._stack[-1].items += closed.items
            return
        value = text or "; ".join(closed.items) or closed.resource
        if closed.namespace:
            end = self.body.find(b">", place) + 1 if self.body[place : place + 2] == b"</" else place
            self.found.append(Property(closed.namespace, closed.name, value, closed.start, end))


def _utf8(packet: bytes) -> bytes:
    packet = packet.strip(b"\x00")
    for mark, encoding in _BOMS:
        if packet.startswith(mark):
            return packet[len(mark) :].decode(encoding, "replace").encode("utf-8")
    if packet[1:2] == b"\x00" or packet[:1] == b"\x00":
        encoding = "utf-16-le" if packet[1:2] == b"\x00" else "utf-16-be"
        return packet.decode(encoding, "replace").encode("utf-8")
    # Latin-1 and broken bytes would stop expat; a replacement character only costs one letter
    return packet.decode("utf-8", "replace").encode("utf-8").strip(b"\x00 \n\r\t")


def _split(name: str) -> tuple[str, str]:
    namespace, _, local = name.rpartition(" ")
    return namespace, local


def _tag(body: bytes, start: int) -> tuple[dict[str, tuple[int, int]], int]:
    """The tag at `start`: local name of each attribute to its byte range, leading space included; and the tag's end."""
    name = _TAG_NAME.match(body, start)
    position = name.end() if name else start
    spans: dict[str, tuple[int, int]] = {}
    while match := _ATTRIBUTE.match(body, position):
        spans[match.group(1).rpartition(b":")[2].decode("utf-8", "replace")] = match.span()
        position = match.end()
    return spans, body.find(b">", position) + 1
