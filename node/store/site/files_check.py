"""Check that all hosts of one database share the same files."""

import uuid
from pathlib import Path

from sqlalchemy import insert, select

from node.domain.errors import Misconfigured
from node.store.database import Database
from node.store.files import Files
from node.store.migrate import acquire_site_lock
from node.store.schema import SITE

_SITE_FILE = "site"


def check_files(database: Database, files: Files, data_dir: Path) -> None:
    """Checks that the files belong to the database; the first host links the two.

    The link is a site name, stored in the database and in the file `site` in the data folder.

    Raises:
        Misconfigured: the files do not belong to the database.
        Transient: the files or the database cannot be read or written.
    """
    file = data_dir / _SITE_FILE
    with database.writing() as connection:
        acquire_site_lock(connection, database)
        site_of_files = _content(files, file)
        name = connection.execute(select(SITE.c.name)).scalar_one_or_none()
        if name is None:
            name = site_of_files or str(uuid.uuid4())
            connection.execute(insert(SITE).values(name=name))
            files.put(file, [name.encode("ascii")])
            return
    if site_of_files != name:
        raise Misconfigured(
            f"{data_dir} is not the folder of this database. All hosts need the same one, such as "
            f"a network file system that each has mounted, or one bucket (store_url). (If that "
            f"folder is lost for good, write {name} to a file {_SITE_FILE} in the new one.)",
            key="data_dir",
        )


def _content(files: Files, file: Path) -> str:
    """Returns the content of the file; empty if it does not exist."""
    with files.local_copies([file]) as (copy,):
        return copy.read_text(encoding="ascii").strip() if copy.is_file() else ""
