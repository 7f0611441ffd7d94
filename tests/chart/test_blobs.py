"""Where the chart tells services that large bodies are."""

from asynctestkit.helm import Json, containers, environment, pods, render

DEMO: Json = {"demoApi": {"enabled": True}}


def test_proxies_and_executors_know_where_large_bodies_are_and_nobody_else():
    blobs = {"url": "s3://bodies/tasks", "existingSecret": "s3"}
    more = {"proxy": {"extraEnvFrom": [{"configMapRef": {"name": "a"}}]}}
    found = pods(render({**DEMO, **more, "blobs": blobs}))
    knowing = {
        name: container.get("envFrom", [])
        for name, pod in found.items()
        for container in containers(pod)
        if environment({"env": [], **container}).get("ASYNCAPIPROXY_BLOBS") == blobs["url"]
    }
    credentials = {"secretRef": {"name": "s3"}}
    assert knowing == {
        "Deployment/demo-asyncapiproxy-proxy": [credentials, {"configMapRef": {"name": "a"}}],
        "Deployment/demo-asyncapiproxy-executor-clients": [credentials],
    }


def test_large_bodies_are_in_the_task_database_unless_said_otherwise():
    for pod in pods(render(DEMO)).values():
        for container in containers(pod):
            given = environment({"env": [], **container})
            assert given.get("ASYNCAPIPROXY_BLOBS", "database") == "database"
            assert "envFrom" not in container
