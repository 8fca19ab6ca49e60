from pathlib import Path

from cluster.paths import JOB_CONFIG_VARIABLE
from cluster.submission import job_info

# As Ray 2.60 sets it for `ray job submit --metadata-json '{"study": "mitdb"}'`.
JOB_CONFIG = """{"runtime_env": {"working_dir": "gcs://_ray_pkg_6ce1469e1951f024.zip"},
"metadata": {"job_submission_id": "raysubmit_3HbjZkSMfWyncidX",
"job_name": "raysubmit_3HbjZkSMfWyncidX", "study": "mitdb"}}"""


def test_outside_a_job_there_is_no_job_info(monkeypatch):
    monkeypatch.delenv(JOB_CONFIG_VARIABLE, raising=False)
    assert job_info() is None


def test_a_job_knows_its_submission_id_its_metadata_and_its_folder(monkeypatch, tmp_path):
    monkeypatch.setenv(JOB_CONFIG_VARIABLE, JOB_CONFIG)
    monkeypatch.chdir(tmp_path)
    job = job_info()
    assert job is not None
    assert job.submission_id == "raysubmit_3HbjZkSMfWyncidX"
    assert job.metadata == {"study": "mitdb"}
    assert job.working_dir == Path(tmp_path)
