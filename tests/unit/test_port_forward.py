import pytest

from asyncapiproxy.in_cluster import InCluster
from asyncapiproxy.port_forward import ReleaseUnclearError, service_of
from asynctestkit.fake_kubectl import proxy_objects

EVERYTHING = InCluster(context="arn:aws:eks:eu:1:cluster/a&b", namespace="shop", release="demo")


@pytest.mark.parametrize("wanted", [InCluster(), InCluster(namespace="shop"), EVERYTHING])
def test_a_url_says_all_of_a_release(wanted: InCluster):
    assert InCluster.of_url(wanted.url) == wanted


def test_a_person_is_told_the_command_for_the_same_release():
    assert InCluster().command == "kubectl asyncapiproxy"
    words = "--context 'arn:aws:eks:eu:1:cluster/a&b' --namespace shop --release demo"
    assert EVERYTHING.command == f"kubectl asyncapiproxy {words}"


def test_the_only_release_is_meant():
    assert service_of(InCluster(), proxy_objects("demo")) == "demo-asyncapiproxy-proxy"


def test_of_several_the_named_one_is_meant():
    found = [*proxy_objects("demo"), *proxy_objects("tasks")]
    assert service_of(InCluster(release="tasks"), found) == "tasks-asyncapiproxy-proxy"
    with pytest.raises(ReleaseUnclearError, match=r"current namespace: demo, tasks\. --release"):
        service_of(InCluster(), found)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (InCluster(), "No proxy is in the current namespace"),
        (InCluster(namespace="shop"), "No proxy is in the namespace shop"),
        (InCluster(release="demo"), "No proxy of the release demo is in the current namespace"),
    ],
)
def test_a_release_that_is_not_there_is_told_with_where_it_was_looked_for(
    wanted: InCluster, told: str
):
    with pytest.raises(ReleaseUnclearError, match=told):
        service_of(wanted, proxy_objects("tasks") if wanted.release else [])


def test_a_release_without_a_ready_pod_is_told_with_how_its_pods_are():
    service, pod = proxy_objects("demo", is_ready=False)
    *_, of_another = proxy_objects("tasks")
    with pytest.raises(ReleaseUnclearError, match=r"x7k2p: Pending, ImagePullBackOff$"):
        service_of(InCluster(release="demo"), [service, pod, of_another])
    with pytest.raises(ReleaseUnclearError, match=r"ready\. It has none\.$"):
        service_of(InCluster(), [service])
    *_, ending = proxy_objects("demo")
    ending["metadata"]["deletionTimestamp"] = "2026-11-24T10:48:30Z"
    with pytest.raises(ReleaseUnclearError, match=r"x7k2p: Terminating$"):
        service_of(InCluster(), [service, ending])
