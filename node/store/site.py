"""Several hosts on one database have one data folder: each looks that it is that one."""

import uuid
from pathlib import Path

from sqlalchemy import insert, select

from node.domain.errors import Misconfigured, Transient
from node.durable import durable_file
from node.store.database import Database
from node.store.migrate import wait_for_other_hosts
from node.store.schema import SITE

_FILE = "site"


def check_folder(database: Database, data_dir: Path) -> None:
    """See that the folder belongs to the database; the first host makes it so.

    Raises:
        Misconfigured: another folder does.
        Transient: the folder cannot be read or written.
    """
    file = data_dir / _FILE
    try:
        with database.writing() as connection:
            wait_for_other_hosts(connection, database)
            here = file.read_text(encoding="ascii").strip() if file.is_file() else ""
            name = connection.execute(select(SITE.c.name)).scalar_one_or_none()
            if name is None:
                name = here or str(uuid.uuid4())
                connection.execute(insert(SITE).values(name=name))
                with durable_file(file) as kept:
                    kept.write(name.encode("ascii"))
                return
    except OSError as error:
        raise Transient(f"the data folder cannot be used: {error.strerror} ({file})") from error
    if here != name:
        raise Misconfigured(
            f"{data_dir} is not the folder of this database. All hosts need the same one, such as "
            f"a network file system that each has mounted. (Where that folder is lost for good, "
            f"write {name} into {file}.)",
            key="data_dir",
        )
