/**
 * A container's environment: service variables, envFrom, env with `$(VAR)`, field and resource references.
 * Behaviour: upstream's makeEnvironmentVariables and pkg/kubelet/envvars. Later definitions win; service variables come first.
 */
import type { ConfigMap, Container, Pod, Secret, Service } from '../api/core/v1.ts';
import { expand } from './expand.ts';
import { type NodeAllocatable, type PodAddresses, podFieldValue, resourceFieldValue } from './fields.ts';

export interface EnvironmentSources {
  /** Undefined: there is none. */
  configMap(namespace: string, name: string): Promise<ConfigMap | undefined>;
  secret(namespace: string, name: string): Promise<Secret | undefined>;
  /** All services of a namespace. */
  services(namespace: string): readonly Service[];
  addresses: PodAddresses;
  allocatable: NodeAllocatable;
  /** A file in a mounted volume, for fileKeyRef. */
  volumeFile?(volume: string, path: string): Promise<string | undefined>;
}

/** What keeps a container from being configured: CreateContainerConfigError, with this message. */
export class ConfigError extends Error {}

const masterServices = new Set(['kubernetes']);
const validName = /^[^=\0]+$/;

/** `REDIS_SERVICE_HOST` and the Docker-link forms, for services with a cluster IP. */
export function serviceVariables(services: readonly Service[]): Record<string, string> {
  const out: Record<string, string> = {};
  for (const service of services) {
    const ip = service.spec?.clusterIP;
    const ports = service.spec?.ports ?? [];
    if (!ip || ip === 'None' || ports.length === 0) continue;
    const prefix = service.metadata.name.toUpperCase().replaceAll('-', '_');
    const host = ip.includes(':') ? `[${ip}]` : ip;
    out[`${prefix}_SERVICE_HOST`] = ip;
    out[`${prefix}_SERVICE_PORT`] = String(ports[0]!.port);
    for (const port of ports) if (port.name) out[`${prefix}_SERVICE_PORT_${port.name.toUpperCase().replaceAll('-', '_')}`] = String(port.port);
    for (const [index, port] of ports.entries()) {
      const protocol = (port.protocol ?? 'TCP').toLowerCase();
      const url = `${protocol}://${host}:${port.port}`;
      if (index === 0) out[`${prefix}_PORT`] = url;
      const link = `${prefix}_PORT_${port.port}_${protocol.toUpperCase()}`;
      Object.assign(out, { [link]: url, [`${link}_PROTO`]: protocol, [`${link}_PORT`]: String(port.port), [`${link}_ADDR`]: ip });
    }
  }
  return out;
}

export async function containerEnvironment(pod: Pod, container: Container, sources: EnvironmentSources): Promise<{ key: string; value: string }[]> {
  const namespace = pod.metadata.namespace ?? 'default';
  const services = new Map<string, Service>();
  for (const service of sources.services('default')) if (masterServices.has(service.metadata.name)) services.set(service.metadata.name, service);
  if (pod.spec.enableServiceLinks !== false) for (const service of sources.services(namespace)) services.set(service.metadata.name, service);
  const serviceEnv = serviceVariables([...services.values()]);
  const result = new Map<string, string>();

  for (const from of container.envFrom ?? []) {
    const ref = from.configMapRef ?? from.secretRef;
    if (!ref?.name) continue;
    const found = from.configMapRef ? await sources.configMap(namespace, ref.name) : await sources.secret(namespace, ref.name);
    if (!found) {
      if (ref.optional) continue;
      throw new ConfigError(`${from.configMapRef ? 'configmap' : 'secret'} "${ref.name}" not found`);
    }
    for (const [key, raw] of Object.entries(found.data ?? {})) {
      const name = `${from.prefix ?? ''}${key}`;
      if (validName.test(name)) result.set(name, from.configMapRef ? raw : Buffer.from(raw, 'base64').toString());
    }
  }

  // Service variables take part in expansion but lose against names the container sets itself.
  const scope = (name: string) => result.get(name) ?? serviceEnv[name];
  for (const variable of container.env ?? []) {
    const { name, value, valueFrom } = variable;
    if (!valueFrom) { result.set(name, expand(value ?? '', scope)); continue; }
    const text = await referenced(pod, container, namespace, valueFrom, sources);
    if (text !== undefined) result.set(name, text);
  }
  for (const [name, value] of Object.entries(serviceEnv)) if (!result.has(name)) result.set(name, value);
  return [...result].map(([key, value]) => ({ key, value }));
}

type Reference = NonNullable<NonNullable<Container['env']>[number]['valueFrom']>;

async function referenced(pod: Pod, container: Container, namespace: string, from: Reference, sources: EnvironmentSources): Promise<string | undefined> {
  if (from.fieldRef) return podFieldValue(pod, from.fieldRef.fieldPath, sources.addresses);
  if (from.resourceFieldRef) {
    const { containerName } = from.resourceFieldRef;
    const other = containerName ? [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find((item) => item.name === containerName) : container;
    return resourceFieldValue(other ?? container, from.resourceFieldRef, sources.allocatable);
  }
  if (from.fileKeyRef) {
    const text = await sources.volumeFile?.(from.fileKeyRef.volumeName, from.fileKeyRef.path);
    for (const line of text?.split('\n') ?? []) {
      const [, key, value] = /^\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      if (key === from.fileKeyRef.key) return value!.replace(/^(['"])(.*)\1$/, '$2');
    }
    if (from.fileKeyRef.optional) return undefined;
    throw new ConfigError(`environment variable key "${from.fileKeyRef.key}" not found in file "${from.fileKeyRef.path}"`);
  }
  const ref = from.configMapKeyRef ?? from.secretKeyRef;
  if (!ref?.name) return undefined;
  const isSecret = from.secretKeyRef !== undefined;
  const found = isSecret ? await sources.secret(namespace, ref.name) : await sources.configMap(namespace, ref.name);
  if (!found) {
    if (ref.optional) return undefined;
    throw new ConfigError(`${isSecret ? 'secret' : 'configmap'} "${ref.name}" not found`);
  }
  const raw = found.data?.[ref.key];
  if (raw === undefined) {
    if (ref.optional) return undefined;
    throw new ConfigError(`couldn't find key ${ref.key} in ${isSecret ? 'Secret' : 'ConfigMap'} ${namespace}/${ref.name}`);
  }
  return isSecret ? Buffer.from(raw, 'base64').toString() : raw;
}
