"""`segnode jobs`: its commands, those about lists and deliveries included."""

from node.cli.jobs import app
from node.cli.queues import deliveries, job_list

__all__ = ["app"]

app.command("list")(job_list.list_jobs)
app.command()(deliveries.retry)
app.command()(deliveries.redirect)
app.command()(deliveries.discard)
