"""Jobs: series completion, scheduling, durable workflow and its repeatable steps."""
