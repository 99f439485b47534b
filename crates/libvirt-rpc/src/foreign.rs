//! Procedures of other daemons: those of the `REMOTE` program that a secret daemon knows but does not support, with the
//! facts that libvirtd's refusal depends on.
//!
//! ```text
//! before a connection is open    1/7         internal error: {hypervisor connection | connection} not open
//! read-only, and it writes       29/domain   operation forbidden: read only access prevents {function}
//! otherwise                      3/domain    this function is not supported by the connection driver: {function}
//! ```
//!
//! Recorded on 24 November 2026 from libvirtd 12.8.0 of Debian sid with no driver but the secret one. Each number from
//! 1 to 500 was called before a connection was open, on one that was, and on a read-only one, with arguments of several
//! shapes until they decoded. The last number is 456. A number that is neither here nor in [`crate::procedures`] is an
//! event: calling it is an unknown procedure, as above 456. Function names are those in the errors, which do not always
//! match the number (105, 115, 316).
//!
//! Differences from libvirtd:
//! - libvirtd decodes the arguments first (error 39/7 if it cannot) and may refuse them before it looks for a driver. Here
//!   the answer does not depend on them.
//! - Nineteen procedures never answered "not supported", so their function and domain follow from their names.
//!   Deregistering an event (106, 168, 314, 317, 369, 375) fails because the event is not registered; passing file
//!   descriptors (249, 343, 443) fails because none can be passed; 87, 98, 152 to 156, 378, 444 and 445 are not answered
//!   without their driver.

/// A procedure of another daemon.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Foreign {
    /// The function of libvirt's API that the error names.
    pub function: &'static str,
    /// `virErrorDomain` of the function.
    pub domain: i32,
    /// The connection that it needs.
    pub connection: Connection,
    /// Whether it is forbidden on a read-only connection, which is checked before support.
    pub writes: bool,
}

/// The connection that libvirtd looks for. It keeps one to a hypervisor, and one to each other driver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Connection {
    /// To the hypervisor, which also serves procedures about the connection itself.
    Hypervisor,
    /// To another driver: networks, storage, devices, interfaces, filters, and secrets as well.
    Secondary,
}

impl Connection {
    /// The error text before it is open.
    pub const fn not_open(self) -> &'static str {
        match self {
            Self::Hypervisor => "hypervisor connection not open",
            Self::Secondary => "connection not open",
        }
    }
}

/// The procedure with this number, if it belongs to another daemon.
pub fn foreign(procedure: i32) -> Option<Foreign> {
    GROUPS.iter().find_map(|group| group.find(procedure))
}

/// The procedures of one driver, in the order of their numbers.
struct Group {
    domain: i32,
    connection: Connection,
    rows: &'static [Row],
}

impl Group {
    fn find(&self, procedure: i32) -> Option<Foreign> {
        let at = self.rows.binary_search_by_key(&procedure, |row| row.procedure).ok()?;
        let &Row { function, writes, .. } = self.rows.get(at)?;
        Some(Foreign { function, domain: self.domain, connection: self.connection, writes })
    }
}

struct Row {
    procedure: i32,
    function: &'static str,
    writes: bool,
}

const fn reads(procedure: i32, function: &'static str) -> Row {
    Row { procedure, function, writes: false }
}

const fn writes(procedure: i32, function: &'static str) -> Row {
    Row { procedure, function, writes: true }
}

const fn hypervisor(domain: i32, rows: &'static [Row]) -> Group {
    Group { domain, connection: Connection::Hypervisor, rows }
}

const fn secondary(domain: i32, rows: &'static [Row]) -> Group {
    Group { domain, connection: Connection::Secondary, rows }
}

/// Domains are numbers of `virErrorDomain`, in libvirt's `virterror.h`.
static GROUPS: [Group; 9] = [
    hypervisor(20, HYPERVISOR),        // VIR_FROM_DOM
    hypervisor(35, DOMAIN_SNAPSHOT),   // VIR_FROM_DOMAIN_SNAPSHOT
    hypervisor(69, DOMAIN_CHECKPOINT), // VIR_FROM_DOMAIN_CHECKPOINT
    hypervisor(22, ASSIGNED_DEVICE),   // VIR_FROM_NODEDEV
    secondary(19, NETWORK),            // VIR_FROM_NETWORK
    secondary(18, STORAGE),            // VIR_FROM_STORAGE
    secondary(22, NODE_DEVICE),        // VIR_FROM_NODEDEV
    secondary(26, INTERFACE),          // VIR_FROM_INTERFACE
    secondary(33, NWFILTER),           // VIR_FROM_NWFILTER
];

/// The hypervisor, its node and its domains.
const HYPERVISOR: &[Row] = &[
    reads(4, "virConnectGetVersion"),
    reads(5, "virConnectGetMaxVcpus"),
    reads(6, "virNodeGetInfo"),
    reads(7, "virConnectGetCapabilities"),
    writes(8, "virDomainAttachDevice"),
    writes(9, "virDomainCreate"),
    writes(10, "virDomainCreateXML"),
    writes(11, "virDomainDefineXML"),
    writes(12, "virDomainDestroy"),
    writes(13, "virDomainDetachDevice"),
    reads(14, "virDomainGetXMLDesc"),
    reads(15, "virDomainGetAutostart"),
    reads(16, "virDomainGetInfo"),
    reads(17, "virDomainGetMaxMemory"),
    reads(18, "virDomainGetMaxVcpus"),
    reads(19, "virDomainGetOSType"),
    reads(20, "virDomainGetVcpus"),
    reads(21, "virConnectListDefinedDomains"),
    reads(22, "virDomainLookupByID"),
    reads(23, "virDomainLookupByName"),
    reads(24, "virDomainLookupByUUID"),
    reads(25, "virConnectNumOfDefinedDomains"),
    writes(26, "virDomainPinVcpu"),
    writes(27, "virDomainReboot"),
    writes(28, "virDomainResume"),
    writes(29, "virDomainSetAutostart"),
    writes(30, "virDomainSetMaxMemory"),
    writes(31, "virDomainSetMemory"),
    writes(32, "virDomainSetVcpus"),
    writes(33, "virDomainShutdown"),
    writes(34, "virDomainSuspend"),
    writes(35, "virDomainUndefine"),
    reads(37, "virConnectListDomains"),
    reads(51, "virConnectNumOfDomains"),
    writes(53, "virDomainCoreDump"),
    writes(54, "virDomainRestore"),
    writes(55, "virDomainSave"),
    reads(56, "virDomainGetSchedulerType"),
    reads(57, "virDomainGetSchedulerParameters"),
    writes(58, "virDomainSetSchedulerParameters"),
    reads(59, "virConnectGetHostname"),
    writes(61, "virDomainMigratePrepare"),
    writes(62, "virDomainMigratePerform"),
    writes(63, "virDomainMigrateFinish"),
    reads(64, "virDomainBlockStats"),
    reads(65, "virDomainInterfaceStats"),
    reads(101, "virNodeGetCellsFreeMemory"),
    reads(102, "virNodeGetFreeMemory"),
    writes(103, "virDomainBlockPeek"),
    writes(104, "virDomainMemoryPeek"),
    reads(105, "virConnectDomainEventRegisterAny"),
    reads(106, "virConnectDomainEventDeregister"),
    writes(108, "virDomainMigratePrepare2"),
    writes(109, "virDomainMigrateFinish2"),
    reads(121, "virDomainGetSecurityLabel"),
    reads(122, "virNodeGetSecurityModel"),
    writes(135, "virConnectDomainXMLFromNative"),
    writes(136, "virConnectDomainXMLToNative"),
    writes(148, "virDomainMigratePrepareTunnel"),
    reads(150, "virDomainIsActive"),
    reads(151, "virDomainIsPersistent"),
    reads(158, "virConnectCompareCPU"),
    reads(159, "virDomainMemoryStats"),
    writes(160, "virDomainAttachDeviceFlags"),
    writes(161, "virDomainDetachDeviceFlags"),
    reads(162, "virConnectBaselineCPU"),
    reads(163, "virDomainGetJobInfo"),
    writes(164, "virDomainAbortJob"),
    writes(166, "virDomainMigrateSetMaxDowntime"),
    reads(167, "virConnectDomainEventRegisterAny"),
    reads(168, "virConnectDomainEventDeregisterAny"),
    writes(174, "virDomainUpdateDeviceFlags"),
    writes(182, "virDomainManagedSave"),
    reads(183, "virDomainHasManagedSaveImage"),
    writes(184, "virDomainManagedSaveRemove"),
    reads(194, "virDomainGetBlockInfo"),
    writes(196, "virDomainCreateWithFlags"),
    writes(197, "virDomainSetMemoryParameters"),
    reads(198, "virDomainGetMemoryParameters"),
    writes(199, "virDomainSetVcpusFlags"),
    reads(200, "virDomainGetVcpusFlags"),
    writes(201, "virDomainOpenConsole"),
    reads(202, "virDomainIsUpdated"),
    reads(203, "virConnectGetSysinfo"),
    writes(204, "virDomainSetMemoryFlags"),
    writes(205, "virDomainSetBlkioParameters"),
    reads(206, "virDomainGetBlkioParameters"),
    writes(207, "virDomainMigrateSetMaxSpeed"),
    writes(210, "virDomainInjectNMI"),
    writes(211, "virDomainScreenshot"),
    reads(212, "virDomainGetState"),
    writes(213, "virDomainMigrateBegin3"),
    writes(214, "virDomainMigratePrepare3"),
    writes(215, "virDomainMigratePrepareTunnel3"),
    writes(216, "virDomainMigratePerform3"),
    writes(217, "virDomainMigrateFinish3"),
    writes(218, "virDomainMigrateConfirm3"),
    writes(219, "virDomainSetSchedulerParametersFlags"),
    reads(223, "virDomainGetSchedulerParametersFlags"),
    writes(225, "virDomainPinVcpuFlags"),
    writes(226, "virDomainSendKey"),
    reads(227, "virNodeGetCPUStats"),
    reads(228, "virNodeGetMemoryStats"),
    reads(229, "virDomainGetControlInfo"),
    reads(230, "virDomainGetVcpuPinInfo"),
    writes(231, "virDomainUndefineFlags"),
    writes(232, "virDomainSaveFlags"),
    writes(233, "virDomainRestoreFlags"),
    writes(234, "virDomainDestroyFlags"),
    writes(235, "virDomainSaveImageGetXMLDesc"),
    writes(236, "virDomainSaveImageDefineXML"),
    writes(237, "virDomainBlockJobAbort"),
    reads(238, "virDomainGetBlockJobInfo"),
    writes(239, "virDomainBlockJobSetSpeed"),
    writes(240, "virDomainBlockPull"),
    writes(242, "virDomainMigrateGetMaxSpeed"),
    reads(243, "virDomainBlockStatsFlags"),
    writes(245, "virDomainReset"),
    writes(249, "virDomainOpenGraphics"),
    writes(250, "virNodeSuspendForDuration"),
    writes(251, "virDomainBlockResize"),
    writes(252, "virDomainSetBlockIoTune"),
    reads(253, "virDomainGetBlockIoTune"),
    writes(254, "virDomainSetNumaParameters"),
    reads(255, "virDomainGetNumaParameters"),
    writes(256, "virDomainSetInterfaceParameters"),
    reads(257, "virDomainGetInterfaceParameters"),
    writes(258, "virDomainShutdownFlags"),
    writes(261, "virDomainPMSuspendForDuration"),
    reads(262, "virDomainGetCPUStats"),
    reads(263, "virDomainGetDiskErrors"),
    writes(264, "virDomainSetMetadata"),
    reads(265, "virDomainGetMetadata"),
    writes(266, "virDomainBlockRebase"),
    writes(267, "virDomainPMWakeup"),
    reads(273, "virConnectListAllDomains"),
    writes(277, "virDomainGetHostname"),
    reads(278, "virDomainGetSecurityLabelList"),
    writes(279, "virDomainPinEmulator"),
    reads(280, "virDomainGetEmulatorPinInfo"),
    writes(288, "virNodeSetMemoryParameters"),
    reads(289, "virNodeGetMemoryParameters"),
    writes(290, "virDomainBlockCommit"),
    reads(293, "virNodeGetCPUMap"),
    writes(294, "virDomainFSTrim"),
    writes(295, "virDomainSendProcessSignal"),
    writes(296, "virDomainOpenChannel"),
    reads(298, "virDomainGetJobStats"),
    reads(299, "virDomainMigrateGetCompressionCache"),
    writes(300, "virDomainMigrateSetCompressionCache"),
    writes(302, "virDomainMigrateBegin3Params"),
    writes(303, "virDomainMigratePrepare3Params"),
    writes(304, "virDomainMigratePrepareTunnel3Params"),
    writes(305, "virDomainMigratePerform3Params"),
    writes(306, "virDomainMigrateFinish3Params"),
    writes(307, "virDomainMigrateConfirm3Params"),
    writes(308, "virDomainSetMemoryStatsPeriod"),
    writes(309, "virDomainCreateXMLWithFiles"),
    writes(310, "virDomainCreateWithFiles"),
    reads(312, "virConnectGetCPUModelNames"),
    reads(316, "virConnectDomainEventRegisterAny"),
    reads(317, "virConnectDomainEventDeregisterAny"),
    writes(334, "virDomainCoreDumpWithFormat"),
    writes(335, "virDomainFSFreeze"),
    writes(336, "virDomainFSThaw"),
    writes(337, "virDomainGetTime"),
    writes(338, "virDomainSetTime"),
    reads(340, "virNodeGetFreePages"),
    writes(342, "virConnectGetDomainCapabilities"),
    writes(343, "virDomainOpenGraphicsFD"),
    reads(344, "virConnectGetAllDomainStats"),
    writes(345, "virDomainBlockCopy"),
    writes(347, "virNodeAllocPages"),
    writes(349, "virDomainGetFSInfo"),
    writes(350, "virDomainDefineXMLFlags"),
    reads(351, "virDomainGetIOThreadInfo"),
    writes(352, "virDomainPinIOThread"),
    writes(353, "virDomainInterfaceAddresses"),
    writes(355, "virDomainAddIOThread"),
    writes(356, "virDomainDelIOThread"),
    writes(357, "virDomainSetUserPassword"),
    writes(358, "virDomainRename"),
    writes(364, "virDomainMigrateStartPostCopy"),
    reads(365, "virDomainGetPerfEvents"),
    writes(366, "virDomainSetPerfEvents"),
    writes(371, "virDomainGetGuestVcpus"),
    writes(372, "virDomainSetGuestVcpus"),
    writes(384, "virDomainSetVcpu"),
    writes(386, "virDomainSetBlockThreshold"),
    reads(387, "virDomainMigrateGetMaxDowntime"),
    reads(388, "virDomainManagedSaveGetXMLDesc"),
    writes(389, "virDomainManagedSaveDefineXML"),
    writes(390, "virDomainSetLifecycleAction"),
    writes(392, "virDomainDetachDeviceAlias"),
    writes(393, "virConnectCompareHypervisorCPU"),
    writes(394, "virConnectBaselineHypervisorCPU"),
    writes(395, "virNodeGetSEVInfo"),
    writes(396, "virDomainGetLaunchSecurityInfo"),
    writes(402, "virDomainSetIOThreadParams"),
    writes(418, "virDomainGetGuestInfo"),
    writes(420, "virDomainAgentSetResponseTimeout"),
    writes(421, "virDomainBackupBegin"),
    reads(422, "virDomainBackupGetXMLDesc"),
    writes(424, "virDomainAuthorizedSSHKeysGet"),
    writes(425, "virDomainAuthorizedSSHKeysSet"),
    reads(426, "virDomainGetMessages"),
    writes(427, "virDomainStartDirtyRateCalc"),
    writes(439, "virDomainSetLaunchSecurityState"),
    writes(440, "virDomainSaveParams"),
    writes(441, "virDomainRestoreParams"),
    writes(442, "virDomainAbortJobFlags"),
    reads(443, "virDomainFDAssociate"),
    writes(448, "virDomainGraphicsReload"),
    reads(449, "virDomainGetAutostartOnce"),
    writes(450, "virDomainSetAutostartOnce"),
    writes(451, "virDomainSetThrottleGroup"),
    reads(452, "virDomainDelThrottleGroup"),
    writes(456, "virDomainAnnounceInterface"),
];

/// Snapshots of domains.
const DOMAIN_SNAPSHOT: &[Row] = &[
    writes(185, "virDomainSnapshotCreateXML"),
    reads(186, "virDomainSnapshotGetXMLDesc"),
    reads(187, "virDomainSnapshotNum"),
    reads(188, "virDomainSnapshotListNames"),
    reads(189, "virDomainSnapshotLookupByName"),
    reads(190, "virDomainHasCurrentSnapshot"),
    reads(191, "virDomainSnapshotCurrent"),
    writes(192, "virDomainRevertToSnapshot"),
    writes(193, "virDomainSnapshotDelete"),
    reads(244, "virDomainSnapshotGetParent"),
    reads(246, "virDomainSnapshotNumChildren"),
    reads(247, "virDomainSnapshotListChildrenNames"),
    reads(271, "virDomainSnapshotIsCurrent"),
    reads(272, "virDomainSnapshotHasMetadata"),
    reads(274, "virDomainListAllSnapshots"),
    reads(275, "virDomainSnapshotListAllChildren"),
];

/// Checkpoints of domains.
const DOMAIN_CHECKPOINT: &[Row] = &[
    writes(411, "virDomainCheckpointCreateXML"),
    reads(412, "virDomainCheckpointGetXMLDesc"),
    reads(413, "virDomainListAllCheckpoints"),
    reads(414, "virDomainCheckpointListAllChildren"),
    reads(415, "virDomainCheckpointLookupByName"),
    reads(416, "virDomainCheckpointGetParent"),
    writes(417, "virDomainCheckpointDelete"),
];

/// Devices of the node that are given to domains, which the hypervisor does.
const ASSIGNED_DEVICE: &[Row] = &[
    writes(118, "virNodeDeviceDettach"),
    writes(119, "virNodeDeviceReAttach"),
    writes(120, "virNodeDeviceReset"),
    writes(301, "virNodeDeviceDetachFlags"),
];

/// Networks and their ports.
const NETWORK: &[Row] = &[
    reads(36, "virConnectListDefinedNetworks"),
    reads(38, "virConnectListNetworks"),
    writes(39, "virNetworkCreate"),
    writes(40, "virNetworkCreateXML"),
    writes(41, "virNetworkDefineXML"),
    writes(42, "virNetworkDestroy"),
    reads(43, "virNetworkGetXMLDesc"),
    reads(44, "virNetworkGetAutostart"),
    reads(45, "virNetworkGetBridgeName"),
    reads(46, "virNetworkLookupByName"),
    reads(47, "virNetworkLookupByUUID"),
    writes(48, "virNetworkSetAutostart"),
    writes(49, "virNetworkUndefine"),
    reads(50, "virConnectNumOfDefinedNetworks"),
    reads(52, "virConnectNumOfNetworks"),
    reads(152, "virNetworkIsActive"),
    reads(153, "virNetworkIsPersistent"),
    reads(283, "virConnectListAllNetworks"),
    writes(291, "virNetworkUpdate"),
    reads(313, "virConnectNetworkEventRegisterAny"),
    reads(314, "virConnectNetworkEventDeregisterAny"),
    reads(341, "virNetworkGetDHCPLeases"),
    reads(404, "virNetworkListAllPorts"),
    reads(405, "virNetworkPortLookupByUUID"),
    writes(406, "virNetworkPortCreateXML"),
    reads(407, "virNetworkPortGetParameters"),
    writes(408, "virNetworkPortSetParameters"),
    reads(409, "virNetworkPortGetXMLDesc"),
    writes(410, "virNetworkPortDelete"),
    writes(432, "virNetworkDefineXMLFlags"),
    writes(437, "virNetworkCreateXMLFlags"),
    writes(444, "virNetworkSetMetadata"),
    reads(445, "virNetworkGetMetadata"),
];

/// Storage pools and volumes.
const STORAGE: &[Row] = &[
    reads(71, "virConnectNumOfStoragePools"),
    reads(72, "virConnectListStoragePools"),
    reads(73, "virConnectNumOfDefinedStoragePools"),
    reads(74, "virConnectListDefinedStoragePools"),
    writes(75, "virConnectFindStoragePoolSources"),
    writes(76, "virStoragePoolCreateXML"),
    writes(77, "virStoragePoolDefineXML"),
    writes(78, "virStoragePoolCreate"),
    writes(79, "virStoragePoolBuild"),
    writes(80, "virStoragePoolDestroy"),
    writes(81, "virStoragePoolDelete"),
    writes(82, "virStoragePoolUndefine"),
    writes(83, "virStoragePoolRefresh"),
    reads(84, "virStoragePoolLookupByName"),
    reads(85, "virStoragePoolLookupByUUID"),
    reads(86, "virStoragePoolLookupByVolume"),
    reads(87, "virStoragePoolGetInfo"),
    reads(88, "virStoragePoolGetXMLDesc"),
    reads(89, "virStoragePoolGetAutostart"),
    writes(90, "virStoragePoolSetAutostart"),
    reads(91, "virStoragePoolNumOfVolumes"),
    reads(92, "virStoragePoolListVolumes"),
    writes(93, "virStorageVolCreateXML"),
    writes(94, "virStorageVolDelete"),
    reads(95, "virStorageVolLookupByName"),
    reads(96, "virStorageVolLookupByKey"),
    reads(97, "virStorageVolLookupByPath"),
    reads(98, "virStorageVolGetInfo"),
    reads(99, "virStorageVolGetXMLDesc"),
    reads(100, "virStorageVolGetPath"),
    writes(125, "virStorageVolCreateXMLFrom"),
    reads(154, "virStoragePoolIsActive"),
    reads(155, "virStoragePoolIsPersistent"),
    writes(165, "virStorageVolWipe"),
    writes(208, "virStorageVolUpload"),
    writes(209, "virStorageVolDownload"),
    writes(259, "virStorageVolWipePattern"),
    writes(260, "virStorageVolResize"),
    reads(281, "virConnectListAllStoragePools"),
    reads(282, "virStoragePoolListAllVolumes"),
    reads(368, "virConnectStoragePoolEventRegisterAny"),
    reads(369, "virConnectStoragePoolEventDeregisterAny"),
    reads(378, "virStorageVolGetInfoFlags"),
    reads(391, "virStoragePoolLookupByTargetPath"),
    reads(403, "virConnectGetStoragePoolCapabilities"),
];

/// Devices of the node.
const NODE_DEVICE: &[Row] = &[
    reads(111, "virNodeNumOfDevices"),
    reads(112, "virNodeListDevices"),
    reads(113, "virNodeDeviceLookupByName"),
    reads(114, "virNodeDeviceGetXMLDesc"),
    reads(115, "virNodeDeviceLookupByName"),
    reads(116, "virNodeDeviceNumOfCaps"),
    reads(117, "virNodeDeviceListCaps"),
    writes(123, "virNodeDeviceCreateXML"),
    writes(124, "virNodeDeviceDestroy"),
    reads(285, "virConnectListAllNodeDevices"),
    reads(297, "virNodeDeviceLookupSCSIHostByWWN"),
    reads(374, "virConnectNodeDeviceEventRegisterAny"),
    reads(375, "virConnectNodeDeviceEventDeregisterAny"),
    writes(428, "virNodeDeviceDefineXML"),
    writes(429, "virNodeDeviceUndefine"),
    writes(430, "virNodeDeviceCreate"),
    reads(433, "virNodeDeviceGetAutostart"),
    writes(434, "virNodeDeviceSetAutostart"),
    reads(435, "virNodeDeviceIsPersistent"),
    reads(436, "virNodeDeviceIsActive"),
    writes(447, "virNodeDeviceUpdate"),
];

/// Network interfaces of the node.
const INTERFACE: &[Row] = &[
    reads(126, "virConnectNumOfInterfaces"),
    reads(127, "virConnectListInterfaces"),
    reads(128, "virInterfaceLookupByName"),
    reads(129, "virInterfaceLookupByMACString"),
    reads(130, "virInterfaceGetXMLDesc"),
    writes(131, "virInterfaceDefineXML"),
    writes(132, "virInterfaceUndefine"),
    writes(133, "virInterfaceCreate"),
    writes(134, "virInterfaceDestroy"),
    reads(137, "virConnectNumOfDefinedInterfaces"),
    reads(138, "virConnectListDefinedInterfaces"),
    reads(156, "virInterfaceIsActive"),
    writes(220, "virInterfaceChangeBegin"),
    writes(221, "virInterfaceChangeCommit"),
    writes(222, "virInterfaceChangeRollback"),
    reads(284, "virConnectListAllInterfaces"),
];

/// Network filters and their bindings.
const NWFILTER: &[Row] = &[
    reads(175, "virNWFilterLookupByName"),
    reads(176, "virNWFilterLookupByUUID"),
    reads(177, "virNWFilterGetXMLDesc"),
    reads(178, "virConnectNumOfNWFilters"),
    reads(179, "virConnectListNWFilters"),
    writes(180, "virNWFilterDefineXML"),
    writes(181, "virNWFilterUndefine"),
    reads(286, "virConnectListAllNWFilters"),
    reads(397, "virNWFilterBindingLookupByPortDev"),
    reads(398, "virNWFilterBindingGetXMLDesc"),
    writes(399, "virNWFilterBindingCreateXML"),
    writes(400, "virNWFilterBindingDelete"),
    reads(401, "virConnectListAllNWFilterBindings"),
    writes(431, "virNWFilterDefineXMLFlags"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::RangeInclusive;

    use super::*;

    /// What a secret daemon serves itself.
    const SERVED: &[RangeInclusive<i32>] = &[
        1..=3,
        60..=60,
        66..=70,
        110..=110,
        139..=147,
        149..=149,
        157..=157,
        287..=287,
        360..=361,
        380..=381,
        419..=419,
    ];

    /// What daemons send and clients do not call.
    const EVENTS: &[RangeInclusive<i32>] = &[
        107..=107,
        169..=173,
        195..=195,
        224..=224,
        241..=241,
        248..=248,
        268..=270,
        276..=276,
        292..=292,
        311..=311,
        315..=315,
        318..=333,
        339..=339,
        346..=346,
        348..=348,
        354..=354,
        359..=359,
        362..=363,
        367..=367,
        370..=370,
        373..=373,
        376..=377,
        379..=379,
        382..=383,
        385..=385,
        423..=423,
        438..=438,
        446..=446,
        453..=455,
    ];

    /// The last procedure that libvirt 12.8.0 knows.
    const LAST: i32 = 456;

    fn is_in(ranges: &[RangeInclusive<i32>], procedure: i32) -> bool {
        ranges.iter().any(|range| range.contains(&procedure))
    }

    fn all_rows() -> impl Iterator<Item = &'static Row> {
        GROUPS.iter().flat_map(|group| group.rows)
    }

    #[test]
    fn rows_are_sorted_and_no_number_comes_twice() {
        for group in &GROUPS {
            assert!(group.rows.is_sorted_by(|a, b| a.procedure < b.procedure), "{}", group.rows[0].function);
        }
        let mut seen = BTreeMap::new();
        for row in all_rows() {
            assert_eq!(seen.insert(row.procedure, row.function), None, "{}", row.procedure);
        }
    }

    #[test]
    fn every_number_is_served_or_an_event_or_foreign() {
        for procedure in 1..=LAST {
            let foreign = foreign(procedure).is_some();
            let places = [foreign, is_in(SERVED, procedure), is_in(EVENTS, procedure)];
            assert_eq!(places.iter().filter(|here| **here).count(), 1, "{procedure}: {places:?}");
        }
    }

    #[test]
    fn nothing_is_beyond_the_numbers_that_libvirt_knows() {
        for procedure in [i32::MIN, -1, 0, LAST + 1, 500, i32::MAX] {
            assert_eq!(foreign(procedure), None, "{procedure}");
        }
        assert!(all_rows().all(|row| (1..=LAST).contains(&row.procedure)));
    }

    #[test]
    fn functions_are_named_as_libvirt_names_them() {
        const OBJECTS: &[&str] = &[
            "Connect",
            "Domain",
            "Interface",
            "NWFilter",
            "Network",
            "Node", // NodeDevice, too.
            "StoragePool",
            "StorageVol",
        ];
        for Row { procedure, function, .. } in all_rows() {
            let action = function.strip_prefix("vir").and_then(|name| {
                OBJECTS
                    .iter()
                    .find_map(|object| name.strip_prefix(object))
                    .filter(|action| !action.is_empty())
            });
            let action = action.unwrap_or_else(|| panic!("{procedure}: {function}"));
            assert!(action.starts_with(|c: char| c.is_ascii_uppercase()), "{procedure}: {function}");
            assert!(action.chars().all(|c| c.is_ascii_alphanumeric()), "{procedure}: {function}");
        }
    }

    #[test]
    fn procedures_are_refused_as_libvirtd_refuses_them() {
        use Connection::{Hypervisor, Secondary};

        for (procedure, function, domain, connection, writes) in [
            (4, "virConnectGetVersion", 20, Hypervisor, false),
            (59, "virConnectGetHostname", 20, Hypervisor, false),
            (71, "virConnectNumOfStoragePools", 18, Secondary, false),
            (93, "virStorageVolCreateXML", 18, Secondary, true),
            (105, "virConnectDomainEventRegisterAny", 20, Hypervisor, false),
            (115, "virNodeDeviceLookupByName", 22, Secondary, false),
            (118, "virNodeDeviceDettach", 22, Hypervisor, true),
            (134, "virInterfaceDestroy", 26, Secondary, true),
            (185, "virDomainSnapshotCreateXML", 35, Hypervisor, true),
            (203, "virConnectGetSysinfo", 20, Hypervisor, false),
            (273, "virConnectListAllDomains", 20, Hypervisor, false),
            (283, "virConnectListAllNetworks", 19, Secondary, false),
            (286, "virConnectListAllNWFilters", 33, Secondary, false),
            (342, "virConnectGetDomainCapabilities", 20, Hypervisor, true),
            (344, "virConnectGetAllDomainStats", 20, Hypervisor, false),
            (413, "virDomainListAllCheckpoints", 69, Hypervisor, false),
            (456, "virDomainAnnounceInterface", 20, Hypervisor, true),
        ] {
            assert_eq!(foreign(procedure), Some(Foreign { function, domain, connection, writes }));
        }
        assert_eq!(Hypervisor.not_open(), "hypervisor connection not open");
        assert_eq!(Secondary.not_open(), "connection not open");
    }
}
