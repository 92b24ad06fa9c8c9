"""What a stage did, written to a journal and mirrored to MLflow; nothing in the project reads it back.

`journal` writes, `mirror` sends what is new of a journal, `store` alone knows MLflow, `record` names the
stages that came from the cache.
"""

import os

from diffusionbert.tracking.journal import Journal, run

__all__ = ["Journal", "run"]

# Read by mlflow when it is imported, which is later. A dead server must cost seconds; what is not sent waits.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
TIMEOUT, SECONDS = "MLFLOW_HTTP_REQUEST_TIMEOUT", "5"  # of a request, so that a training does not wait
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault(TIMEOUT, SECONDS)
