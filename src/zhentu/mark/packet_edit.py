"""Set properties of an XMP packet by splicing: every byte that is not the property stays as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from zhentu.intake.labeltext import MAX_LABEL
from zhentu.intake.packet import RDF, Packet, Property, parse_packet

_ATTRIBUTE = re.compile(rb"""\s[\w:.-]{0,64}AIGC\s{0,8}=\s{0,8}(["'])(?=\{)""")
_TRAILER = b"<?xpacket end"
_DESCRIPTION = (
    '<rdf:Description xmlns:rdf="{rdf}" rdf:about={about} xmlns:{prefix}="{uri}">'
    "<{prefix}:{name}>{value}</{prefix}:{name}></rdf:Description>\n"
)
_NEW = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}">\n{content}</rdf:RDF></x:xmpmeta>\n'
    '<?xpacket end="w"?>'
)


def set_properties(
    packet: Packet | None, wanted: Sequence[tuple[str, str, str, str]], stale: Sequence[Property] = ()
) -> bytes:
    """The packet with each (prefix, namespace, name, value) set once, in element form; older ones are cut out.

    None, or a packet that cannot be parsed completely, gives a new packet: readers would ignore a broken one anyway.
    Properties are recognised by local name, so a label under a wrong namespace goes too.  stale: others that go.
    """
    if packet is None or not packet.sound or packet.rdf_end < 0:
        about = '""'
        return _NEW.format(rdf=RDF, content=_content(wanted, about)).encode()
    names = {name.casefold() for _, _, name, _ in wanted}
    content = _content(wanted, quoteattr(packet.about)).encode()
    body, end = packet.body, packet.rdf_end
    if body[end : end + 2] != b"</" and body[end - 2 : end] == b"/>":  # <rdf:RDF/> has no inside yet
        tag = re.match(rb"<([^\s>/]+)", body[body.rfind(b"<", 0, end) :])
        name = tag.group(1) if tag else b"rdf:RDF"
        return body[: end - 2] + b">\n" + content + b"</" + name + b">" + body[end:]
    gone = [each for each in packet.properties if each.name.casefold() in names or each in stale]
    return _without(body[:end], gone) + content + body[end:]


def mended(packet: Packet) -> Packet | None:
    """A packet that was unreadable only because of an unescaped AIGC attribute, without it; otherwise None."""
    found = _ATTRIBUTE.search(packet.body)
    if found is None:
        return None
    text = packet.body[found.end() :].decode("utf-8", "replace")
    try:
        _, stop = json.JSONDecoder().raw_decode(text[:MAX_LABEL])
    except (ValueError, RecursionError):
        return None
    end = found.end() + len(text[:stop].encode())
    if packet.body[end : end + 1] != found.group(1):
        return None
    again = parse_packet(packet.body[: found.start()] + packet.body[end + 1 :])
    return again if again.sound else None


def without_padding(body: bytes) -> bytes:
    """The packet without the padding for in-place editing."""
    head, found, tail = body.rpartition(_TRAILER)
    return head.rstrip() + b"\n" + found + tail if found else body


def _content(wanted: Sequence[tuple[str, str, str, str]], about: str) -> str:
    return "".join(
        _DESCRIPTION.format(rdf=RDF, about=about, prefix=prefix, uri=uri, name=name, value=escape(value))
        for prefix, uri, name, value in wanted
    )


def _without(body: bytes, properties: Sequence[Property]) -> bytes:
    """The bytes without the properties; of one within another the outer one counts."""
    kept, position = [], 0
    for each in sorted(properties, key=lambda each: (each.start, -each.end)):
        if position <= each.start < each.end <= len(body):
            kept.append(body[position : each.start])
            position = each.end
    return b"".join([*kept, body[position:]])
