"""Settings of query and retrieve."""

from pathlib import Path

import pytest

from node.settings import load_settings
from tests.unit.settings.site import VALID, mistakes_in, write

RETRIEVING = VALID.replace("port = 4242", 'port = 4242\nretrieve = "move"')
QUERY = '[queries.new-ct]\nsource = "pacs"\n'


def test_a_query_names_a_peer_that_series_can_be_retrieved_from(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, RETRIEVING + QUERY))
    assert settings.peers["pacs"].retrieve == "move"
    query = settings.queries["new-ct"]
    assert (query.source, query.modality, query.lookback_days) == ("pacs", "CT", 1)


def test_a_query_names_a_source(tmp_path: Path) -> None:
    source = '[sources.web]\nurl = "http://server/dicom-web"\n'
    text = VALID + source + QUERY.replace('"pacs"', '"web"')
    assert load_settings(write(tmp_path, text)).queries["new-ct"].source == "web"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VALID + QUERY, 'peer \'pacs\' needs retrieve = "move" or retrieve = "get"'),
        (
            RETRIEVING + QUERY.replace('"pacs"', '"pasc"'),
            "there is no source or peer 'pasc' (did you mean 'pacs'?)",
        ),
        (RETRIEVING + "[queries.new-ct]\n", "is missing"),
        (RETRIEVING + QUERY + "every_minutes = 0\n", "must be above 0"),
        (RETRIEVING + QUERY + "evry_minutes = 5\n", "(did you mean 'every_minutes'?)"),
        (RETRIEVING + QUERY + 'modality = "ct"\n', 'must be a code such as "CT"'),
        (RETRIEVING + QUERY + "lookback_days = -1\n", "must be from 0 to 3650, not -1"),
        (RETRIEVING + QUERY + "max_open_retrievals = 0\n", "must be from 1 to 1000, not 0"),
        (RETRIEVING.replace('"move"', '"c-move"'), "must be 'move' or 'get'"),
        (
            RETRIEVING + '[sources.pacs]\nurl = "http://server/dicom-web"\n',
            "a source has the name 'pacs', too",
        ),
    ],
)
def test_a_mistake_is_reported_with_the_remedy(tmp_path: Path, text: str, message: str) -> None:
    (line,) = mistakes_in(tmp_path, text)
    assert message in line


def test_a_peer_and_a_source_may_share_a_name_where_only_one_is_retrieved_from(
    tmp_path: Path,
) -> None:
    text = VALID + '[sources.pacs]\nurl = "http://server/dicom-web"\n'
    assert load_settings(write(tmp_path, text)).sources
