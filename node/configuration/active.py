"""The settings of the active configuration, for a command that runs beside the node."""

from pathlib import Path

from node.settings import Settings, load_location, load_revision, load_settings
from node.settings.location import is_in_database


def active_settings(file: Path | None) -> Settings:
    """Returns the settings of the file, or of the active revision where it is in the database.

    Before the first start in that mode, they are those that this start imports.

    Raises:
        Misconfigured: the configuration has mistakes.
        Transient: the database does not answer.
    """
    if not is_in_database(file):
        return load_settings(file)
    # Imported here: most commands read a file, and start faster without the database.
    from node.configuration.site_configuration import file_text, load_proposed, revision_name
    from node.store.opening import opened_store

    location = load_location(file)
    store = opened_store(location)
    try:
        active = store.active_revision()
    finally:
        store.close()
    if active is None:
        return load_proposed(file, file_text(file), str(file))
    return load_revision(file, active.text, revision_name(active.number))
