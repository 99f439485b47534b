"""Nova, as it comes from PyPI, keeps its secrets at a secret daemon: those of encrypted volumes, of TPMs and of Ceph.

usage: [LD_LIBRARY_PATH=LIBDIR LIBDIR=LIBDIR] program_nova.py SECRET-URI [REST-URL]

Called are Nova's own driver and host, as nova-compute does when it attaches, migrates and detaches; all functions of
libvirt's are called by them. Its key manager is the one of Nova's that reads its only key from the configuration. What
nova-compute needs besides (a message queue, a database, a hypervisor) it misses, logs, and does without.
Done twice: with native threads, and with eventlet, which calls libvirt from threads of a pool. The Python that runs
this is the one of the folder that install.sh makes.
"""
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import uuid

from witness import Witness, check_library, equal, eventually, ok, relay

ALL_SECONDS = 120
KEY = bytes(range(32))
# The name that Nova's key manager has for its only key.
KEY_ID = "00000000-0000-0000-0000-000000000000"


def nova(mode, uri, log):
    """Nova's driver in this process, set up as nova-compute does."""
    import nova.monkey_patch
    nova.monkey_patch.patch(mode)  # The first thing that nova-compute does.
    import nova.conf
    import nova.context
    import nova.objects
    import oslo_log.log
    from nova.virt.libvirt import LibvirtDriver

    oslo_log.log.register_options(nova.conf.CONF)
    nova.conf.CONF(["--log-file", log], project="nova", default_config_files=[])
    oslo_log.log.setup(nova.conf.CONF, "nova")
    for group, option, value in (("libvirt", "connection_uri", uri), ("libvirt", "virt_type", "qemu"),
                                 ("key_manager", "backend", "nova.keymgr.conf_key_mgr.ConfKeyManager"),
                                 ("key_manager", "fixed_key", KEY.hex())):
        nova.conf.CONF.set_override(option, value, group)
    nova.objects.register_all()
    driver = LibvirtDriver(None)
    driver._host.initialize()
    return driver


def encrypted_volume(driver, see):
    from nova.context import get_admin_context
    volume, context = str(uuid.uuid4()), get_admin_context()
    connection = {"driver_volume_type": "rbd", "serial": volume,
                  "data": {"name": "volumes/v", "hosts": ["127.0.0.1"], "ports": ["6789"], "volume_id": volume}}
    encryption = {"encryption_key_id": KEY_ID, "provider": "luks"}
    driver._attach_encryptor(context, connection, encryption)
    (identity,) = [identity for identity, usage in see.listed().items() if usage.split() == ["volume", volume]]
    assert "<secret ephemeral='no' private='no'>" in see.xml(identity), see.xml(identity)
    equal(KEY.hex().encode(), see.value(identity), "the passphrase of a volume")

    driver._attach_encryptor(context, connection, encryption)  # After a reboot: it is there.
    disk = driver._get_volume_config(connection, {"bus": "virtio", "dev": "vda", "type": "disk"}).to_xml()
    assert f'<secret type="passphrase" uuid="{identity}"/>' in disk, disk
    driver._detach_encryptor(context, connection, encryption, destroy_secrets=False)
    assert identity in see.listed(), "it is kept"
    driver._detach_encryptor(context, connection, encryption)
    assert identity not in see.listed(), "it is gone"


def tpm(driver, see):
    """Once as by default, and once as an instance that may migrate has it."""
    from nova import objects
    specs = {"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb", "hw:tpm_secret_security": "host"}
    instance = objects.Instance(uuid=str(uuid.uuid4()), flavor=objects.Flavor(extra_specs=specs), system_metadata={},
                                image_ref="")
    identity = str(uuid.uuid4())
    driver._host.create_secret("vtpm", instance.uuid, password="hunter2", uuid=identity)
    assert "<secret ephemeral='yes' private='yes'>" in see.xml(identity), see.xml(identity)
    equal(None, see.value(identity), "what is told of a private value")
    driver._host.delete_secret("vtpm", instance.uuid)
    assert identity not in see.listed(), "it is gone"

    driver._host.create_secret("vtpm", instance.uuid, password=b"hunter2", uuid=identity, ephemeral=False,
                               private=False)
    sent = objects.LibvirtLiveMigrateData()
    driver._add_vtpm_secret_to_live_migrate_data(instance, sent)
    equal((identity, b"hunter2"), (sent.vtpm_secret_uuid, sent.vtpm_secret_value_bytes), "what migrates")
    driver._host.delete_secret("vtpm", instance.uuid)


def by_usage(driver, see):
    host = driver._host
    for kind in ("ceph", "iscsi", "volume"):
        usage = f"{kind} {uuid.uuid4()}"
        equal(None, host.find_secret(kind, usage), "what is not there")
        host.create_secret(kind, usage, password=kind)
        found = host.find_secret(kind, usage)
        equal(f"{kind} {usage}".split(), see.listed()[found.UUIDString()].split(), "usage")
        equal(kind.encode(), see.value(found.UUIDString()), "value")
        equal(kind.encode(), found.value(), "value")
        host.delete_secret(kind, usage)
        equal(None, host.find_secret(kind, usage), "what is deleted")
    equal("secret", host.get_driver_type(), "type")
    assert host.has_min_version(lv_ver=(1, 0, 0)), "the daemon's version"


def reconnect(driver, see):
    """As after a restart of the daemon. Nova waits here until it is told that the connection is closed: should it find
    out by a call, libvirt's library tells it within that call, and Nova 34 with native threads waits for itself."""
    host, usage = driver._host, str(uuid.uuid4())
    host.create_secret("volume", usage, password="hunter2")
    os.kill(os.getppid(), signal.SIGUSR1)  # Its first process cuts the connection.
    eventually("Nova is told that the connection is closed", lambda: host._wrapped_conn is None)
    equal(b"hunter2", host.find_secret("volume", usage).value(), "the value over another connection")
    host.delete_secret("volume", usage)
    assert usage not in str(see.listed()), "it is gone"


def main():
    if sys.argv[1] == "--mode":
        one_mode(*sys.argv[2:])
    uri, *url = sys.argv[1:]
    with relay(uri) as (through, cut):
        signal.signal(signal.SIGUSR1, lambda *_: cut())
        for mode in ("threading", "eventlet"):
            subprocess.run([sys.executable, "-W", "ignore", __file__, "--mode", mode, through, uri, *url], check=True,
                           timeout=ALL_SECONDS)


def one_mode(mode, through, uri, *url):
    del sys.argv[1:]  # Nova reads it.
    see = Witness(uri, *url)
    with tempfile.TemporaryDirectory() as folder:
        log, status = f"{folder}/nova.log", 0
        try:
            driver = nova(mode, through, log)
            for part in (encrypted_volume, tpm, by_usage, reconnect):
                part(driver, see)
                ok(f"{part.__name__} ({mode})")
            check_library()
        except BaseException:
            print(open(log).read()[-10_000:] if os.path.exists(log) else "", traceback.format_exc(), sep="\n")
            status = 1
        sys.stdout.flush()
        os._exit(status)  # Nova's threads go on for ever.


main()
