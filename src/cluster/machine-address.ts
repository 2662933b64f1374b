import { networkInterfaces } from 'node:os';

/** This machine's first address that others can reach; loopback where there is none. */
export function machineAddress(): string {
  const all = Object.entries(networkInterfaces()).flatMap(([name, addresses]) => (addresses ?? []).map((address) => ({ name, ...address })));
  return all.find(({ family, internal, name }) => family === 'IPv4' && !internal && !/^(knarr|cni|docker|veth|br-)/.test(name))?.address ?? '127.0.0.1';
}
