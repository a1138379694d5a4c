"""The client for upload pipelines: ask the gate within a time budget, and obey its answer."""

from __future__ import annotations

from zhentu.client.answer import Answer, AnswerReason
from zhentu.client.asgi import Screening, ScreenUploads, Unscreened
from zhentu.client.client import AsyncClient, Client

__all__ = ["Answer", "AnswerReason", "AsyncClient", "Client", "ScreenUploads", "Screening", "Unscreened"]
