"""What the Dockerfile says; `make image-test` builds it and runs it for real."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text("utf-8")


def test_the_image_runs_as_uid_10001_under_tini():
    assert "USER 10001:10001" in DOCKERFILE
    assert 'ENTRYPOINT ["tini", "-g", "--", "driftwatch"]' in DOCKERFILE


def test_state_is_on_a_volume_and_health_is_asked():
    assert "VOLUME /var/lib/driftwatch" in DOCKERFILE
    assert 'CMD ["driftwatch", "healthcheck"]' in DOCKERFILE


def test_everything_that_is_copied_is_let_through_by_dockerignore():
    allowed = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert copied == allowed
    assert [source for source in copied if not (REPOSITORY / source).exists()] == []
