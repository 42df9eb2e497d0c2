"""What the doctor finds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from aiohttp import web

from teleglas_cli.stack import doctor
from teleglas_cli.stack.doctor import Finding, Health, examine_machine, examine_running
from teleglas_cli.stack.jars import Jar
from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.stack.ports import LOOPBACK, NoFreePortError, free_ports


def test_every_problem_says_what_to_do() -> None:
    """A finding that is not well always carries a remedy."""
    bad = [
        doctor.check_python((3, 9)),
        *doctor.check_programs({"java": None, "postgres": Path("/nowhere/postgres")}),
        doctor.check_open_files(1024),
        doctor.check_account(0, lambda _account: False),
        doctor.check_account(4711, lambda _account: False),
    ]
    assert [finding.health for finding in bad] == [Health.PROBLEM] * len(bad)
    assert all(finding.remedy for finding in bad)


def test_well_machine_has_no_problem(tmp_path: Path) -> None:
    """The machine that runs these tests can run the stack, also into a folder that is not there."""
    findings = examine_machine(tmp_path / "not" / "yet")
    assert [finding for finding in findings if finding.health is Health.PROBLEM] == []
    assert {"python", "java", "postgres", "valkey", "kafka jars", "ports", "memory"} <= {
        finding.subject for finding in findings
    }


def test_program_without_execute_permission_is_named(tmp_path: Path) -> None:
    """A file that cannot run is not a program."""
    plain = tmp_path / "java"
    plain.touch(mode=0o600)
    (finding,) = doctor.check_programs({"java": plain})
    assert (finding.health, finding.remedy) == (Health.PROBLEM, f"chmod +x {plain}")


def test_missing_jars_are_a_warning_with_their_size(tmp_path: Path) -> None:
    """The first start downloads; that is no fault."""
    jar = Jar("g", "a", "1", hashlib.sha256(b"x").hexdigest(), 5_000_000)
    finding = doctor.check_jars([jar], tmp_path)
    assert finding.health is Health.WARNING
    assert finding.remedy == "nothing: the next start downloads 5 MB"


def test_damaged_jar_is_a_problem(tmp_path: Path) -> None:
    """A changed jar stops the start, so the doctor names it."""
    jar = Jar("g", "a", "1", hashlib.sha256(b"x").hexdigest(), 1)
    (tmp_path / jar.file_name).write_bytes(b"y")
    finding = doctor.check_jars([jar], tmp_path)
    assert finding.health is Health.PROBLEM
    assert str(tmp_path / jar.file_name) in finding.detail


@pytest.mark.parametrize(
    ("free_gb", "health"), [(0.5, Health.PROBLEM), (2.0, Health.WARNING), (9.0, Health.OK)]
)
def test_little_space_is_graded(free_gb: float, health: Health) -> None:
    """Too little, little, enough."""
    finding = doctor.check_amount("disk", free_gb, needed_gb=1, wanted_gb=5, remedy="free some")
    assert finding.health is health


def test_no_free_port_is_a_problem() -> None:
    """The choice of ports failing is told, not raised."""

    def none_free(count: int) -> list[int]:
        raise NoFreePortError(f"expected {count} free ports, found 0")

    assert doctor.check_ports(none_free).health is Health.PROBLEM


async def test_stack_that_does_not_run_is_told_server_by_server() -> None:
    """Four dead addresses, four problems."""
    kafka, postgres, valkey, gateway = free_ports(4)
    findings = await examine_running(
        StackAddresses(
            kafka_bootstrap=f"{LOOPBACK}:{kafka}",
            postgres_dsn=f"postgresql://u:p@{LOOPBACK}:{postgres}/d",
            redis_url=f"redis://{LOOPBACK}:{valkey}/0",
        ),
        {"gateway": f"http://{LOOPBACK}:{gateway}"},
    )
    assert [finding.subject for finding in findings] == ["kafka", "postgres", "redis", "gateway"]
    assert {finding.health for finding in findings} == {Health.PROBLEM}


async def finding_of_a_service(status: int) -> Finding:
    async def ready(_request: web.Request) -> web.Response:
        return web.Response(status=status, text="kafka: not connected")

    app = web.Application()
    app.router.add_get("/ready", ready)
    runner = web.AppRunner(app)
    await runner.setup()
    (port,) = free_ports(1)
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
        return await doctor.check_service("gateway", f"http://{LOOPBACK}:{port}/")
    finally:
        await runner.cleanup()


async def test_service_is_judged_by_its_readiness() -> None:
    """A service that answers but is not ready is a problem, with its own words."""
    assert (await finding_of_a_service(200)).health is Health.OK
    unready = await finding_of_a_service(503)
    assert unready.health is Health.PROBLEM
    assert "kafka: not connected" in unready.detail
