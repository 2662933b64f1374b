/**
 * What a kubelet can be told. Names and defaults: kubelet.config.k8s.io/v1beta1 KubeletConfiguration; paths are upstream's flags.
 */
export interface KubeletConfig {
  /** Everything the kubelet writes: pods/, plugins/. Upstream: --root-dir. */
  rootDir: string;
  /** /var/log/pods: <ns>_<name>_<uid>/<container>/<attempt>.log */
  podLogsDir: string;
  /** Folder of static pod manifests; unset: none. */
  staticPodPath?: string | undefined;
  /** The address the node reports; unset: the first address of a non-loopback interface. */
  nodeIPs?: readonly string[] | undefined;
  hostnameOverride?: string | undefined;
  nodeLabels: Readonly<Record<string, string>>;
  registerWithTaints: readonly { key: string; value?: string; effect: string }[];
  registerNode: boolean;
  providerID?: string | undefined;
  clusterDNS: readonly string[];
  clusterDomain: string;
  /** The resolv.conf that dnsPolicy Default copies. Empty: none. */
  resolvConf: string;
  maxPods: number;
  podCIDR?: string | undefined;
  /** Folder of CNI configurations: a change there makes the kubelet look at once whether the network is ready. */
  cniConfDir?: string | undefined;
  cgroupDriver: 'cgroupfs' | 'systemd';
  /** Parent of kubepods; '' is the root. */
  cgroupRoot: string;
  cgroupsPerQOS: boolean;
  systemReserved: Readonly<Record<string, string>>;
  kubeReserved: Readonly<Record<string, string>>;
  serializeImagePulls: boolean;
  maxParallelImagePulls: number;
  containerLogMaxSizeBytes: number;
  containerLogMaxFiles: number;
  imageGCHighThresholdPercent: number;
  imageGCLowThresholdPercent: number;
  imageMinimumGCAgeMs: number;
  evictionHard: Readonly<Record<string, string>>;
  nodeStatusUpdateFrequencyMs: number;
  nodeStatusReportFrequencyMs: number;
  nodeLeaseDurationSeconds: number;
  syncFrequencyMs: number;
  crashLoopBackOffInitialMs: number;
  crashLoopBackOffMaxMs: number;
  fileCheckFrequencyMs: number;
  port: number;
  /** Plain HTTP /healthz on localhost; 0: none. Upstream's default is 10248. */
  healthzPort: number;
  address: string;
  /** PEM. Unset: the server is not started. */
  tls?: { cert: string; key: string; clientCA?: string } | undefined;
  authenticationAnonymous: boolean;
  authenticationWebhook: boolean;
  authorizationMode: 'AlwaysAllow' | 'Webhook';
  allowedUnsafeSysctls: readonly string[];
}

export const defaultConfig: KubeletConfig = {
  rootDir: '/var/lib/kubelet', podLogsDir: '/var/log/pods', nodeLabels: {}, registerWithTaints: [], registerNode: true,
  clusterDNS: [], clusterDomain: 'cluster.local', resolvConf: '/etc/resolv.conf', maxPods: 110,
  cgroupDriver: 'cgroupfs', cgroupRoot: '', cgroupsPerQOS: true, systemReserved: {}, kubeReserved: {},
  serializeImagePulls: false, maxParallelImagePulls: 5, containerLogMaxSizeBytes: 10 * 1024 * 1024, containerLogMaxFiles: 5,
  imageGCHighThresholdPercent: 85, imageGCLowThresholdPercent: 80, imageMinimumGCAgeMs: 120_000,
  evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '10%', 'nodefs.inodesFree': '5%', 'imagefs.available': '15%', 'imagefs.inodesFree': '5%' },
  nodeStatusUpdateFrequencyMs: 10_000, nodeStatusReportFrequencyMs: 300_000, nodeLeaseDurationSeconds: 40, syncFrequencyMs: 60_000,
  crashLoopBackOffInitialMs: 10_000, crashLoopBackOffMaxMs: 300_000, fileCheckFrequencyMs: 20_000,
  port: 10250, healthzPort: 0, address: '0.0.0.0', authenticationAnonymous: false, authenticationWebhook: true, authorizationMode: 'Webhook',
  allowedUnsafeSysctls: [],
};
