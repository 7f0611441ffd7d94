"""The role by which services use the task database, beside the one that owns it."""

from collections.abc import AsyncIterator
from urllib.parse import quote, urlsplit
from uuid import uuid4

import asyncpg
import pytest

from asynctasks.errors import ServiceRoleError, SettingsError
from asynctasks.migration import migrate
from asynctasks.settings import MigrationSettings
from asynctestkit.calls import finished_task
from asynctestkit.inside import accepted, inside, one_of_each

PASSWORD = 'it\'s 100% "ours"/@:'


def with_user(url: str, name: str, password: str) -> str:
    server = urlsplit(url)
    place = f"{server.hostname}:{server.port}"
    return server._replace(netloc=f"{name}:{quote(password, safe='')}@{place}").geturl()


@pytest.fixture
async def role(postgresql_url: str) -> AsyncIterator[str]:
    """A name that nobody has yet, with what is odd in one."""
    name = f"svc-{uuid4().hex[:8]}"
    yield name
    owner = await asyncpg.connect(postgresql_url)
    await owner.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')
    await owner.close()


async def test_services_do_all_their_work_by_a_role_that_can_change_no_table(
    postgresql_url: str, role: str
):
    """And where the database was in use before there was such a role."""
    service_url = with_user(postgresql_url, role, PASSWORD)
    await migrate(postgresql_url, service_url=service_url)
    async with inside(
        database_url=service_url,
        broker_url="memory://",
        inline_body_bytes=0,
        relay_interval_seconds=0.05,
    ) as installation:
        client = await one_of_each(installation)
        assert (await client.post("/create-client", json={})).status_code == 201
        task = await finished_task(client, await accepted(client))
        assert (await client.get(f"/tasks/{task['id']}/response")).json() == {"number": 2}
        assert (await client.delete(f"/tasks/{task['id']}")).status_code == 204
    service = await asyncpg.connect(service_url)
    try:
        for statement in (
            "DROP TABLE tasks",
            "ALTER TABLE tasks ADD COLUMN a int",
            "TRUNCATE tasks",
            "CREATE TABLE a (b int)",
            "UPDATE asyncapiproxy_schema_version SET version_num = '1'",
            "CREATE ROLE another",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(statement)
    finally:
        await service.close()


async def test_a_new_password_is_the_roles_from_the_next_migration_on(
    postgresql_url: str, role: str
):
    for password in ("first", "second"):
        service_url = with_user(postgresql_url, role, password)
        await migrate(postgresql_url, service_url=service_url)
        await (await asyncpg.connect(service_url)).close()


async def test_who_may_make_no_role_is_told_so(postgresql_url: str, role: str):
    service_url = with_user(postgresql_url, role, "a")
    await migrate(postgresql_url, service_url=service_url)
    other = with_user(postgresql_url, f"{role}-2", "b")
    with pytest.raises(ServiceRoleError, match=r"'svc-\w+-2' cannot be made.*: permission denied"):
        await migrate(service_url, service_url=other)
    owner = urlsplit(postgresql_url).username or ""
    with pytest.raises(ServiceRoleError, match="owns the tables itself"):
        await migrate(postgresql_url, service_url=with_user(postgresql_url, owner, "c"))


@pytest.mark.parametrize("url", ["sqlite:///a.db", "postgresql://ann@a/b", "postgresql://a/b"])
def test_a_url_without_a_user_and_a_password_stops_the_migration(url: str):
    given = {"database_url": "sqlite:///a.db", "service_database_url": url}
    with pytest.raises(SettingsError, match=r"^ASYNCAPIPROXY_SERVICE_DATABASE_URL: expected post"):
        MigrationSettings.read(given)
