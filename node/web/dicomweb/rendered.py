"""Pictures of studies, series, instances and frames (PS3.18 10.4.1.1.3 and 10.4.1.1.4)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request
from pydicom.datadict import tag_for_keyword
from starlette.responses import Response

from node.dicom.display_window import DisplayWindow
from node.web.dicomweb import frames
from node.web.dicomweb.archive import ArchivedInstance, read_attributes
from node.web.dicomweb.content_negotiation import (
    BodyPart,
    accepted_media_ranges,
    multipart_response,
    not_acceptable,
    produce_first,
)
from node.web.dicomweb.dependencies import (
    InstanceFile,
    RequestedWindow,
    SiteArchive,
    require_instances,
)
from node.web.dicomweb.urls import SERVICE_PATH

ROUTER = APIRouter(prefix=SERVICE_PATH + "/studies/{study}")
_SERIES = "/series/{series}"
_INSTANCE = "/series/{series}/instances/{instance}"
_FRAME = _INSTANCE + "/frames/{number}"
_THUMBNAIL_SIZE = 128  # pixels of the longer side
# Of a few series, the largest included, with less than a kilobyte each; files never change.
_CACHED_NUMBERS = 16_384
_TAGS = frozenset(
    tag for word in ("Rows", "InstanceNumber") if (tag := tag_for_keyword(word)) is not None
)
_JPEG, _PNG = "image/jpeg", "image/png"
_PICTURE_OF = {_JPEG: _JPEG, "image/*": _JPEG, "*/*": _JPEG, _PNG: _PNG}


@ROUTER.get("/rendered")
def rendered_study(
    study: str, request: Request, archive: SiteArchive, window: RequestedWindow
) -> Response:
    """Returns the first frame of every image of a study, one picture each."""
    return _pictures(request, _images(require_instances(archive, study)), window)


@ROUTER.get(_SERIES + "/rendered")
def rendered_series(
    study: str, series: str, request: Request, archive: SiteArchive, window: RequestedWindow
) -> Response:
    """Returns the first frame of every image of a series, one picture each."""
    return _pictures(request, _images(require_instances(archive, study, series)), window)


@ROUTER.get(_INSTANCE + "/rendered")
def rendered_instance(request: Request, file: InstanceFile, window: RequestedWindow) -> Response:
    """Returns the first frame as a picture, in that window or in its first one."""
    return rendered_frame(1, request, file, window)


@ROUTER.get(_FRAME + "/rendered")
def rendered_frame(
    number: int, request: Request, file: InstanceFile, window: RequestedWindow
) -> Response:
    """Returns a frame as a picture, in that window or in its first one."""
    return _picture(request, frames.ImageFile.open(file), number, None, window)


@ROUTER.get("/thumbnail")
def study_thumbnail(study: str, request: Request, archive: SiteArchive) -> Response:
    """Returns a small picture of the middle image of the largest series."""
    found = require_instances(archive, study)
    sizes = Counter(instance.series_instance_uid for instance in found)
    for uid, _ in sizes.most_common():  # the first of equally large ones first
        images = _images(one for one in found if one.series_instance_uid == uid)
        if images:
            return _thumbnail(request, images)
    raise _no_images()


@ROUTER.get(_SERIES + "/thumbnail")
def series_thumbnail(study: str, series: str, request: Request, archive: SiteArchive) -> Response:
    """Returns a small picture of the middle image of a series."""
    images = _images(require_instances(archive, study, series))
    if not images:
        raise _no_images()
    return _thumbnail(request, images)


@ROUTER.get(_INSTANCE + "/thumbnail")
def instance_thumbnail(request: Request, file: InstanceFile) -> Response:
    """Returns a small picture of the middle frame."""
    image = frames.ImageFile.open(file)
    return _picture(request, image, (image.frame_count + 1) // 2, _THUMBNAIL_SIZE)


@ROUTER.get(_FRAME + "/thumbnail")
def frame_thumbnail(number: int, request: Request, file: InstanceFile) -> Response:
    """Returns a small picture of a frame."""
    return _picture(request, frames.ImageFile.open(file), number, _THUMBNAIL_SIZE)


def _images(found: Iterable[ArchivedInstance]) -> list[ArchivedInstance]:
    """Returns the instances that have frames, by series in their order, then by number."""
    order: dict[str, int] = {}
    numbered = []
    for instance in found:
        place = order.setdefault(instance.series_instance_uid, len(order))
        number = _number_of_image(instance)
        if number is not None:
            numbered.append((place, number, instance.sop_instance_uid, instance))
    return [instance for *_, instance in sorted(numbered, key=lambda image: image[:3])]


def _number_of_image(instance: ArchivedInstance) -> int | None:
    """Returns the number of an image, 0 if it has none; None for an instance without frames."""
    try:
        return _known_number(instance)
    except LookupError:
        return None


@lru_cache(maxsize=_CACHED_NUMBERS)
def _known_number(instance: ArchivedInstance) -> int:
    """Returns the number of an image.

    Raises:
        LookupError: the instance has no frames, or its file cannot be read for now.
    """
    attributes = read_attributes(instance, _TAGS)
    if not attributes.get("Rows"):
        raise LookupError(instance.sop_instance_uid)
    number = attributes.get("InstanceNumber")
    return number if isinstance(number, int) else 0


def _no_images() -> HTTPException:
    return HTTPException(HTTPStatus.NOT_FOUND, "there are no images, so there is no picture")


def _thumbnail(request: Request, images: Sequence[ArchivedInstance]) -> Response:
    with images[len(images) // 2].local_copy() as file:
        return instance_thumbnail(request, file)


def _picture(
    request: Request,
    image: frames.ImageFile,
    number: int,
    max_size: int | None,
    window: DisplayWindow | None = None,
) -> Response:
    image.require_frame(number)
    for accepted in accepted_media_ranges(request):
        media_type = _PICTURE_OF.get(accepted.media_type)
        if media_type is not None:
            picture = image.render(number, media_type, max_size, window)
            return Response(picture, media_type=media_type)
    raise not_acceptable(f"{_JPEG} or {_PNG}")


def _pictures(
    request: Request, images: Sequence[ArchivedInstance], window: DisplayWindow | None
) -> Response:
    """Returns one part for each image, or the middle image to a client that accepts one picture."""
    if not images:
        raise _no_images()
    for accepted in accepted_media_ranges(request):
        media_type = _PICTURE_OF.get(accepted.media_type)
        if media_type is not None and accepted.is_multipart:
            parts = (BodyPart(media_type, [_rendered(one, media_type, window)]) for one in images)
            return multipart_response(produce_first(parts), media_type)
        if media_type is not None:
            middle = images[len(images) // 2]
            return Response(_rendered(middle, media_type, window), media_type=media_type)
    raise not_acceptable(f'{_JPEG}, {_PNG} or multipart/related; type="{_JPEG}" or "{_PNG}"')


def _rendered(instance: ArchivedInstance, media_type: str, window: DisplayWindow | None) -> bytes:
    with instance.local_copy() as file:
        return frames.ImageFile.open(file).render(1, media_type, window=window)
