/** What the controllers can be told: the flags of kube-controller-manager, with upstream's defaults. */
export interface ControllerOptions {
  /** `--controllers`: '*', 'name', '-name'. Default ['*']. */
  controllers?: readonly string[] | undefined;
  /** `--cluster-cidr`; pod ranges per node are cut from it where `allocateNodeCIDRs`. Dual stack: two, by comma. */
  clusterCidr?: string | undefined;
  serviceCidr?: string | undefined;
  allocateNodeCIDRs?: boolean | undefined;
  /** Default 24 and 64. */
  nodeCidrMaskSizeIPv4?: number | undefined;
  nodeCidrMaskSizeIPv6?: number | undefined;
  /** `--root-ca-file`, PEM: published as kube-root-ca.crt and put into token Secrets. */
  rootCa?: string | undefined;
  /** Signs legacy service account tokens: `(claims) => JWT`. Without it no token Secrets are filled. */
  signServiceAccountToken?: ((claims: { namespace: string; serviceAccountName: string; serviceAccountUid: string; secretName: string }) => Promise<string> | string) | undefined;
  /** `--cluster-signing-cert-file` and key, PEM: signs CertificateSigningRequests. */
  signingCert?: string | undefined;
  signingKey?: string | undefined;
  /** `--cluster-signing-duration`, default one year. */
  signingDurationMs?: number | undefined;
  /** `--node-monitor-grace-period`, default 50 s. */
  nodeMonitorGracePeriodMs?: number | undefined;
  /** `--node-monitor-period`, default 5 s. */
  nodeMonitorPeriodMs?: number | undefined;
  /** `--terminated-pod-gc-threshold`, default 12500. */
  terminatedPodGCThreshold?: number | undefined;
  /** `--node-eviction-rate`, default 0.1 nodes a second. */
  nodeEvictionRate?: number | undefined;
}
