"""Metrics in the text format of Prometheus, read from the database at each scrape.

Every host of a site therefore reports the same, and a restart loses no count. No label holds
patient data; each has few values: destinations and models of the site, states, stages, workers.
"""

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from node.web.api.metrics_collector import SiteCollector
from node.web.dependencies import SiteSettings, SiteStore, utc_now

ROUTER = APIRouter()


@ROUTER.get("/metrics", response_class=Response)
@ROUTER.head("/metrics", include_in_schema=False)
def metrics(request: Request, settings: SiteSettings, store: SiteStore) -> Response:
    """Returns the metrics of the site for Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SiteCollector(settings, store, utc_now()))
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(
        encode(registry), headers={"Content-Type": content_type, "Cache-Control": "no-store"}
    )
