"""How often each version of a model has run, when it ran last, and how long that took."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from node.store.monitoring.row_counts import Counted, number_of
from node.store.repository import Repository
from node.store.schema import JOBS


@dataclass(frozen=True)
class ModelUse:
    """The jobs of one version of a model; `last_timings_s` of its latest result, by stage."""

    job_count: int
    last_result_at: datetime | None
    last_timings_s: dict[str, float]


class ModelUseQueries(Repository):
    """Reads the use of models from the jobs."""

    def model_use(self, model_id: str, model_version: str) -> ModelUse:
        """Returns the use of a version; there are no timings before its first result."""
        of_model = (JOBS.c.model_id == model_id, JOBS.c.model_version == model_version)
        latest = (
            select(JOBS.c.updated_at, JOBS.c.timings_s)
            .where(*of_model, JOBS.c.result_path.is_not(None))
            .order_by(JOBS.c.created_at.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            count = number_of(connection, Counted.MODELS, f"{model_id}@{model_version}")
            row = connection.execute(latest).first()
        if row is None:
            return ModelUse(count, None, {})
        return ModelUse(count, row.updated_at, row.timings_s)
