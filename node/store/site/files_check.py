"""Several hosts on one database have the same files: each looks that it has those."""

import uuid
from pathlib import Path

from sqlalchemy import insert, select

from node.domain.errors import Misconfigured
from node.store.database import Database
from node.store.files import Files
from node.store.migrate import wait_for_other_hosts
from node.store.schema import SITE

_FILE = "site"


def check_files(database: Database, files: Files, data_dir: Path) -> None:
    """See that the files belong to the database; the first host makes it so.

    Raises:
        Misconfigured: others do.
        Transient: the files or the database cannot be read or written.
    """
    file = data_dir / _FILE
    with database.writing() as connection:
        wait_for_other_hosts(connection, database)
        here = _content(files, file)
        name = connection.execute(select(SITE.c.name)).scalar_one_or_none()
        if name is None:
            name = here or str(uuid.uuid4())
            connection.execute(insert(SITE).values(name=name))
            files.put(file, [name.encode("ascii")])
            return
    if here != name:
        raise Misconfigured(
            f"{data_dir} is not the folder of this database. All hosts need the same one, such as "
            f"a network file system that each has mounted, or one bucket (store_url). (Where that "
            f"is lost for good, have a file {_FILE} there that holds {name}.)",
            key="data_dir",
        )


def _content(files: Files, file: Path) -> str:
    """What the file says; empty where there is none."""
    with files.at_hand([file]) as (found,):
        return found.read_text(encoding="ascii").strip() if found.is_file() else ""
