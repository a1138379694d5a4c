"""Set properties of an XMP packet by splicing: every byte that is not the property stays as it was."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from zhentu.intake.packet import RDF, Packet, Property

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


def set_properties(packet: Packet | None, wanted: Sequence[tuple[str, str, str, str]]) -> bytes:
    """The packet with each (prefix, namespace, name, value) set once, in element form; older ones are cut out.

    None, or a packet that cannot be read to its end, gives a new packet: readers would ignore a broken one anyway.
    Properties are recognised by local name, so a label under a wrong namespace goes too.
    """
    if packet is None or not packet.sound or packet.rdf_end < 0:
        about = '""'
        return _NEW.format(rdf=RDF, content=_content(wanted, about)).encode()
    names = {name for _, _, name, _ in wanted}
    content = _content(wanted, quoteattr(packet.about)).encode()
    body, end = packet.body, packet.rdf_end
    if body[end - 2 : end] == b"/>":  # <rdf:RDF/> has no inside yet
        tag = re.match(rb"<([^\s>/]+)", body[body.rfind(b"<", 0, end) :])
        name = tag.group(1) if tag else b"rdf:RDF"
        return body[: end - 2] + b">\n" + content + b"</" + name + b">" + body[end:]
    kept = _without(body[:end], [each for each in packet.properties if each.name in names])
    return kept + content + body[end:]


def without_padding(body: bytes) -> bytes:
    """The packet without the white space that is kept for editing in place."""
    head, found, tail = body.rpartition(_TRAILER)
    return head.rstrip() + b"\n" + found + tail if found else body


def _content(wanted: Sequence[tuple[str, str, str, str]], about: str) -> str:
    return "".join(
        _DESCRIPTION.format(rdf=RDF, about=about, prefix=prefix, uri=uri, name=name, value=escape(value))
        for prefix, uri, name, value in wanted
    )


def _without(body: bytes, properties: Sequence[Property]) -> bytes:
    cut = body
    for each in sorted(properties, key=lambda each: each.start, reverse=True):
        if 0 <= each.start < each.end <= len(cut):
            cut = cut[: each.start] + cut[each.end :]
    return cut
