"""What a job produced, as references that name where each series can be retrieved."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from node.domain.job import Job
from node.domain.result_objects import ResultObject
from node.settings import CStoreDestination, DicomwebDestination, Settings
from node.store import Store
from node.worklists.performed import OutputSeries


@dataclass(frozen=True)
class Archive:
    """Where instances of a destination can be retrieved: one of the two is not empty."""

    ae_title: str = ""
    web_root: str = ""


def archives_from(settings: Settings) -> Mapping[str, Archive]:
    """Returns the destinations from which the network can retrieve, by name."""
    archives = {}
    for name, destination in settings.destinations.items():
        match destination:
            case CStoreDestination(peer=peer):
                archives[name] = Archive(ae_title=settings.peers[peer].ae_title)
            case DicomwebDestination(url=url):
                archives[name] = Archive(web_root=url.rstrip("/"))
            case _:
                pass
    return archives


def outputs_of(store: Store, job: Job, archives: Mapping[str, Archive]) -> Iterator[OutputSeries]:
    """Yields each object of the job that an archive has received."""
    received: dict[ResultObject, list[Archive]] = defaultdict(list)
    for delivery in store.deliveries_of(job.job_id):
        if delivery.has_arrived and delivery.destination in archives:
            received[delivery.result_object].append(archives[delivery.destination])
    for stored in store.objects_of(job):
        places = received.get(stored.result_object)
        if places and stored.sop_class_uid:
            yield OutputSeries(
                study_instance_uid=job.study_instance_uid,
                series_instance_uid=stored.uids.series_instance_uid,
                sop_class_uid=stored.sop_class_uid,
                sop_instance_uids=stored.sop_instance_uids,
                ae_titles=tuple(dict.fromkeys(p.ae_title for p in places if p.ae_title)),
                web_roots=tuple(dict.fromkeys(p.web_root for p in places if p.web_root)),
            )
