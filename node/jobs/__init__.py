"""The steps of a job: segment the series, deliver the result. Each is safe to repeat."""
