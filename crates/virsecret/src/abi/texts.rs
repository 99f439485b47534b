//! The line that an error is on stderr, where no program asked for something else.

/// Names of `virErrorDomain`, by number.
const DOMAINS: &[&str] = &[
    "",
    "Xen Driver",
    "Xen Daemon",
    "Xen Store",
    "S-Expression",
    "XML Util",
    "Domain",
    "XML-RPC",
    "Proxy Daemon",
    "Config File",
    "QEMU Driver",
    "Network",
    "Test Driver",
    "Remote Driver",
    "OpenVZ Driver",
    "Xen XM Driver",
    "Linux Statistics",
    "LXC Driver",
    "Storage Driver",
    "Network Driver",
    "Domain Config",
    "User Mode Linux Driver",
    "Node Device Driver",
    "Xen Inotify Driver",
    "Security Driver",
    "VirtualBox Driver",
    "Network Interface Driver",
    "Open Nebula Driver",
    "ESX Driver",
    "Power Hypervisor Driver",
    "Secrets Driver",
    "CPU Driver",
    "XenAPI Driver",
    "Network Filter Driver",
    "Lifecycle Hook",
    "Domain Snapshot",
    "Audit Utils",
    "Sysinfo Utils",
    "I/O Stream Utils",
    "VMware Driver",
    "Event Loop",
    "Xen Light Driver",
    "Lock Driver",
    "Hyper-V Driver",
    "Capabilities Utils",
    "URI Utils",
    "Authentication Utils",
    "DBus Utils",
    "Parallels Cloud Server",
    "Device Config",
    "SSH transport layer",
    "Lock Space",
    "Init control",
    "Identity",
    "Cgroup",
    "Access Manager",
    "Systemd",
    "Bhyve",
    "Crypto",
    "Firewall",
    "Polkit",
    "Thread jobs",
    "Admin Interface",
    "Log Manager",
    "Xen XL Config",
    "Perf",
    "Libssh transport layer",
    "Resource control",
    "FirewallD",
    "Domain Checkpoint",
    "TPM",
    "BPF",
    "Cloud-Hypervisor Driver",
];

/// `libvirt: Secrets Driver error : text`
pub(super) fn line(domain: i32, level: i32, message: Option<&[u8]>) -> Vec<u8> {
    let name = usize::try_from(domain).ok().and_then(|number| DOMAINS.get(number)).unwrap_or(&"Unknown");
    let level = match level {
        1 => "warning",
        2 => "error",
        _ => "",
    };
    let mut line = format!("libvirt: {name} {level} : ").into_bytes();
    line.extend_from_slice(message.unwrap_or(b"no message"));
    if line.last() != Some(&b'\n') {
        line.push(b'\n');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_that_libvirt_prints() {
        let check = |domain, level, message: &str, expect: &str| {
            assert_eq!(String::from_utf8(line(domain, level, Some(message.as_bytes()))).unwrap(), expect);
        };
        check(30, 2, "m", "libvirt: Secrets Driver error : m\n");
        check(30, 1, "m\n", "libvirt: Secrets Driver warning : m\n");
        check(0, 2, "m", "libvirt:  error : m\n");
        check(20, 0, "m", "libvirt: Domain Config  : m\n");
        check(99, 2, "m", "libvirt: Unknown error : m\n");
    }
}
