"""What Nova logs when a virtual machine is made and removed, and for each kind of fault.

A script is a list of steps. The generator adds time, identifiers, noise and loss; this module
holds only what is logged and in what order.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

API = "nova.osapi_compute.wsgi.server"
EVENTS = "nova.api.openstack.compute.server_external_events"
SCHEDULER = "nova.scheduler.filter_scheduler"
CONDUCTOR = "nova.conductor.manager"
MANAGER = "nova.compute.manager"
CLAIMS = "nova.compute.claims"
DRIVER = "nova.virt.libvirt.driver"
NEUTRON = "nova.network.neutronv2.api"
CINDER = "nova.volume.cinder"


@dataclass(frozen=True)
class Step:
    """One line of a script."""

    component: str
    message: str
    level: str = "INFO"
    #: Mean pause before the line, in seconds.
    pause: float = 0.2
    #: Whether the line carries the instance prefix; otherwise only its request ties it.
    prefixed: bool = True
    #: Whether the line names the fault. An instance may lose all of these together (rotated
    #: away, dropped by the collector), so that the class must be told from the rest.
    decisive: bool = False


def _request(method: str, path: str, status: int) -> Step:
    message = (
        f'{{ip}} "{method} /v2/{{tenant}}/{path} HTTP/1.1" status: {status} len: {{n}} time: {{s}}'
    )
    return Step(API, message, pause=0.3, prefixed=False)


def _accepted() -> list[Step]:
    return [
        _request("POST", "servers", 202),
        Step(SCHEDULER, "Starting with {n} host(s)", pause=0.1, prefixed=False),
    ]


def _scheduled() -> list[Step]:
    return [Step(SCHEDULER, "Selected host compute-{k} with weight {s}", pause=0.2, prefixed=False)]


def _claim() -> list[Step]:
    return [
        Step(CLAIMS, "Attempting claim: memory {n} MB, disk {k} GB, vcpus {k} CPU", pause=0.6),
        Step(CLAIMS, "Total memory: {n} MB, used: {n}.00 MB", pause=0.01),
        Step(CLAIMS, "memory limit: {n}.00 MB, free: {n}.00 MB", pause=0.01),
        Step(CLAIMS, "Total disk: {k} GB, used: {k}.00 GB", pause=0.01),
        Step(CLAIMS, "disk limit not specified, defaulting to unlimited", pause=0.01),
        Step(CLAIMS, "Total vcpu: {k} VCPU, used: {k}.00 VCPU", pause=0.01),
        Step(CLAIMS, "vcpu limit not specified, defaulting to unlimited", pause=0.01),
        Step(CLAIMS, "Claim successful", pause=0.02),
    ]


def _network() -> list[Step]:
    return [Step(NEUTRON, "Allocated port {uuid} on network {uuid}", pause=0.8)]


def _image() -> list[Step]:
    return [Step(DRIVER, "Creating image", pause=0.4)]


def _plugged() -> list[Step]:
    return [
        Step(
            EVENTS,
            "Creating event network-vif-plugged:{uuid} for instance {id}",
            pause=2.5,
            prefixed=False,
        )
    ]


def _boot() -> list[Step]:
    return [
        Step(MANAGER, "VM Started (Lifecycle Event)", pause=4.0),
        Step(MANAGER, "VM Paused (Lifecycle Event)", pause=0.06),
        *_plugged(),
        Step(MANAGER, "VM Resumed (Lifecycle Event)", pause=1.2),
        Step(DRIVER, "Instance spawned successfully.", pause=0.01),
        Step(MANAGER, "Took {s} seconds to spawn the instance on the hypervisor.", pause=0.01),
        Step(MANAGER, "Took {s} seconds to build instance.", pause=0.5),
    ]


def _remove(rng: random.Random) -> list[Step]:
    if rng.random() < 0.35:
        return []  # still running when the log ends
    return [
        _request("DELETE", "servers/{id}", 204),
        Step(MANAGER, "Terminating instance", pause=8.0),
        Step(DRIVER, "Instance destroyed successfully.", pause=0.5),
        Step(DRIVER, "Deleting instance files /var/lib/nova/instances/{id}_del", pause=0.5),
        Step(DRIVER, "Deletion of /var/lib/nova/instances/{id}_del complete", pause=0.02),
        Step(MANAGER, "Took {s} seconds to destroy the instance on the hypervisor.", pause=0.02),
        Step(MANAGER, "Took {s} seconds to deallocate network for instance.", pause=0.3),
    ]


def _aborted(rng: random.Random) -> list[Step]:
    """What follows any failure on a compute host: it names no cause."""
    steps = [Step(MANAGER, "Instance failed to spawn", "ERROR", 0.3)]
    if rng.random() < 0.5:
        steps.append(Step(MANAGER, "Terminating instance", pause=0.1))
    if rng.random() < 0.6:
        steps.append(Step(DRIVER, "Instance destroyed successfully.", pause=0.3))
    steps.append(Step(MANAGER, "Took {s} seconds to deallocate network for instance.", pause=0.4))
    steps.append(
        Step(MANAGER, "Build of instance {id} aborted: Failed to build the instance.", "ERROR", 0.1)
    )
    if rng.random() < 0.7:
        steps.append(Step(CONDUCTOR, "Setting instance to ERROR state.", "WARNING", 0.2))
    return steps


def _neutron_retry() -> list[Step]:
    return [
        Step(NEUTRON, "Request to neutron timed out, retrying ({k} of {k})", "WARNING", 5.0),
    ]


def _glance_retry() -> list[Step]:
    return [
        Step(
            "nova.image.glance",
            "Error contacting glance server '{ip}:9292' for 'data', retrying.",
            "WARNING",
            2.0,
        ),
    ]


def _libvirt_warning() -> list[Step]:
    return [
        Step(
            DRIVER,
            "Error from libvirt while getting description of instance-{hex}: connection reset",
            "WARNING",
            0.5,
        ),
    ]


def _transient(rng: random.Random) -> list[Step]:
    """Trouble that passes by itself: it must not decide the class."""
    if rng.random() > 0.18:
        return []
    return rng.choice([_neutron_retry, _glance_retry, _libvirt_warning])()


def normal(rng: random.Random) -> list[Step]:
    """A machine that starts, in one build of ten only after a reschedule."""
    steps = [*_accepted(), *_scheduled(), *_claim()]
    if rng.random() < 0.1:
        steps += [
            *_network(),
            *rng.choice([_neutron_retry, _glance_retry, _libvirt_warning])(),
            Step(MANAGER, "Instance failed to spawn", "ERROR", 0.3),
            Step(
                MANAGER,
                "Build of instance {id} was re-scheduled: Insufficient compute resources.",
                "WARNING",
                0.3,
            ),
            *_scheduled(),
            *_claim(),
        ]
    return [
        *steps,
        *_network(),
        *_transient(rng),
        *_image(),
        *_transient(rng),
        *_boot(),
        *_remove(rng),
    ]


def no_valid_host(rng: random.Random) -> list[Step]:
    """The scheduler finds no host that fits."""
    steps = _accepted()
    if rng.random() < 0.5:
        steps.append(
            Step(
                SCHEDULER,
                "Filter RamFilter returned 0 hosts",
                pause=0.1,
                prefixed=False,
                decisive=True,
            )
        )
    if rng.random() < 0.2:  # it fitted once, failed there, and nothing else fits
        steps += [*_scheduled(), *_claim(), Step(MANAGER, "Instance failed to spawn", "ERROR", 1.0)]
        steps.append(
            Step(
                MANAGER,
                "Build of instance {id} was re-scheduled: Insufficient compute resources.",
                "WARNING",
                0.3,
            )
        )
    return [
        *steps,
        Step(
            CONDUCTOR,
            "Failed to compute_task_build_instances: No valid host was found. There are not enough hosts available.",
            "ERROR",
            0.2,
            prefixed=False,
            decisive=True,
        ),
        Step(CONDUCTOR, "Setting instance to ERROR state.", "WARNING", 0.1),
    ]


def quota_exceeded(rng: random.Random) -> list[Step]:
    """The project has no quota left: refused by the API, or by the conductor's recheck."""
    refused = Step(
        "nova.api.openstack.wsgi",
        "HTTP exception thrown: Quota exceeded for cores: Requested {k}, but already used {k} of {k} cores",
        pause=0.2,
        prefixed=False,
        decisive=True,
    )
    recheck = Step(
        CONDUCTOR,
        "Quota exceeded for instances, {k} over the limit",
        "ERROR",
        0.2,
        prefixed=False,
        decisive=True,
    )
    if rng.random() < 0.5:
        return [
            refused,
            _request("POST", "servers", 403),
            Step(CONDUCTOR, "Setting instance to ERROR state.", "WARNING", 0.1),
        ]
    return [
        *_accepted(),
        recheck,
        Step(CONDUCTOR, "Setting instance to ERROR state.", "WARNING", 0.1),
    ]


def image_download_failure(rng: random.Random) -> list[Step]:
    """Glance does not deliver the image, or delivers another one."""
    cause = rng.choice(
        [
            "Image {uuid} could not be found.",
            "Corrupt image download. Checksum was {hex} expected {hex}",
            "Error contacting glance server '{ip}:9292' for 'data', done trying.",
        ]
    )
    steps = [*_accepted(), *_scheduled(), *_claim(), *_network(), *_image()]
    steps += _glance_retry() * rng.choice([0, 1, 1, 2, 3])
    steps.append(Step("nova.image.glance", cause, "ERROR", 2.0, decisive=True))
    return [*steps, *_aborted(rng)]


def network_allocation_timeout(rng: random.Random) -> list[Step]:
    """Neutron does not answer, or never says that the port is plugged."""
    steps = [*_accepted(), *_scheduled(), *_claim()]
    if rng.random() < 0.5:
        steps += _neutron_retry() * rng.choice([0, 1, 2, 3])
        steps.append(
            Step(
                MANAGER,
                "Instance failed network setup after {k} attempt(s)",
                "ERROR",
                3.0,
                decisive=True,
            )
        )
        return [*steps, *_aborted(rng)]
    steps += [*_network(), *_image(), *_transient(rng), *_boot()[:2]]
    steps.append(
        Step(
            DRIVER,
            "Timeout waiting for vif plugging callback for instance {id}",
            "WARNING",
            30.0,
            decisive=True,
        )
    )
    return [*steps, *_aborted(rng)]


def libvirt_error(rng: random.Random) -> list[Step]:
    """The hypervisor refuses or loses the domain."""
    cause = rng.choice(
        [
            "libvirtError: internal error: process exited while connecting to monitor",
            "libvirtError: Failed to start domain instance-{hex}: unsupported configuration",
            "Failed to allocate memory for domain instance-{hex}",
        ]
    )
    steps = [*_accepted(), *_scheduled(), *_claim(), *_network(), *_transient(rng), *_image()]
    steps += _libvirt_warning() * rng.choice([0, 0, 1, 2])
    if rng.random() < 0.4:
        steps += _boot()[:2]
    steps.append(Step(DRIVER, cause, "ERROR", 1.0, decisive=True))
    return [*steps, *_aborted(rng)]


def volume_attach_failure(rng: random.Random) -> list[Step]:
    """Cinder's volume cannot be attached: at boot, or later to a running machine."""
    cause = rng.choice(
        [
            "Failed to attach volume {uuid} at /dev/vdb",
            "Volume {uuid} did not finish being created even after we waited {k} seconds or {k} attempts.",
            "iSCSI: could not log in to portal {ip}:3260",
        ]
    )
    attach = [
        Step(MANAGER, "Attaching volume {uuid} to /dev/vdb", pause=1.0),
        Step(CINDER, cause, "ERROR", 6.0, decisive=True),
    ]
    steps = [*_accepted(), *_scheduled(), *_claim(), *_network()]
    if rng.random() < 0.5:
        return [*steps, *attach, *_aborted(rng)]
    return [*steps, *_image(), *_transient(rng), *_boot(), *attach, *_remove(rng)]


#: Class -> its script and its share of all instances.
SCRIPTS: dict[str, tuple[Callable[[random.Random], list[Step]], float]] = {
    "normal": (normal, 0.46),
    "no_valid_host": (no_valid_host, 0.09),
    "quota_exceeded": (quota_exceeded, 0.07),
    "image_download_failure": (image_download_failure, 0.10),
    "network_allocation_timeout": (network_allocation_timeout, 0.10),
    "libvirt_error": (libvirt_error, 0.10),
    "volume_attach_failure": (volume_attach_failure, 0.08),
}

NORMAL = "normal"
