/** Where a node's kubelet listens, and how to speak to it. Source: upstream's pkg/kubelet/client (kubelet_client.go). */
import type { Node } from '../../api/core/v1.ts';
import { badRequest, notFound } from '../../api/meta/status.ts';
import type { ServerContext } from '../handlers/context.ts';
import { fresh } from '../handlers/context.ts';
import type { TlsClientConfig } from '../request.ts';

export interface KubeletConfig {
  /** The apiserver's client certificate. */
  cert?: string | Buffer;
  key?: string | Buffer;
  /** What kubelets' serving certificates must chain to; without it they are not verified, as upstream without --kubelet-certificate-authority. */
  ca?: string | Buffer;
  /** Default as upstream's --kubelet-preferred-address-types. */
  preferredAddressTypes?: readonly string[];
  /** For nodes that do not say. */
  port?: number;
}
const defaultPort = 10250;
const defaultAddressTypes = ['Hostname', 'InternalDNS', 'InternalIP', 'ExternalDNS', 'ExternalIP'];

export interface KubeletLocation { origin: string; tls: TlsClientConfig }

export async function kubeletOf(context: ServerContext, config: KubeletConfig, nodeName: string): Promise<KubeletLocation> {
  const nodes = context.resources.find('', 'v1', 'nodes')!;
  await fresh(context);
  await nodes.cache.ready();
  const entry = nodes.cache.get(nodes.key('', nodeName));
  if (!entry) throw notFound(nodes.groupResource, nodeName);
  const { status } = entry.object as unknown as Node;
  const addresses = status?.addresses ?? [];
  // Addresses before names: the machine the apiserver runs on need not resolve its nodes.
  const types = config.preferredAddressTypes ?? ['InternalIP', ...defaultAddressTypes.filter((type) => type !== 'InternalIP')];
  const address = types.map((type) => addresses.find((candidate) => candidate.type === type)?.address).find((found) => found !== undefined);
  if (address === undefined) throw badRequest(`no preferred addresses found; known addresses: [${addresses.map((known) => known.address).join(' ')}]`);
  const port = status?.daemonEndpoints?.kubeletEndpoint?.Port || config.port || defaultPort;
  return { origin: `https://${hostOf(address)}:${port}`, tls: tlsOf(config) };
}
export const hostOf = (address: string) => (address.includes(':') ? `[${address}]` : address);
export function tlsOf({ cert, key, ca }: KubeletConfig): TlsClientConfig {
  return { ...(cert ? { cert } : {}), ...(key ? { key } : {}), ...(ca ? { ca } : {}), rejectUnauthorized: ca !== undefined };
}
