"""What is hidden of the settings where they are shown."""

from pathlib import Path

import pytest

from node.settings import load_settings
from node.settings.credentials.hidden import HIDDEN, shown_url, without_secrets
from tests.unit.settings.site import VALID, mistakes_in, write

SECRET = "geheim"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://pacs:8042/dicom-web", "https://pacs:8042/dicom-web"),
        (
            f"postgresql://node:{SECRET}@db:5432/segnode",
            f"postgresql://node:{HIDDEN}@db:5432/segnode",
        ),
        (
            f"https://v/x?token={SECRET}&study={{study}}",
            f"https://v/x?token={HIDDEN}&study={{study}}",
        ),
        (f"https://v/x?{SECRET}", f"https://v/x?{HIDDEN}"),
        (f"https://v/x#{SECRET}", f"https://v/x#{HIDDEN}"),
        (f"http://[{SECRET}", HIDDEN),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_the_settings_are_shown_without_any_secret(tmp_path: Path) -> None:
    text = (
        f'database_url = "postgresql://node:{SECRET}@db/segnode"\n{VALID}'
        f'[alerts.webhook]\nurl = "https://chat/hooks/{SECRET}"\n'
        f'[web]\nviewer_url = "https://v/x?key={SECRET}&study={{study}}"\n'
        '[destinations.web]\nkind = "dicomweb"\nurl = "https://pacs/dicom-web"\n'
    )
    shown = without_secrets(load_settings(write(tmp_path, text)).model_dump(mode="python"))
    assert SECRET not in str(shown)
    assert shown["alerts"]["webhook"]["url"] == HIDDEN
    assert shown["destinations"]["web"]["url"] == "https://pacs/dicom-web"
    assert shown["peers"]["pacs"]["ae_title"] == "PACS"


@pytest.mark.parametrize(
    "table",
    [
        '[sources.s]\nurl = "{}"\n',
        '[destinations.d]\nkind = "dicomweb"\nurl = "{}"\n',
        '[destinations.d]\nkind = "fhir"\nurl = "{}"\n',
        '[worklists.w]\nurl = "{}"\ntasks = [{{ code = "A", scheme = "B", rule = "liver" }}]\n',
    ],
)
@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"HTTP://user:{SECRET}@server/x", "must hold no name and password"),
        (f"http://server/x?key={SECRET}", "must end before the ? or #"),
        (f"http://server/x#{SECRET}", "must end before the ? or #"),
    ],
)
def test_the_address_of_a_service_holds_no_secret(
    tmp_path: Path, table: str, url: str, message: str
) -> None:
    (mistake,) = mistakes_in(tmp_path, VALID + table.format(url))
    assert message in mistake
    assert SECRET not in mistake
