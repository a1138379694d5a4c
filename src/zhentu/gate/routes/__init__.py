"""The routes by topic: each only parses, calls and answers. A new topic is a module with a `router`, listed below."""

from __future__ import annotations

from fastapi import APIRouter

from zhentu.gate.front import pages as front
from zhentu.gate.routes import admin, apidocs, appeals, banks, batch, jobs, labels, probes, records, screening
from zhentu.review.web import pages

ROUTERS: tuple[APIRouter, ...] = (
    screening.router,
    batch.router,
    jobs.router,
    records.router,
    labels.router,
    admin.router,
    probes.router,
    banks.router,
    appeals.router,
    apidocs.router,
    pages.router,
    front.router,
)
