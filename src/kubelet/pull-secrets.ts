/** Registry credentials from a pod's imagePullSecrets. Text: kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry. Never logged. */
import type { Pod } from '../api/core/v1.ts';
import type { ObjectCache } from './object-cache.ts';
import type { AuthConfig } from './runtime/runtime.ts';

interface DockerAuth { username?: string; password?: string; auth?: string }

/** The registry of an image: 'docker.io' where none is named. */
export function registryOf(image: string): string {
  const [first = ''] = image.split('/');
  return image.includes('/') && (/[.:]/.test(first) || first === 'localhost') ? first : 'docker.io';
}
function matches(entry: string, image: string): boolean {
  const target = entry.replace(/^https?:\/\//, '').replace(/\/v[12]\/?$/, '').replace(/\/$/, '');
  const registry = registryOf(image);
  if (registry === 'docker.io') return ['index.docker.io', 'docker.io', 'registry-1.docker.io'].includes(target.split('/')[0]!);
  const [host = '', ...path] = target.split('/');
  const pattern = new RegExp(`^${host.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^.]*')}$`);
  return pattern.test(registry) && image.slice(registry.length + 1).startsWith(path.join('/'));
}

export async function pullAuths(pod: Pod, image: string, objects: ObjectCache): Promise<AuthConfig[]> {
  const out: AuthConfig[] = [];
  for (const { name } of pod.spec.imagePullSecrets ?? []) {
    if (!name) continue;
    const secret = await objects.get('secret', pod.metadata.namespace ?? 'default', name).catch(() => undefined);
    const isNew = secret?.type !== 'kubernetes.io/dockercfg';
    const raw = secret?.data?.[isNew ? '.dockerconfigjson' : '.dockercfg'];
    if (!raw) continue;
    let auths: Record<string, DockerAuth>;
    try {
      const parsed = JSON.parse(Buffer.from(raw, 'base64').toString()) as Record<string, DockerAuth> & { auths?: Record<string, DockerAuth> };
      auths = isNew ? parsed.auths ?? {} : parsed;
    } catch { continue; }
    for (const [entry, auth] of Object.entries(auths)) {
      if (!matches(entry, image)) continue;
      const [user, ...password] = auth.auth ? Buffer.from(auth.auth, 'base64').toString().split(':') : [auth.username, auth.password ?? ''];
      out.push({ username: user ?? '', password: password.join(':'), serverAddress: entry });
    }
  }
  return out;
}
