"""The answer with a labelled picture, shared by the routes and the front page."""

from __future__ import annotations

from fastapi import Request, Response

from zhentu.gate.capacity import Ticket
from zhentu.gate.context import Gate, unless_gone
from zhentu.intake.credentials import MIME_TYPES
from zhentu.mark import Labelled, LabelSpec, label_picture
from zhentu.mark.spec import Outcome
from zhentu.types import AiState

STATES = {str(int(state)): state for state in AiState}


async def labelled_answer(
    request: Request, gate: Gate, payload: bytes, owed: AiState | None, spec: LabelSpec, form: str
) -> Response:
    """The answer with the labelled picture; the original bytes if no label is owed."""
    if owed is None:
        headers = {"Zhentu-Label-State": "none", "Zhentu-Label-Changed": "false"}
        return Response(payload, headers=headers, media_type=_mime(form))
    limits, decoder = gate.active.screener.limits, gate.active.screener.decoder

    def work(ticket: Ticket) -> Labelled:
        ticket.check()
        return label_picture(payload, owed, spec, limits, decoder)

    made = await unless_gone(request, gate.capacity.run(work))
    return Response(made.payload, headers=_headers(made), media_type=_mime(made.format))


def _mime(form: str) -> str:
    return MIME_TYPES.get(form, "application/octet-stream")


def _headers(labelled: Labelled) -> dict[str, str]:
    headers = {
        "Zhentu-Label-State": str(int(labelled.state)),
        "Zhentu-Label-Changed": str(labelled.changed).lower(),
        "Zhentu-Label-Implicit": labelled.implicit.value,
        "Zhentu-Label-Visible": labelled.visible.value,
        "Zhentu-Label-C2PA": labelled.credentials.value,
    }
    if labelled.badge and labelled.visible is not Outcome.OFF:
        headers["Zhentu-Label-Box"] = ",".join(map(str, labelled.badge.box))
    if labelled.notes:
        headers["Zhentu-Label-Notes"] = "; ".join(labelled.notes).encode("ascii", "replace").decode()[:1000]
    return headers
